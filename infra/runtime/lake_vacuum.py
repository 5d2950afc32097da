"""Taking nights, and files that nobody reads any more, out of a Delta table: on a disk or in an object store.

Delta's own vacuum does not know the versions that the state pins, of which the newest version need not be one.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import TYPE_CHECKING
from urllib.parse import unquote

from infra.runtime.lake_pinned import is_foreign, named_at, store_of
from infra.runtime.lake_repair import local_folder
from infra.runtime.lake_rows import NIGHT
from infra.runtime.lake_tables import RUN, require_table, words_of
from schemas.errors import LakeError
from schemas.failpoints import durable

if TYPE_CHECKING:
    from deltalake import DeltaTable
    from pyarrow import fs

_TRIES = 8
_SUFFIX = ".parquet"
GONE = "sereno_gone"
"""What a commit's own metadata calls the nights that it took away."""


@dataclass(frozen=True)
class LakeFile:
    """A file of rows in a table's folder.

    Args:
        path: Its path in the table.
        night: Whose rows it has.
        bytes: Its size.
        written: When, in seconds since 1970.
    """

    path: str
    night: date
    bytes: int
    written: float


@dataclass(frozen=True)
class Removed:
    """Files that were removed.

    Args:
        files: How many.
        bytes: Their size.
        failures: What kept others from being removed.
    """

    files: int = 0
    bytes: int = 0
    failures: tuple[str, ...] = ()


class TableFiles:
    """The files of one table as they lie there; no row is read.

    Args:
        uri: The table's address.
        opened: The table at its newest version.
        options: For the object store.
    """

    def __init__(self, uri: str, opened: DeltaTable, options: Mapping[str, str]) -> None:
        self.uri = uri
        self._opened = opened
        self._options = dict(options)

    @property
    def is_foreign(self) -> bool:
        """Whether another tool wrote to it in ways that Sereno does not know: then it is left alone."""
        return is_foreign(self._opened)

    @cached_property
    def files(self) -> tuple[LakeFile, ...]:
        """Every file of rows in the folder, whether a version names it or not.

        Raises:
            LakeError: The store failed.
        """
        from pyarrow import fs

        with _told(self.uri):
            found = self._store.get_file_info(fs.FileSelector("", allow_not_found=True, recursive=True))
        return tuple(sorted((file for info in found if (file := _as_file(info))), key=lambda file: file.path))

    @cached_property
    def newest(self) -> frozenset[str]:
        """The files that the newest version names."""
        import pyarrow as pa

        with _told(self.uri):
            actions = pa.table(self._opened.get_add_actions(flatten=True))
        return frozenset(unquote(path) for path in actions["path"].to_pylist())

    @property
    def nights(self) -> set[date]:
        """The nights that have rows in the newest version."""
        return {night for path in self.newest if (night := _night_of(path)) is not None}

    def of_nights(self, nights: Iterable[date]) -> list[LakeFile]:
        """The files of some nights."""
        wanted = set(nights)
        return [file for file in self.files if file.night in wanted]

    def unnamed(self, pins: Mapping[date, int], busy: Iterable[date], before: float) -> list[LakeFile]:
        """Files that neither the newest version names nor one that the state pins.

        Args:
            pins: The version to read each night at.
            busy: Nights on which somebody may be at work, whose files are left alone.
            before: Only files written before this moment, in seconds since 1970.

        Raises:
            LakeError: A pinned version cannot be read: then nothing can be said.
        """
        spared = set(busy)
        left = [f for f in self.files if f.path not in self.newest and f.night not in spared and f.written < before]
        nights = {file.night for file in left} & pins.keys()
        named = {path for night in nights for path in self._named(night, pins[night])}
        return [file for file in left if file.path not in named]

    def delete_nights(self, nights: Iterable[date], run_id: str = "") -> int:
        """Take nights out of the table in one commit, and return the version that lacks them; their files stay.

        The caller holds the nights, and the state does not pin them any more.

        Raises:
            LakeError: The store failed.
        """
        from deltalake import CommitProperties
        from deltalake.exceptions import CommitFailedError

        days = ", ".join(f"'{night.isoformat()}'" for night in sorted(set(nights)))
        said = CommitProperties(custom_metadata={GONE: days.replace("'", ""), RUN: run_id})
        for attempt in range(_TRIES):
            try:
                with durable("lake.delete"):
                    self._opened.delete(f"{NIGHT} IN ({days})", commit_properties=said)
                return int(self._opened.version())
            except CommitFailedError as error:
                # Another night's run committed between our look and our commit.
                if attempt == _TRIES - 1:
                    raise _not_done(self.uri, error) from error
                time.sleep(0.05 * (1 + random.random()) * (attempt + 1))  # noqa: S311 -- spreads retries
                self._opened.update_incremental()
            except Exception as error:  # deltalake raises bare Exception for what its engine says
                raise _not_done(self.uri, error) from error
        raise AssertionError

    def remove(self, files: Iterable[LakeFile]) -> Removed:
        """Remove files, each by itself: what cannot be removed is told and does not keep the others."""
        count = size = 0
        failures = []
        for file in files:
            try:
                with durable("lake.remove"):
                    self._store.delete_file(file.path)
            except FileNotFoundError:  # somebody else removed it
                continue
            except OSError as error:
                failures.append(f"{self.uri}/{file.path}: {words_of(error)}")
                continue
            count, size = count + 1, size + file.bytes
        return Removed(count, size, tuple(failures))

    def remove_folders(self, nights: Iterable[date]) -> None:
        """Remove the empty folders of nights that the caller holds; an object store has none."""
        folder = local_folder(self.uri)
        if folder is None:
            return
        for night in nights:
            with suppress(OSError):
                (folder / f"{NIGHT}={night.isoformat()}").rmdir()

    @cached_property
    def _store(self) -> fs.FileSystem:
        return store_of(self._opened, self._options)

    def _named(self, night: date, version: int) -> set[str]:
        named = named_at(self._opened, self._options, night, version)
        if named is None:
            then = TableFiles(self.uri, require_table(self.uri, self._options, version), self._options)
            named = {path for path in then.newest if _night_of(path) == night}
        return named


def _as_file(info: fs.FileInfo) -> LakeFile | None:
    night = _night_of(info.path)
    if night is None or not info.is_file or not info.path.endswith(_SUFFIX):
        return None
    return LakeFile(info.path, night, int(info.size or 0), info.mtime.timestamp())


def _night_of(path: str) -> date | None:
    """The night whose folder a file lies in; what lies elsewhere, such as the log, is not ours to remove."""
    folder, _, name = path.partition("/")
    key, _, value = folder.partition("=")
    try:
        return date.fromisoformat(value) if key == NIGHT and name and "/" not in name else None
    except ValueError:
        return None


@contextmanager
def _told(uri: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # deltalake raises bare Exception for what its engine says
        raise LakeError(
            f"{uri}: its files cannot be listed: {words_of(error)}",
            hint="Check the lake's disk, address and credentials.",
        ) from error


def _not_done(uri: str, error: BaseException) -> LakeError:
    return LakeError(
        f"{uri}: the nights were not taken away: {words_of(error)}",
        hint="Check the lake's disk, address and credentials, then do it again: sereno vacuum.",
    )
