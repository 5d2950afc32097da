"""Opening and committing Delta tables; the only module that calls deltalake."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING

import pyarrow as pa

from infra.runtime.lake_rows import NIGHT, Rows
from schemas.errors import LakeError

if TYPE_CHECKING:
    from deltalake import DeltaTable

LAKE_PROTOCOL = 1
"""Raised when an older release could not read what we write."""

_CONFIGURATION: Mapping[str, str | None] = {
    # State pins versions for good: the log must not be cleaned up behind its back.
    "delta.enableExpiredLogCleanup": "false",
    "delta.logRetentionDuration": "interval 36500 days",
}
_TRIES = 8


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
        raise LakeError(
            f"There is no table at {uri}, but version {version} of it is pinned.",
            hint="Restore the lake beside this state database, or run the nights again with --force.",
        ) from None
    except (DeltaError, OSError) as error:
        at = "" if version is None else f" at version {version}"
        raise LakeError(
            f"{uri}{at} cannot be opened: {_first_line(error)}",
            hint="Check the lake's address and credentials, and that the lake belongs to this state database.",
        ) from error
    _refuse_newer(opened, uri)
    return opened


def commit(uri: str, options: Mapping[str, str], rows: Rows, night: date, run_id: str | None) -> int:
    """Replace one night by the rows in one commit and return the version.

    Raises:
        LakeError: The store failed, or a value did not fit.
    """
    from deltalake import CommitProperties, write_deltalake

    told = CommitProperties(custom_metadata={"sereno_night": night.isoformat(), "sereno_run": run_id or ""})
    table = _open_or_create(uri, options, rows.reader.schema)
    try:
        write_deltalake(
            table,
            rows.reader,
            mode="overwrite",
            predicate=f"{NIGHT} = '{night.isoformat()}'",
            schema_mode="merge",
            commit_properties=told,
        )
    except Exception as error:  # deltalake raises bare Exception for what its engine says
        why = rows.failures[0].message if rows.failures else _first_line(error)
        raise LakeError(
            f"{uri}: the night {night} was not written, what was there stays: {why}",
            hint="Check the lake's disk, address and credentials, then run the night again.",
        ) from error
    return int(table.version())


def _open_or_create(uri: str, options: Mapping[str, str], schema: pa.Schema) -> DeltaTable:
    from deltalake import DeltaTable

    for attempt in range(_TRIES):
        if (opened := open_table(uri, options, None)) is not None:
            return opened
        try:
            return DeltaTable.create(
                uri,
                schema,
                mode="error",
                description=json.dumps({"sereno_protocol": LAKE_PROTOCOL}),
                partition_by=[NIGHT],
                configuration=_CONFIGURATION,
                storage_options=dict(options),
            )
        except Exception as error:
            # Another run may have created it between our look and our write.
            if attempt == _TRIES - 1:
                raise LakeError(f"{uri} cannot be created: {_first_line(error)}") from error
            time.sleep(0.05 * (1 + random.random()) * (attempt + 1))  # noqa: S311 -- spreads retries, guards nothing
    raise AssertionError


def _refuse_newer(opened: DeltaTable, uri: str) -> None:
    description = opened.metadata().description
    try:
        protocol = int(json.loads(description or "{}").get("sereno_protocol", 1))
    except (ValueError, AttributeError, TypeError):
        return
    if protocol > LAKE_PROTOCOL:
        raise LakeError(
            f"{uri} was written with protocol {protocol}; this release knows {LAKE_PROTOCOL}.",
            hint="Upgrade Sereno on this machine to the release that wrote the lake: pip install --upgrade sereno.",
        )


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
