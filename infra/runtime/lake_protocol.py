"""The form of a Delta table: its protocol number and properties; an older one is migrated, a newer one refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from schemas.errors import LakeError

if TYPE_CHECKING:
    from deltalake import DeltaTable

LAKE_PROTOCOL = 2
"""Raised when an older release could not read what we write, or would not write it as we do.

1: the log is summed up (a checkpoint) every hundred commits. 2: every seven.
"""

CHECKPOINT_COMMITS = 7
"""Opening a table reads the last checkpoint and each commit since: a handful of files, however long the log is."""

CONFIGURATION: Mapping[str, str] = {
    # State pins versions for good: the log must not be cleaned up behind its back.
    "delta.enableExpiredLogCleanup": "false",
    "delta.logRetentionDuration": "interval 36500 days",
    "delta.checkpointInterval": str(CHECKPOINT_COMMITS),
}


def description() -> str:
    """Return what a table of this release says of itself."""
    return json.dumps({"sereno_protocol": LAKE_PROTOCOL})


def refuse_newer(table: DeltaTable) -> None:
    """Do nothing with a table that this release can read.

    Raises:
        LakeError: A newer release wrote it.
    """
    protocol = _protocol(table)
    if protocol is not None and protocol > LAKE_PROTOCOL:
        raise LakeError(
            f"{table.table_uri} was written with protocol {protocol}; this release knows {LAKE_PROTOCOL}.",
            hint="Upgrade Sereno on this machine to the release that wrote the lake: pip install --upgrade sereno.",
        )


def migrate(table: DeltaTable) -> None:
    """Bring an older table up to date; its rows and versions stay as they are.

    The number comes last: a migration that was interrupted is done again.

    Raises:
        CommitFailedError: Another process changed the table meanwhile.
    """
    protocol = _protocol(table)
    if protocol is not None and protocol < LAKE_PROTOCOL:
        table.alter.set_table_properties(dict(CONFIGURATION))
        table.alter.set_table_description(description())


def _protocol(table: DeltaTable) -> int | None:
    """Return the number that a table names; 1 where it has no description, None where the description is not ours."""
    try:
        return int(json.loads(table.metadata().description or "{}").get("sereno_protocol", 1))
    except (ValueError, AttributeError, TypeError):
        return None
