"""Which nights teach: one with unusually many alerts that nobody judged does not, so that attacks never become normal.

Trimming bounds the pull of a few odd rows; it is powerless against many alike, which then are each other's neighbours.
A night whose alerts are more than chance makes of the usual number therefore waits: it teaches when a person has judged
its alerts or let it in, or when such nights have become the usual ones. Where most rows score higher, and not a few
much higher, the data moved and is to be learned: that night teaches.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date as Date
from datetime import datetime
from math import sqrt
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from infra.runtime.runs import Run
    from schemas.dataset import Dataset
    from tasks.services import Services

LEAST_NIGHTS = 3
BEYOND_CHANCE = 2.0  # standard deviations of a count of independent alerts
BULK, MOVED = 0.5, 0.1  # share of usual rows above their own median, and how much more says that all rows moved


@dataclass(frozen=True)
class Lessons:
    """The window's nights, parted.

    Args:
        taught: Those that teach, oldest first.
        waiting: Those that do not, each with its alerts that nobody judged.
        usual: Alerts of a usual night.
    """

    taught: tuple[Run, ...]
    waiting: tuple[tuple[Run, int], ...] = ()
    usual: float = 0.0

    @property
    def in_words(self) -> str:
        """What a person should know of nights that wait; empty where none does."""
        if not self.waiting:
            return ""
        nights = ", ".join(f"{run.night} ({alerts:,} alerts)" for run, alerts in self.waiting)
        which, whose = ("nights do", "theirs") if len(self.waiting) > 1 else ("night does", "its")
        return (
            f"{len(self.waiting)} {which} not teach, as about {self.usual:,.0f} alerts a night are usual "
            f"and nobody judged {whose}: {nights}; say what they were with `sereno incidents label`"
        )


def lessons_for(
    services: Services, dataset: Dataset, window: Sequence[Run], said_before: datetime | None = None
) -> Lessons:
    """Part a window's nights with the labels as they stood at a moment, or stand now."""
    from tasks.labels import judged_in

    return lessons_of(dataset, window, judged_in(services, dataset, window, said_before))


def lessons_of(dataset: Dataset, window: Sequence[Run], judged: Mapping[Date, int]) -> Lessons:
    """Part a window's nights into those that teach and those that wait.

    Args:
        dataset: The dataset; `detector.unusual_nights` may say that all teach.
        window: Nights before, oldest first.
        judged: How many rows of each night people labelled.
    """
    if dataset.detector.unusual_nights == "teach":
        return Lessons(tuple(window))
    scored = [run for run in window if _alerts(run) is not None]
    usual = _usual(dataset, scored) if scored else 0.0
    most = usual + BEYOND_CHANCE * sqrt(usual)
    unjudged = {run.id: _unjudged(run, judged.get(run.night, 0)) for run in scored}
    waiting = [run for run in scored if unjudged[run.id] > most and not (run.accepted_by or _all_moved(run))]
    taught = tuple(run for run in window if run not in waiting)
    if len(taught) < LEAST_NIGHTS:
        return Lessons(tuple(window), usual=usual)
    return Lessons(taught, tuple((run, unjudged[run.id]) for run in waiting), usual)


def _usual(dataset: Dataset, scored: Sequence[Run]) -> float:
    """Alerts of a usual night: what the threshold's rule asks for, or what the window had where that is more."""
    rows = median(float(run.counters.get("rows") or 0) for run in scored)
    return max(dataset.detector.wished_alerts(rows), median(_alerts(run) or 0 for run in scored))


def _alerts(run: Run) -> int | None:
    """A night's alerts less those that people's labels took out of the list; None where it was not scored."""
    if run.result.get("threshold") is None:
        return None
    return int(run.result.get("alerts") or 0) - int(run.result.get("suppressed") or 0)


def _unjudged(run: Run, judged: int) -> int:
    """Alerts that nobody judged; what people labelled may be among those that their labels took out of the list."""
    return int(run.result.get("alerts") or 0) - max(int(run.result.get("suppressed") or 0), judged)


def _all_moved(run: Run) -> bool:
    """Whether the bulk of a night's rows scored higher than usual rows do; so, too, where that was not noted."""
    above = run.result.get("above_usual")
    return above is None or float(above) > BULK + MOVED
