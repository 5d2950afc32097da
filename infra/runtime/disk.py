"""What folders take on the disk: sizes are asked for, no file is opened."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Used:
    """What lies somewhere.

    Args:
        files: How many files.
        bytes: Their size.
    """

    files: int = 0
    bytes: int = 0

    def __add__(self, other: Used) -> Used:
        return Used(self.files + other.files, self.bytes + other.bytes)


def used(path: Path) -> Used:
    """Count a file, or what is in a folder at any depth; links are not followed, what vanishes meanwhile is nothing."""
    with suppress(OSError):
        if not path.is_dir() or path.is_symlink():
            return Used(1, path.lstat().st_size)
    files = size = 0
    folders = [str(path)]
    while folders:
        with suppress(OSError), os.scandir(folders.pop()) as entries:
            for entry in entries:
                with suppress(OSError):
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                        continue
                    files, size = files + 1, size + entry.stat(follow_symlinks=False).st_size
    return Used(files, size)


MOUNTS = Path("/proc/self/mountinfo")
NETWORK = frozenset(
    {
        *(
            "nfs",
            "nfs4",
            "cifs",
            "smb3",
            "smbfs",
            "9p",
            "afs",
            "ceph",
            "glusterfs",
            "fuse.glusterfs",
            "lustre",
            "beegfs",
        ),
        *(
            "fuse.sshfs",
            "fuse.s3fs",
            "fuse.rclone",
            "fuse.gcsfuse",
            "fuse.blobfuse",
            "davfs",
            "gpfs",
            "orangefs",
            "ocfs2",
        ),
    }
)
"""File systems on which SQLite's locks cannot be relied on."""


def fs_of(path: Path, mounts: Path = MOUNTS) -> str:
    """Return the kind of file system that a path lies on, as `ext4` or `nfs4`; empty where the system does not tell."""
    try:
        lines = mounts.read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    best, kind = -1, ""
    for line in lines:
        before, _, after = line.partition(" - ")
        fields = before.split()
        if len(fields) < 5 or not after:
            continue
        point = Path(re.sub(r"\\([0-7]{3})", lambda found: chr(int(found.group(1), 8)), fields[4]))
        # The later of two mounts at one place hides the other.
        if (path == point or point in path.parents) and len(point.parts) >= best:
            best, kind = len(point.parts), after.split()[0]
    return kind
