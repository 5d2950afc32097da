"""Opening and committing Delta tables; the only module that calls deltalake."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

import pyarrow as pa

from infra.runtime.lake_protocol import CONFIGURATION, description, migrate, refuse_newer
from infra.runtime.lake_repair import local_folder, orphans
from infra.runtime.lake_rows import NIGHT, Rows
from schemas.errors import LakeError, listed
from schemas.failpoints import durable

if TYPE_CHECKING:
    from deltalake import DeltaTable

_TRIES = 8
_ARROW = re.compile(r"\x1b\[[0-9;]*m|↳")
_LONGEST = 500
RUN = "sereno_run"
"""What a commit's own metadata calls the run that made it."""


def open_table(uri: str, options: Mapping[str, str], version: int | None) -> DeltaTable | None:
    """Open a table at a version, None where there is no table.

    Raises:
        LakeError: The version is not there, the table was written by a newer release, or the store failed.
    """
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError, TableNotFoundError

    try:
        opened = DeltaTable(uri, version=version, storage_options=dict(options))
    except TableNotFoundError:
        if version is None:
            return None
        raise missing_table(uri) from None
    except (DeltaError, OSError) as error:
        at = "" if version is None else f" at version {version}"
        raise LakeError(
            f"{uri}{at} cannot be opened: {words_of(error)}",
            hint="Check the lake's address and credentials, and that the lake belongs to this state database.",
        ) from error
    refuse_newer(opened)
    return opened


def require_table(uri: str, options: Mapping[str, str], version: int) -> DeltaTable:
    """Open a table at a pinned version.

    Raises:
        LakeError: As for `open_table`, or there is no table.
    """
    opened = open_table(uri, options, version)
    if opened is None:
        raise missing_table(uri)
    return opened


def run_of(uri: str, options: Mapping[str, str], version: int) -> str | None:
    """Return the run that stands in a version's commit, None where there is no such version or it names none."""
    try:
        opened = open_table(uri, options, None)
    except LakeError:
        return None
    since = -1 if opened is None else opened.version() - version
    if opened is None or since < 0:
        return None
    # Of a table that was opened at a version the newest commits would be told.
    made = opened.history(since + 1)[since]
    return str(made[RUN]) if made.get(RUN) else None


def missing_table(uri: str) -> LakeError:
    """Return the error for a table whose version is pinned, but which is not there."""
    return LakeError(
        f"There is no table at {uri}, but the state database pins a version of it.",
        hint="Restore the lake beside this state database, or run the nights again with --force.",
    )


def commit(
    uri: str,
    options: Mapping[str, str],
    schema: pa.Schema,
    rows: Callable[[pa.Schema], Rows],
    night: date,
    run_id: str | None,
) -> int:
    """Replace one night by the rows in one commit and return the version.

    Args:
        uri: The table's address; made where there is none.
        options: For the object store.
        schema: The columns that the table must have; those that it lacks are added.
        rows: Gives the rows, afresh for each try, in the columns that the table has.
        night: The night that is replaced.
        run_id: Stands in the commit's own metadata.

    Raises:
        LakeError: The store failed, a column changed its type, or a value did not fit.
    """
    from deltalake.exceptions import CommitFailedError

    for attempt in range(_TRIES):
        table = _open_or_create(uri, options, schema)
        _migrate(table)
        _add_columns(table, schema)
        stream = rows(pa.schema(table.schema().to_arrow()))
        begun = datetime.now(UTC)
        try:
            return _overwrite(table, stream, night, run_id)
        except CommitFailedError as error:
            # Another night's run added a column between our look and our commit.
            if attempt == _TRIES - 1:
                raise _not_written(uri, night, words_of(error)) from error
            _wait(attempt)
        except Exception as error:  # deltalake raises bare Exception for what its engine says
            _remove_written(uri, night, begun)
            why = stream.failures[0].message if stream.failures else words_of(error)
            raise _not_written(uri, night, why) from error
    raise AssertionError


