"""Folders: whether what runs write can be written, on disks with room, by a clock that agrees."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from infra.runtime.disk import fs_of
from infra.runtime.lake_repair import local_folder
from tasks.doctor import Check, Finding, Patient, wrong_if
from tasks.retention_plan import size_in_words

MIN_FREE_BYTES = 2_000_000_000
FEW_FREE_BYTES = 10_000_000_000
SLOW_CLOCK_SECONDS = 60.0


def places(patient: Patient) -> dict[str, Path]:
    """The folders that runs write to, by the setting that names each; a lake in an object store is none."""
    project, settings = patient.project, patient.settings
    lake = local_folder(settings.lake) if settings.lake else None
    return {"state": project.state, "reports": project.reports, **({"lake": lake} if lake is not None else {})}


def _folders(patient: Patient) -> Iterator[Finding]:
    good = []
    for name, path in places(patient).items():
        there = existing(path)
        wrong = _unwritable(path, there)
        if wrong:
            yield Finding(f"folder `{name}`", "wrong", wrong, f"let {_user()} write there, or set `{name}` elsewhere")
        else:
            good.append(name)
    if patient.project.state.is_dir() and (mode := patient.project.state.stat().st_mode) & 0o077:
        yield Finding(
            "folder `state`",
            "note",
            f"{patient.project.state} is open to other users of this machine ({stat.filemode(mode)}), and holds data",
            f"chmod 700 {patient.project.state}",
        )
    if good:
        yield Finding("folders", "ok", f"{', '.join(good)}: can be written")


def existing(path: Path) -> Path:
    """The folder itself, or the nearest one above it that is there."""
    return next(folder for folder in (path, *path.parents) if folder.exists())


def _unwritable(path: Path, there: Path) -> str:
    if not there.is_dir():
        return f"{there} is a file, and {path} is to be a folder"
    try:
        with tempfile.TemporaryFile(dir=there):  # without a name, where the system knows such files
            return ""
    except OSError as error:
        return f"{there} cannot be written: {error.strerror or error}"


def _user() -> str:
    return f"user {os.getuid()}"


def _disk(patient: Patient) -> Iterator[Finding]:
    seen: dict[int, list[str]] = {}
    folders = {name: existing(path) for name, path in places(patient).items()}
    for name, folder in folders.items():
        seen.setdefault(folder.stat().st_dev, []).append(name)
    for names in seen.values():
        space = shutil.disk_usage(folders[names[0]])
        if not space.total:  # a disk that does not tell
            continue
        level = wrong_if(space.free < MIN_FREE_BYTES, "note" if space.free < FEW_FREE_BYTES else "ok")
        found = f"{size_in_words(space.free)} free of {size_in_words(space.total)}"
        hint = "see what takes it, and what may go: sereno status --disk; sereno vacuum --dry-run"
        yield Finding(f"disk of {', '.join(names)}", level, found, hint)


def _clock(patient: Patient) -> Iterator[Finding]:
    folder = existing(patient.project.state)
    if not folder.is_dir():
        return
    before = time.time()
    with tempfile.TemporaryFile(dir=folder) as probe:
        probe.write(b"x")
        probe.flush()
        written, after = os.fstat(probe.fileno()).st_mtime, time.time()
    off = max(written - after, before - written, 0.0)
    if off > SLOW_CLOCK_SECONDS:
        yield Finding(
            "clock",
            "wrong",
            f"files in {folder} ({fs_of(folder)}) get times that are {off:,.0f} s off this machine's clock",
            "set the clocks of this machine and of the file server by NTP: leases and the age of files go by them",
        )


FOLDER_CHECKS = (
    Check(
        "folders",
        "`state`, `lake` or `reports` cannot be written, is a file, or is open to other users",
        "change the rights, or the setting of that name",
        _folders,
        before_stores=True,
    ),
    Check(
        "disk",
        "a disk is full (below 2 GB) or nearly so (below 10 GB)",
        "`sereno status --disk`, `sereno vacuum --dry-run`, or move `state` elsewhere",
        _disk,
        before_stores=True,
    ),
    Check(
        "clock",
        "the clock of this machine and the times of files differ by more than a minute, or the clock was set back",
        "set the clocks by NTP",
        _clock,
        before_stores=True,
    ),
)
