"""Rows of runs in the state database that retention takes away: those that say nothing any more."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from tasks.retention_plan import Going, Plan

if TYPE_CHECKING:
    from tasks.services import Services

ROWS = "rows of runs"


def plan_runs(services: Services, name: str) -> Plan:
    """Rows of a dataset's runs that ended long ago and were done again, or failed, since."""
    kept = services.settings.retention.runs
    if kept is None:
        return Plan()
    found = services.state.silent_runs(name, datetime.now(UTC) - kept)
    if not found.seqs:
        return Plan()
    numbers = tuple(map(str, found.seqs))
    why = f"older than {kept.days} days, and later runs stand for them"
    return Plan((Going("runs", name, ROWS, len(numbers), found.bytes, why, (), numbers),))


def take_runs(services: Services, going: Going) -> None:
    """Delete the rows that were planned."""
    services.state.forget_runs([int(number) for number in going.names])
