"""Staged files of the work folder: parts of bounded size, and the rows that could not be split into fields."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

RAW = 10_000
FLUSH = 5_000


@dataclass(frozen=True)
class StagedPart:
    """Rows of one file in the order of the file.

    Args:
        path: Parquet: the contract's columns that the file has, `sereno_file`, `sereno_line`.
        file: Base name of the source file.
        rows: Number of rows.
    """

    path: Path
    file: str
    rows: int


class PartWriter:
    """Writes tables into parts of at most `limit` rows.

    Args:
        folder: Where the parts go.
        file: Base name of the source file.
        limit: Most rows of one part.
    """

    def __init__(self, folder: Path, file: str, limit: int) -> None:
        self._folder, self._file, self._limit = folder, file, limit
        self._waiting: list[Any] = []
        self._rows = 0
        self.parts: list[StagedPart] = []

    def add(self, table: pa.Table, lines: pa.Array) -> None:
        """Take rows.

        Args:
            table: The contract's columns, [rows].
            lines: Physical line of each row, int64 [rows].
        """
        import pyarrow as pa

        if not table.num_rows:
            return
        files = pa.repeat(pa.scalar(self._file, pa.string()), table.num_rows)
        self._waiting.append(table.append_column("sereno_file", files).append_column("sereno_line", lines))
        self._rows += table.num_rows
        while self._rows >= self._limit:
            self._write(self._limit)

    def close(self) -> tuple[StagedPart, ...]:
        """Write what is left; all parts in order."""
        if self._rows:
            self._write(self._rows)
        return tuple(self.parts)

    @property
    def rows(self) -> int:
        """Rows taken so far."""
        return sum(part.rows for part in self.parts) + self._rows

    def _write(self, rows: int) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        whole = pa.concat_tables(self._waiting, promote_options="default")
        path = self._folder / f"part-{len(self.parts):05d}.parquet"
        pq.write_table(whole.slice(0, rows), path, compression="lz4")
        self.parts.append(StagedPart(path, self._file, rows))
        self._waiting = [whole.slice(rows)] if whole.num_rows > rows else []
        self._rows -= rows


def rejects_schema() -> pa.Schema:
    """Columns of the file of rejects."""
    import pyarrow as pa

    text = pa.string()
    return pa.schema(
        [("sereno_file", text), ("sereno_line", pa.int64()), ("rule", text), ("value", text), ("raw", text)]
    )


class RejectWriter:
    """Writes rows that are no rows of a table, with their place and their raw text.

    Args:
        path: Parquet file; made with the first reject.
        file: Base name of the source file.
    """

    def __init__(self, path: Path, file: str) -> None:
        self._path, self._file = path, file
        self._waiting: list[dict[str, Any]] = []
        self._writer: Any = None
        self.rows = 0

    def add(self, line: int, rule: str, value: str, raw: str) -> None:
        """Take one reject.

        Args:
            line: Its physical line.
            rule: `fields`, `encoding`, `quotes`, `json` or `time`.
            value: What was found, in words.
            raw: The row as it stood; bounded here.
        """
        row = {"sereno_file": self._file, "sereno_line": line, "rule": rule, "value": value[:RAW], "raw": raw[:RAW]}
        self._waiting.append(row)
        self.rows += 1
        if len(self._waiting) >= FLUSH:
            self._flush()

    def close(self) -> Path | None:
        """The file, or None where nothing was rejected."""
        if self._waiting:
            self._flush()
        if self._writer is None:
            return None
        self._writer.close()
        return self._path

    def _flush(self) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        if self._writer is None:
            self._writer = pq.ParquetWriter(self._path, rejects_schema())
        self._writer.write_table(pa.Table.from_pylist(self._waiting, schema=rejects_schema()))
        self._waiting = []
