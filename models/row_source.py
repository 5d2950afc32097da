"""Where the rows of a training come from: memory, or Parquet files larger than it, read one chunk ahead."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from schemas.errors import ConfigError, TrainingFailed, listed

Rows = np.ndarray[Any, np.dtype[np.float32]]
Order = np.ndarray[Any, np.dtype[np.int32]]

CHUNK_ROWS = 131_072


@dataclass(frozen=True)
class Chunk:
    """Some rows and the order in which an epoch takes them.

    Args:
        rows: float32 [rows, width], an array or a tensor.
        order: Positions within them, int32 [rows].
        at: Their positions among all rows, a slice or int64 [rows].
    """

    rows: Any
    order: Order
    at: Any


class RowSource(Protocol):
    """Rows that can be read again each epoch."""

    @property
    def width(self) -> int:
        """Numbers of a row."""

    def __len__(self) -> int: ...

    def epoch(self, order: np.random.Generator) -> Iterator[Chunk]:
        """The rows in a new order, in chunks."""

    def in_place(self) -> Iterator[Rows]:
        """The rows in their own order, in chunks."""


class MemoryRows:
    """Rows in memory: one chunk, in an order over all of them.

    Args:
        rows: float32 [rows, width].
    """

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._tensor: Any = None

    @property
    def width(self) -> int:
        """Numbers of a row."""
        return int(self._rows.shape[1])

    def __len__(self) -> int:
        return len(self._rows)

    def epoch(self, order: np.random.Generator) -> Iterator[Chunk]:
        """All rows, permuted."""
        if self._tensor is None:
            import tensorflow as tf

            self._tensor = tf.constant(self._rows)
        yield Chunk(self._tensor, order.permutation(len(self)).astype(np.int32), slice(None))

    def in_place(self) -> Iterator[Rows]:
        """All rows."""
        yield self._rows


@dataclass(frozen=True)
class _Group:
    """A row group.

    Args:
        path: Its file.
        at: Its number in the file.
        start: Rows of all groups before it.
        rows: Its own rows.
    """

    path: Path
    at: int
    start: int
    rows: int


class ParquetRows:
    """Rows in Parquet files, read in chunks of whole row groups while the chunk before is trained on.

    The order of row groups changes each epoch, and so does the order within a chunk; rows of one row group stay in
    one chunk. Files whose rows are sorted by something that matters are better written in another order first.

    Args:
        paths: The files; all have the columns.
        columns: Columns that are the row's numbers, in order; all columns of the first file where none are given.
        chunk_rows: Rows that a chunk has at least; two chunks are in memory at a time.

    Raises:
        ConfigError: When a file cannot be read, there is no row, or a column is missing or not numeric.
        TrainingFailed: While rows are read: when values are missing or infinite.
    """

    def __init__(
        self, paths: Sequence[Path], columns: Sequence[str] | None = None, *, chunk_rows: int = CHUNK_ROWS
    ) -> None:
        self._groups: list[_Group] = []
        self._count = 0
        for path in paths:
            columns = self._add(path, columns)
        if self._count == 0:
            raise ConfigError("the Parquet files hold no row", hint="name files that hold rows to learn from")
        self._columns = list(columns or [])
        self._chunk_rows = chunk_rows

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it reads, in order."""
        return tuple(self._columns)

    def _add(self, path: Path, columns: Sequence[str] | None) -> Sequence[str]:
        """Note where a file's row groups are; the columns that are taken of it."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        if not path.is_file():
            raise ConfigError(f"there is no file {path}")
        try:
            with pq.ParquetFile(path) as file:
                schema = file.schema_arrow
                counts = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
        except (OSError, pa.ArrowInvalid) as error:
            raise ConfigError(f"{path} cannot be read: {error}", hint="it must be a whole Parquet file") from None
        columns = schema.names if columns is None else columns
        _check_columns(path, schema, columns)
        for group, count in enumerate(counts):
            self._groups.append(_Group(path, group, self._count, count))
            self._count += count
        return columns

    @property
    def width(self) -> int:
        """Numbers of a row."""
        return len(self._columns)

    def __len__(self) -> int:
        return self._count

    def epoch(self, order: np.random.Generator) -> Iterator[Chunk]:
        """The row groups in a new order; the rows of a chunk permuted."""
        groups = [self._groups[at] for at in order.permutation(len(self._groups))]
        for rows, at in self._ahead(groups):
            yield Chunk(rows, order.permutation(len(rows)).astype(np.int32), at)

    def in_place(self) -> Iterator[Rows]:
        """The rows in the files' order."""
        for rows, _ in self._ahead(self._groups):
            yield rows

    def _ahead(self, groups: Sequence[_Group]) -> Iterator[tuple[Rows, Any]]:
        """Chunks, each read by a thread while the one before is used."""
        ready: queue.Queue[Any] = queue.Queue(maxsize=1)
        is_left = threading.Event()

        def put(thing: Any) -> None:
            while not is_left.is_set():
                try:
                    ready.put(thing, timeout=0.1)
                    return
                except queue.Full:
                    continue

        def read() -> None:
            try:
                for chunk in self._chunks(groups):
                    put(chunk)
                    if is_left.is_set():
                        return
                put(None)
            except Exception as error:  # noqa: BLE001  (raised again where the chunks are used)
                put(error)

        reader = threading.Thread(target=read, name="rows", daemon=True)
        reader.start()
        try:
            while (found := ready.get()) is not None:
                if isinstance(found, Exception):
                    raise found
                yield found
        finally:
            is_left.set()
            reader.join()

    def _chunks(self, groups: Sequence[_Group]) -> Iterator[tuple[Rows, Any]]:
        parts: list[Rows] = []
        places: list[Any] = []
        for group in groups:
            parts.append(self._read(group.path, group.at))
            places.append(np.arange(group.start, group.start + group.rows))
            if sum(map(len, parts)) >= self._chunk_rows:
                yield np.concatenate(parts), np.concatenate(places)
                parts, places = [], []
        if parts:
            yield np.concatenate(parts), np.concatenate(places)

    def _read(self, path: Path, group: int) -> Rows:
        import pyarrow as pa
        import pyarrow.parquet as pq

        with pq.ParquetFile(path) as file:
            table = file.read_row_group(group, columns=self._columns)
        rows = np.empty((table.num_rows, len(self._columns)), dtype=np.float32)
        for at, name in enumerate(self._columns):
            rows[:, at] = table[name].cast(pa.float32(), safe=False).to_numpy()
        if not np.isfinite(rows).all():
            odd = [name for at, name in enumerate(self._columns) if not np.isfinite(rows[:, at]).all()]
            raise TrainingFailed(
                f"{path}: missing or infinite values in {listed(odd)}", hint="fill them in, or leave the columns out"
            )
        return rows


def _check_columns(path: Path, schema: Any, columns: Sequence[str]) -> None:
    """Refuse columns that a file lacks or that hold no numbers."""
    import pyarrow as pa

    if not columns:
        raise ConfigError(f"no column of {path} is named", hint="name the columns that are a row's numbers")
    if missing := [name for name in columns if name not in schema.names]:
        raise ConfigError(f"{path} has no column {listed(missing)}", hint=f"it has {listed(schema.names)}")
    for name in columns:
        kind = schema.field(name).type
        if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
            raise ConfigError(f"column {name} of {path} is not numeric: {kind}", hint="name the numeric columns")
