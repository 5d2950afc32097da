"""Files in a table's folder that no commit names: what a writer left that was stopped before its commit."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from datetime import date, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from infra.runtime.lake_rows import NIGHT

_LOG = "_delta_log"
_STAGED = "#"  # how the object store names a file that is not in its place yet


def local_folder(uri: str) -> Path | None:
    """The path of a table on this machine's disk, None for one in an object store."""
    parts = urlsplit(uri)
    return Path(uri) if not parts.scheme else Path(parts.path) if parts.scheme == "file" else None


def orphans(table: Path, *, night: date | None = None, since: datetime | None = None) -> list[Path]:
    """Return the files of a local table that no commit ever named.

    A commit's own file may follow at any moment: the caller knows that nobody writes to the night. Where the log cannot
    be read as a whole nothing can be said, and no file is returned.

    Args:
        table: The table's folder.
        night: Only files of this night; of all nights where none is given.
        since: Only files written after this moment.
    """
    pattern = "*" if night is None else night.isoformat()
    found = [path for path in table.glob(f"{NIGHT}={pattern}/*") if path.is_file() and _is_after(path, since)]
    if not found:
        return []
    try:
        named = set(_named(table))
    except (OSError, ValueError):
        return []
    return sorted(path for path in found if str(path.relative_to(table)) not in named)


def staged_commits(table: Path) -> list[Path]:
    """Return what a commit left that was stopped while it wrote its entry into the table's log."""
    return sorted(path for path in (table / _LOG).glob(f"*{_STAGED}*") if path.is_file())


def _is_after(path: Path, since: datetime | None) -> bool:
    with suppress(FileNotFoundError):
        return since is None or path.stat().st_mtime >= since.timestamp()
    return False


def _named(table: Path) -> Iterator[str]:
    """Every file that an entry of the log ever added.

    Raises:
        ValueError: Another tool cleaned up the log's beginning, or an entry is not whole.
        OSError: An entry cannot be read.
    """
    entries = sorted(path for path in (table / _LOG).glob("*.json") if path.stem.isdigit())
    if not entries or [int(entry.stem) for entry in entries] != list(range(len(entries))):
        raise ValueError("entries are missing")
    for entry in entries:
        for line in entry.read_text(encoding="utf-8").splitlines():
            added: dict[str, Any] = json.loads(line).get("add") or {}
            if "path" in added:
                yield unquote(str(added["path"]))
