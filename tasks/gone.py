"""What to say of rows and pages that retention took away."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date as Date
from typing import TYPE_CHECKING

from infra.runtime.retention import PAGE
from schemas.errors import UsageError

if TYPE_CHECKING:
    from infra.runtime.retention import RetentionStore
    from infra.runtime.runs import Run

_WHAT: Mapping[str, str] = {
    "accepted": "its accepted rows are",
    "quarantined": "its quarantined rows are",
    "samples": "its sample is",
    "scores": "its scores are",
    PAGE: "its report is",
}


def refuse_gone(state: RetentionStore, name: str, night: Date, *tables: str) -> None:
    """Do nothing where retention took nothing of these away.

    Args:
        state: The state.
        name: The dataset.
        night: The logical date.
        tables: Tables, or `PAGE`.

    Raises:
        UsageError: With the day on which it did.
    """
    gone = state.gone(name, night)
    said = [
        f"{_WHAT.get(table, f'its {table} are')} gone by retention on {gone[table]}"
        for table in tables
        if table in gone
    ]
    if said:
        raise UsageError(
            f"{name} {night}: {', '.join(said)}",
            hint=f"while its input is there the night can be made anew: sereno run {name} --date {night} --force",
        )


def parted(window: Sequence[Run]) -> tuple[list[Run], str]:
    """Part a training window: nights whose samples can be read, and what to say of those that are gone.

    Args:
        window: Nights before, oldest first.
    """
    there = [run for run in window if "samples" not in run.gone]
    gone = [run for run in window if "samples" in run.gone]
    if not gone:
        return there, ""
    days = sorted({run.gone["samples"] for run in gone})
    nights = f"{len(gone)} nights" if len(gone) > 1 else "1 night"
    return there, (
        f"samples of {nights} of the window ({gone[0].night} to {gone[-1].night}) are gone by retention on {days[-1]}: "
        f"the training has the other {len(there)}"
    )
