"""What folders take on the disk: sizes are asked for, no file is opened."""

from __future__ import annotations

import os
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
