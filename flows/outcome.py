"""A night's result as a Prefect state: green only when every stage did its work."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import date as Date
from typing import TYPE_CHECKING, Any

from prefect import tags
from prefect.states import Completed, Failed

if TYPE_CHECKING:
    from prefect.client.schemas.objects import State

    from schemas.results import NightResult

GREEN = {"done": "Completed", "skipped": "AlreadyDone", "partial": "Partial"}
RED = {"blocked": "Blocked", "failed": "Failed", "missing": "NoInput"}


def night_tags(dataset: str, date: Date) -> AbstractContextManager[set[str]]:
    """Tags that a flow run of a night, and each of its task runs, is found by."""
    return tags(f"dataset:{dataset}", f"night:{date.isoformat()}")


def as_state(result: NightResult) -> State[Any]:
    """The state that a flow run ends in."""
    rows = result.rows
    message = result.reason or f"{rows.accepted:,} of {rows.read:,} rows accepted, {result.alerts:,} alerts"
    if result.status in GREEN:
        return Completed(name=GREEN[result.status], message=message)
    return Failed(name=RED[result.status], message=message)


def state_of_range(results: Sequence[NightResult]) -> State[Any]:
    """The state that the flow run of many nights ends in: green only when none needs a look."""
    bad = [f"{result.date} {result.status}" for result in results if result.status not in ("done", "skipped")]
    if bad:
        return Failed(message=f"{len(bad)} of {len(results)} nights need a look: {', '.join(sorted(bad))}")
    return Completed(message=f"{len(results)} nights")
