"""Rows on their way into a Delta table: cast to the table's schema, stamped with their night, streamed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import pyarrow as pa

from schemas.errors import LakeError, listed
from schemas.failpoints import durable

NIGHT = "night"
READ_ROWS = 65_536


@dataclass(frozen=True)
class Rows:
    """A stream of rows, and why it broke off: the store's own error buries ours in its text.

    Args:
        reader: The batches, to be read once.
        failures: Filled while reading; empty or one error.
    """

    reader: pa.RecordBatchReader
    failures: list[LakeError] = field(default_factory=list)


def stored_schema(schema: pa.Schema) -> pa.Schema:
    """Return a table's columns with the partition column `night` (date32) last."""
    fields = [pa.field(field.name, field.type) for field in schema if field.name != NIGHT]
    return pa.schema([*fields, pa.field(NIGHT, pa.date32())])


def check_columns(data: pa.Table | Sequence[Path], schema: pa.Schema) -> None:
    """Refuse, before anything is written, a file that is no Parquet and a column that the schema does not name.

    Raises:
        LakeError: As said.
    """
    if isinstance(data, pa.Table):
        _refuse_unknown(data.schema, schema, "the rows")
    else:
        for path in data:
            _refuse_unknown(_schema_of(path), schema, path.name)


def rows_of_night(data: pa.Table | Sequence[Path], schema: pa.Schema, night: date) -> Rows:
    """Return the rows as a stream of batches of one schema.

    Args:
        data: A table, or Parquet files in their order.
        schema: The table's columns, `night` among them; what the data lacks is null.
        night: The value of `night` in each row.

    Raises:
        LakeError: While the stream is read: a file cannot be read, or a value does not fit its type.
    """
    batches = iter(data.to_batches(max_chunksize=READ_ROWS)) if isinstance(data, pa.Table) else _batches_of(data)
    failures: list[LakeError] = []
    stamped = _stamped_all(batches, schema, night, failures)
    return Rows(pa.RecordBatchReader.from_batches(schema, stamped), failures)


def _schema_of(path: Path) -> pa.Schema:
    import pyarrow.parquet as pq

    try:
        return pq.read_schema(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise LakeError(f"{path} cannot be read as Parquet: {error}") from error


def _batches_of(paths: Sequence[Path]) -> Iterator[pa.RecordBatch]:
    import pyarrow.parquet as pq

    for path in paths:
        with pq.ParquetFile(path) as file:
            yield from file.iter_batches(batch_size=READ_ROWS)


def _stamped_all(
    batches: Iterator[pa.RecordBatch], schema: pa.Schema, night: date, failures: list[LakeError]
) -> Iterator[pa.RecordBatch]:
    try:
        # Files are written while rows are read, so that a stop at their end leaves files that no commit names.
        with durable("lake.rows"):
            for batch in batches:
                yield _stamped(batch, schema, night)
    except LakeError as error:
        failures.append(error)
        raise
    except (OSError, pa.ArrowException) as error:
        failures.append(LakeError(f"The rows cannot be read: {error}"))
        raise failures[-1] from error


def _stamped(batch: pa.RecordBatch, schema: pa.Schema, night: date) -> pa.RecordBatch:
    rows = batch.num_rows
    names = set(batch.schema.names)
    columns = [
        _filled(night, rows)
        if field.name == NIGHT
        else _cast(batch.column(field.name), field)
        if field.name in names
        else pa.nulls(rows, field.type)
        for field in schema
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _filled(night: date, rows: int) -> pa.Array:
    return pa.repeat(pa.scalar(night, pa.date32()), rows)


def _cast(column: pa.Array, field: pa.Field) -> pa.Array:
    if column.type == field.type:
        return column
    try:
        return column.cast(field.type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise LakeError(f"Column {field.name!r} does not fit {field.type}: {error}") from error


def _refuse_unknown(found: pa.Schema, schema: pa.Schema, where: str) -> None:
    unknown = [name for name in found.names if name not in schema.names and name != NIGHT]
    if unknown:
        raise LakeError(
            f"The table has no column {listed(map(repr, unknown))}, which {where} would write.",
            hint="Name the column in the dataset file, or leave it out.",
        )
