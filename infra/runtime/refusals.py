"""What the operating system refused, as a full disk or a folder of someone else, and what to do about it."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
NOT_ALLOWED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_OF_PREFECT = ("prefect", "httpx", "httpcore")


def described(error: OSError) -> str:
    """What was refused, and on which file."""
    where = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, str | bytes) else ""
    return f"{where}{error.strerror or error}"


def remedy(error: OSError, folder: Path) -> str | None:
    """What helps against a full disk or missing rights; None for any other error.

    Args:
        error: What was raised; some libraries name no file in it.
        folder: Where it was being written, if the error does not say.
    """
    place = Path(os.fsdecode(error.filename)) if isinstance(error.filename, str | bytes) else folder
    if error.errno in FULL:
        return f"free some space on the disk of {place} ({free_space(place)}), then run the same command again"
    if error.errno in NOT_ALLOWED:
        return f"let the user who runs this (number {os.geteuid()}) read and write {place}, then run it again"
    return None


def of_prefect(error: BaseException) -> str | None:
    """What Prefect's client raised because of its server, in our own words; None for any other error."""
    if type(error).__module__.partition(".")[0] not in _OF_PREFECT:
        return None
    words = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
    return f"The Prefect server that records the run failed: {words}"


def free_space(folder: Path) -> str:
    """How much the disk of a folder can still take, in words."""
    for existing in (folder, *folder.parents):
        try:
            return f"{shutil.disk_usage(existing).free / 1e6:,.1f} MB are free there now"
        except OSError:
            continue
    return "it cannot be looked at"


def described_error(error: BaseException) -> str:
    """Any error in a sentence for a log: in our own words where it is one of a kind that is known."""
    if isinstance(error, OSError) and not str(error).startswith("["):
        return described(error)
    return of_prefect(error) or str(error) or type(error).__name__
