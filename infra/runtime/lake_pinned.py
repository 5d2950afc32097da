"""A night at a pinned version, by the one commit that wrote it: one small file of the log, however long the log is.

Opening a table at an old version lists its whole log and reads from the checkpoint before. But a night is replaced as a
whole in one commit, which therefore names every file that the night has at that version.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from infra.runtime.lake_rows import NIGHT

if TYPE_CHECKING:
    import pyarrow.dataset as ds
    from deltalake import DeltaTable
    from pyarrow import fs

_PLAIN_READER = 1
"""Delta's own reader version without deletion vectors and column mapping."""


@dataclass(frozen=True)
class _File:
    path: str
    size: int


def pinned_dataset(opened: DeltaTable, options: Mapping[str, str], night: date, version: int) -> ds.Dataset | None:
    """Return a night's rows at the version that wrote it.

    Args:
        opened: The table at its newest version, which has every column that an older one has.
        options: For the object store.
        night: The night.
        version: Where the state pins it.

    Returns:
        None where the commit of that version does not tell: it is not there, or is not the one that wrote the night.
    """
    import pyarrow as pa
    import pyarrow.dataset as ds

    if is_foreign(opened):
        return None
    files = _files(store_of(opened, options), night, version)
    if files is None:
        return None
    store = store_of(opened, options, {file.path: file.size for file in files})
    form = ds.ParquetFileFormat()
    of_night = ds.field(NIGHT) == pa.scalar(night, pa.date32())
    fragments = [form.make_fragment(file.path, filesystem=store, partition_expression=of_night) for file in files]
    return ds.FileSystemDataset(fragments, pa.schema(opened.schema().to_arrow()), form, store)


def named_at(opened: DeltaTable, options: Mapping[str, str], night: date, version: int) -> set[str] | None:
    """The files, by their path in the table, that a night has at the version that wrote it; None as above."""
    files = None if is_foreign(opened) else _files(store_of(opened, options), night, version)
    return None if files is None else {file.path for file in files}


def is_foreign(opened: DeltaTable) -> bool:
    """Whether another tool gave the table what Sereno does not know, such as deletion vectors."""
    return opened.protocol().min_reader_version > _PLAIN_READER


def store_of(opened: DeltaTable, options: Mapping[str, str], sizes: Mapping[str, int] | None = None) -> fs.FileSystem:
    """A table's files, wherever it lies."""
    from deltalake.fs import DeltaStorageHandler
    from pyarrow import fs

    return fs.PyFileSystem(DeltaStorageHandler(opened.table_uri, dict(options), dict(sizes or {})))


def _files(store: fs.FileSystem, night: date, version: int) -> list[_File] | None:
    try:
        with store.open_input_stream(f"_delta_log/{version:020d}.json") as commit:
            actions = [json.loads(line) for line in commit.read().splitlines() if line.strip()]
        said = [action["commitInfo"].get("sereno_night") for action in actions if "commitInfo" in action]
        files = [_file(action["add"], night) for action in actions if "add" in action]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return files if said == [night.isoformat()] else None


def _file(add: dict[str, Any], night: date) -> _File:
    path = unquote(add["path"])
    if add["partitionValues"][NIGHT] != night.isoformat() or urlsplit(path).scheme or path.startswith("/"):
        raise ValueError(path)
    if ".." in path.split("/") or add.get("deletionVector"):
        raise ValueError(path)
    return _File(path, int(add["size"]))
