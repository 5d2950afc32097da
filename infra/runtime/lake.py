"""The lake: Delta tables, one a (dataset, name), partitioned by night.

A night replaces its own partition in one commit; readers pin the versions that the state database names. Rows that a
run wrote before it died are therefore in the table, but in nobody's version.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import pyarrow as pa

from infra.runtime.lake_pinned import pinned_dataset
from infra.runtime.lake_rows import NIGHT, check_columns, rows_of_night, stored_schema
from infra.runtime.lake_scan import empty_table, scan, wanted_schema
from infra.runtime.lake_space import check_space
from infra.runtime.lake_tables import commit, missing_table, open_table, require_table, run_of
from infra.runtime.lake_vacuum import TableFiles
from infra.runtime.nights import Night, as_night
from schemas.errors import LakeError

if TYPE_CHECKING:
    from deltalake import DeltaTable

BATCH_ROWS = 65_536

NightsAsked: TypeAlias = "Sequence[Night] | Mapping[date, int] | Mapping[str, int] | None"

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}")


class Lake:
    """The Delta tables of one project.

    Args:
        root_uri: A local folder or an address that deltalake's object store knows (``s3://``, ``gs://``, ``az://``).
        storage_options: Credentials and the like for the object store.
    """

    def __init__(self, root_uri: str | Path, storage_options: Mapping[str, str] | None = None) -> None:
        self._root = str(root_uri).rstrip("/")
        self._options = dict(storage_options or {})

    def uri(self, dataset: str, table: str) -> str:
        """Return the address of a table, which any Delta reader opens."""
        for name in (dataset, table):
            if not _NAME.fullmatch(name):
                raise LakeError(f"{name!r} cannot be the name of a table or dataset.")
        return f"{self._root}/{dataset}/{table}"

    def replace_night(
        self,
        dataset: str,
        table: str,
        night: Night,
        data: pa.Table | Sequence[Path],
        schema: pa.Schema,
        *,
        run_id: str | None = None,
    ) -> int:
        """Replace one night's rows in one commit; no rows empty the night.

        Args:
            dataset: The dataset's name.
            table: The table's name.
            night: The logical date; the column `night` is set from it, whatever the data holds.
            data: A table, or Parquet files that are streamed, in their order.
            schema: The table's columns; data is cast to it, a column that the data lacks is null.
                A column that the stored table lacks is added to it.
            run_id: Stands in the commit's own metadata.

        Returns:
            The Delta version that holds the night.

        Raises:
            LakeError: A column that the schema does not name, a value that does not fit, rows that the disk cannot
                take, or the store failed.
        """
        day = as_night(night)
        stored = stored_schema(schema)
        check_columns(data, stored)
        check_space(self.uri(dataset, table), data)
        return commit(
            self.uri(dataset, table),
            self._options,
            stored,
            lambda columns: rows_of_night(data, columns, day),
            day,
            run_id,
        )

    def version(self, dataset: str, table: str) -> int | None:
        """Return the newest version of a table, None where there is no table."""
        opened = self._open(dataset, table, None)
        return None if opened is None else int(opened.version())

    def written_by(self, dataset: str, table: str, version: int) -> str | None:
        """Return the run whose commit made a version, None where the lake has no such version, or not by a run."""
        return run_of(self.uri(dataset, table), self._options, version)

    def nights(self, dataset: str, table: str, version: int | None = None) -> list[date]:
        """Return the nights that have rows, oldest first."""
        opened = self._open(dataset, table, version)
        if opened is None:
            return []
        return sorted({date.fromisoformat(str(part[NIGHT])) for part in opened.partitions()})

    def files(self, dataset: str, table: str, night: Night, version: int | None = None) -> list[str]:
        """Return the Parquet files of one night (local paths, or addresses), sorted.

        The files hold every column but `night`, which is the partition.
        """
        opened = self._open(dataset, table, version)
        if opened is None:
            return []
        day = as_night(night)
        return sorted(opened.file_uris(file_pruning_predicate=[(NIGHT, "=", day.isoformat())]))

    def table_files(self, dataset: str, table: str) -> TableFiles | None:
        """Return the files of a table, to look at or to remove; None where there is no table."""
        opened = self._open(dataset, table, None)
        return None if opened is None else TableFiles(self.uri(dataset, table), opened, self._options)

    def batches(
        self,
        dataset: str,
        table: str,
        nights: NightsAsked = None,
        version: int | None = None,
        columns: Sequence[str] | None = None,
        *,
        schema: pa.Schema | None = None,
        batch_rows: int = BATCH_ROWS,
    ) -> Iterator[pa.RecordBatch]:
        """Yield rows in bounded batches; the order of rows within a night is not promised.

        Args:
            dataset: The dataset's name.
            table: The table's name.
            nights: Those nights only; a mapping pins a version for each (`State.pins` makes one).
            version: The version to read, where `nights` is not a mapping; None is the newest.
            columns: Those columns only, in this order.
            schema: The columns as today's dataset file has them; the table's own where none is given. Each batch is
                brought to it, a column that an older version lacks is null.
            batch_rows: The most rows in a batch.

        Raises:
            LakeError: The version or a column is not there, or the store failed.
        """
        opened = self._open(dataset, table, None if isinstance(nights, Mapping) else version)
        if opened is None and isinstance(nights, Mapping) and nights:
            raise missing_table(self.uri(dataset, table))
        if opened is not None:
            yield from self._rows(opened, nights, wanted_schema(opened, columns, schema), batch_rows)

    def read(
        self,
        dataset: str,
        table: str,
        nights: NightsAsked = None,
        version: int | None = None,
        columns: Sequence[str] | None = None,
        *,
        schema: pa.Schema | None = None,
    ) -> pa.Table:
        """Read rows into memory; arguments and errors as for `batches`.

        A table that does not exist reads as no rows of `schema` (of no columns, where none is given).
        """
        pinned = isinstance(nights, Mapping)
        opened = self._open(dataset, table, None if pinned else version)
        if opened is None and not (pinned and nights):
            return empty_table(schema, columns)
        if opened is None:
            raise missing_table(self.uri(dataset, table))
        wanted = wanted_schema(opened, columns, schema)
        return pa.Table.from_batches(list(self._rows(opened, nights, wanted, BATCH_ROWS)), schema=wanted)

    def _rows(
        self, opened: DeltaTable, nights: NightsAsked, wanted: pa.Schema, batch_rows: int
    ) -> Iterator[pa.RecordBatch]:
        if not isinstance(nights, Mapping):
            days = None if nights is None else [as_night(night) for night in nights]
            if days != []:
                yield from scan(opened.to_pyarrow_dataset(), days, wanted, batch_rows, _place(opened))
            return
        for day, version in sorted((as_night(night), pinned) for night, pinned in nights.items()):
            of_night = pinned_dataset(opened, self._options, day, version)
            if of_night is None:
                of_night = require_table(opened.table_uri, self._options, version).to_pyarrow_dataset()
            yield from scan(of_night, [day], wanted, batch_rows, f"{opened.table_uri} at version {version}")

    def _open(self, dataset: str, table: str, version: int | None) -> DeltaTable | None:
        return open_table(self.uri(dataset, table), self._options, version)


def _place(opened: DeltaTable) -> str:
    return f"{opened.table_uri} at version {opened.version()}"
