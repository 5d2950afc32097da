"""Rows on their way out of a Delta table: some nights, some columns, in bounded batches of one schema."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from typing import TYPE_CHECKING

import pyarrow as pa

from infra.runtime.lake_rows import NIGHT, stored_schema
from schemas.errors import LakeError, listed

if TYPE_CHECKING:
    import pyarrow.dataset as ds
    from deltalake import DeltaTable


def wanted_schema(opened: DeltaTable, columns: Sequence[str] | None, schema: pa.Schema | None) -> pa.Schema:
    """Return the schema that a reader asked for.

    Args:
        opened: The table.
        columns: Names in their order; all of the schema where none are given.
        schema: Today's columns; the table's own where none is given.

    Raises:
        LakeError: A column that neither has.
    """
    known = pa.schema(opened.schema().to_arrow()) if schema is None else stored_schema(schema)
    if columns is None:
        return known.remove_metadata()
    unknown = [name for name in columns if name not in known.names]
    if unknown:
        raise LakeError(
            f"{opened.table_uri} at version {opened.version()} has no column {listed(map(repr, unknown))}.",
            hint="Ask for columns that the table has; a column added later is not in older versions.",
        )
    return pa.schema([pa.field(name, known.field(name).type) for name in columns])


def scan(
    dataset: ds.Dataset, days: list[date] | None, wanted: pa.Schema, batch_rows: int, where: str
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of some nights (all, where None) as batches of the wanted schema.

    Args:
        dataset: Files of a table.
        days: The nights.
        wanted: A column that the dataset lacks is null.
        batch_rows: The most rows in a batch.
        where: The table and its version, for the error.

    Raises:
        LakeError: A file is missing or damaged.
    """
    import pyarrow.dataset as ds

    keep = None if days is None else ds.field(NIGHT).isin(pa.array(days, pa.date32()))
    present = [name for name in wanted.names if name in dataset.schema.names]
    try:
        # Arrow reads four files and sixteen batches ahead, which a reader of large nights would have to hold.
        ahead = {"batch_readahead": 1, "fragment_readahead": 0, "use_threads": False}
        for batch in dataset.to_batches(columns=present, filter=keep, batch_size=batch_rows, **ahead):
            if batch.num_rows:
                yield _brought_to(batch, wanted)
    except (OSError, pa.ArrowException) as error:
        raise LakeError(
            f"{where} cannot be read: {error}",
            hint="Files of the table are missing or damaged, or a column changed its type; "
            "run the night again with --force.",
        ) from error


def empty_table(schema: pa.Schema | None, columns: Sequence[str] | None) -> pa.Table:
    """Return what a table that does not exist reads as."""
    if schema is None:
        return pa.table({name: pa.array([], pa.null()) for name in columns or ()})
    stored = stored_schema(schema)
    return (stored if columns is None else pa.schema([stored.field(name) for name in columns])).empty_table()


def _brought_to(batch: pa.RecordBatch, wanted: pa.Schema) -> pa.RecordBatch:
    present = set(batch.schema.names)
    columns = [
        batch.column(field.name).cast(field.type) if field.name in present else pa.nulls(batch.num_rows, field.type)
        for field in wanted
    ]
    return pa.RecordBatch.from_arrays(columns, schema=wanted)
