"""A table as a file for other tools: Parquet, CSV or JSON lines, written part by part, there only when it is whole."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from schemas.errors import SerenoError, UsageError

_BATCH = 10_000
_ISO = "%Y-%m-%dT%H:%M:%SZ"


class _Form(Protocol):
    """A way to write a table's parts."""

    def write(self, table: pa.Table) -> None:
        """Write rows behind those that were written."""

    def close(self) -> None:
        """Write what stands at the file's end."""


def check_target(target: Path) -> None:
    """Refuse a file that could not be written, before anything slow is done.

    Raises:
        UsageError: Another suffix than `.csv`, `.jsonl` or `.parquet`, or the folder does not exist.
    """
    if target.suffix.lower() not in _FORMS:
        raise UsageError(
            f"{target}: the form {target.suffix or 'without a suffix'} is not known",
            hint=f"end the file's name with one of: {', '.join(_FORMS)}",
        )
    if not target.parent.is_dir():
        raise UsageError(f"{target.parent}: no such folder", hint="make it first, or write to another one")


@contextmanager
def table_file(target: Path, schema: pa.Schema) -> Iterator[Callable[[pa.Table], None]]:
    """Yield what writes rows to a file; it appears as a whole when the block ends, and not at all when it fails.

    Args:
        target: A `.csv`, `.jsonl` or `.parquet` file.
        schema: Columns of the tables that will be written.

    Raises:
        UsageError: As `check_target` does.
        SerenoError: The file cannot be written.
    """
    check_target(target)
    draft = target.with_name(f".{target.name}.{os.getpid()}.draft")
    try:
        with _refusals_told(target):
            file = draft.open("wb")
        with _closed_anyway(file):
            with _refusals_told(target):
                form = _FORMS[target.suffix.lower()](file, schema)
            with _closed_anyway(form):
                yield _telling(form.write, target)
                with _refusals_told(target):
                    form.close()
            with _refusals_told(target):
                file.close()
        with _refusals_told(target):
            draft.replace(target)
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)


def _telling(write: Callable[[pa.Table], None], target: Path) -> Callable[[pa.Table], None]:
    def told(table: pa.Table) -> None:
        with _refusals_told(target):
            write(table)

    return told


@contextmanager
def _closed_anyway(open_one: IO[bytes] | _Form) -> Iterator[None]:
    """Close it also when the block fails: what is forgotten open tries it itself, where nobody can be told."""
    try:
        yield
    except BaseException:
        with suppress(OSError):
            open_one.close()
        raise


@contextmanager
def _refusals_told(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SerenoError(f"{target}: cannot be written: {error.strerror or error}") from error


class _Parquet:
    def __init__(self, file: IO[bytes], schema: pa.Schema) -> None:
        import pyarrow.parquet as pq

        self._writer = pq.ParquetWriter(file, schema)
        self.write: Callable[[pa.Table], None] = self._writer.write_table
        self.close: Callable[[], None] = self._writer.close


class _Csv:
    """Texts always in quotes, with their exact characters: a cell such as ``=1+1`` stays what the data had."""

    def __init__(self, file: IO[bytes], schema: pa.Schema) -> None:
        from pyarrow import csv

        options = csv.WriteOptions(include_header=True, quoting_style="needed")
        self._writer = csv.CSVWriter(file, _flat(schema.empty_table()).schema, write_options=options)
        self.close: Callable[[], None] = self._writer.close

    def write(self, table: pa.Table) -> None:
        """Write rows behind those that were written."""
        self._writer.write_table(_flat(table))


class _JsonLines:
    def __init__(self, file: IO[bytes], schema: pa.Schema) -> None:
        del schema  # each line names its columns
        self._file = file

    def write(self, table: pa.Table) -> None:
        """Write rows behind those that were written."""
        for batch in _iso_times(table).to_batches(_BATCH):
            rows = _in_json(batch)
            self._file.write("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode())

    def close(self) -> None:
        """Nothing stands at the end."""


def _flat(table: pa.Table) -> pa.Table:
    """Times as ISO text, lists as JSON."""
    for at, field in enumerate(table.schema):
        if pa.types.is_nested(field.type):
            texts = [json.dumps(item, ensure_ascii=False) for item in table[field.name].to_pylist()]
            table = table.set_column(at, field.name, pa.array(texts, pa.string()))
    return _iso_times(table)


def _iso_times(table: pa.Table) -> pa.Table:
    for at, field in enumerate(table.schema):
        if pa.types.is_timestamp(field.type):
            table = table.set_column(at, field.name, pc.strftime(table[field.name], format=_ISO))
    return table


def _in_json(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    """Rows; numbers that JSON does not know, such as infinities, as text."""
    rows: list[dict[str, Any]] = batch.to_pylist()
    for name in (field.name for field in batch.schema if pa.types.is_floating(field.type)):
        if not pc.all(pc.is_finite(batch[name]), min_count=0).as_py():
            for row in rows:
                if row[name] is not None and not math.isfinite(row[name]):
                    row[name] = str(row[name])
    return rows


_FORMS: dict[str, Callable[[IO[bytes], pa.Schema], _Form]] = {
    ".csv": _Csv,
    ".jsonl": _JsonLines,
    ".parquet": _Parquet,
}