def _overwrite(table: DeltaTable, rows: Rows, night: date, run_id: str | None) -> int:
    from deltalake import CommitProperties, write_deltalake

    said = {"sereno_night": night.isoformat(), RUN: run_id or ""}
    with durable("lake.commit"):
        write_deltalake(
            table,
            rows.reader,
            mode="overwrite",
            predicate=f"{NIGHT} = '{night.isoformat()}'",
            commit_properties=CommitProperties(custom_metadata=said),
        )
    return int(table.version())


def _remove_written(uri: str, night: date, begun: datetime) -> None:
    """Remove the files of a write that failed before its commit; the caller holds the night, so nobody else wrote."""
    folder = local_folder(uri)
    for path in orphans(folder, night=night, since=begun) if folder is not None else ():
        with suppress(OSError):  # why the night was not written is what counts; the next repair finds what is left
            path.unlink()


def _not_written(uri: str, night: date, why: str) -> LakeError:
    return LakeError(
        f"{uri}: the night {night} was not written, what was there stays: {why}",
        hint="Check the lake's disk, address and credentials, then run the night again.",
    )


def _open_or_create(uri: str, options: Mapping[str, str], schema: pa.Schema) -> DeltaTable:
    from deltalake import DeltaTable

    for attempt in range(_TRIES):
        if (opened := open_table(uri, options, None)) is not None:
            return opened
        try:
            with durable("lake.create"):
                return DeltaTable.create(
                    uri,
                    schema,
                    mode="error",
                    description=description(),
                    partition_by=[NIGHT],
                    configuration=CONFIGURATION,
                    storage_options=dict(options),
                )
        except Exception as error:  # as above
            # Another run may have created it between our look and our write.
            if attempt == _TRIES - 1 or "Duplicate field name" in str(error):
                raise LakeError(f"{uri} cannot be created: {words_of(error)}") from error
            _wait(attempt)
    raise AssertionError


def _migrate(table: DeltaTable) -> None:
    from deltalake.exceptions import CommitFailedError

    for attempt in range(_TRIES):
        try:
            migrate(table)
            return
        except CommitFailedError:
            # Another night's run migrates it too.
            _wait(attempt)
        except Exception as error:  # as above
            raise LakeError(f"{table.table_uri} cannot be migrated: {words_of(error)}") from error
        table.update_incremental()


def _add_columns(table: DeltaTable, schema: pa.Schema) -> None:
    from deltalake import Schema
    from deltalake.exceptions import CommitFailedError

    for attempt in range(_TRIES):
        stored = pa.schema(table.schema().to_arrow())
        _refuse_other_types(table, stored, schema)
        new = [field for field in schema if field.name not in stored.names]
        if not new:
            return
        try:
            table.alter.add_columns(Schema.from_arrow(pa.schema(new)).fields)
        except CommitFailedError:
            _wait(attempt)
        except Exception as error:  # as above
            raise LakeError(f"{table.table_uri}: new columns cannot be added: {words_of(error)}") from error
        table.update_incremental()


def _refuse_other_types(table: DeltaTable, stored: pa.Schema, schema: pa.Schema) -> None:
    changed = [
        f"{field.name!r} is {stored.field(field.name).type} there, {field.type} now"
        for field in schema
        if field.name in stored.names and stored.field(field.name).type != field.type
    ]
    if changed:
        raise LakeError(
            f"{table.table_uri}: columns changed their type: {listed(changed)}.",
            hint="Keep the type, give the column another name (source.rename), or begin a dataset of another name.",
        )


def _wait(attempt: int) -> None:
    time.sleep(0.05 * (1 + random.random()) * (attempt + 1))  # noqa: S311 -- spreads retries, guards nothing


def words_of(error: BaseException) -> str:
    """What the engine said, in one line: it puts the cause below, with an arrow and in colour."""
    lines = [_ARROW.sub("", line).strip() for line in str(error).splitlines()]
    return ": ".join(line for line in lines if line)[:_LONGEST] or type(error).__name__
