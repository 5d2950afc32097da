"""What a backfill has to do, and about how long that takes; nothing is written."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date as Date
from datetime import timedelta
from statistics import median
from typing import TYPE_CHECKING

from schemas.detector import Frozen
from schemas.errors import NoInput
from tasks.addresses import resolve_inputs
from tasks.plan import START_SECONDS, plan_night

if TYPE_CHECKING:
    from infra.runtime.project import Project
    from infra.runtime.runs import Run
    from schemas.dataset import Dataset
    from schemas.settings import Settings

MEASURED_NIGHTS = 14
WARM_SECONDS = 5.0
"""What a night costs, however small, once the process is up."""
DONE = ("done",)


class RangePlan(Frozen):
    """What a backfill has to do.

    Args:
        dataset: The dataset.
        first: First logical date.
        last: Last logical date.
        nights: Dates in the range.
        done: Nights that are done; they are looked at, and done again where their inputs or the dataset file changed.
        without_input: Nights of which nothing arrived.
        seconds_a_night: About; measured on the last nights where there are any.
        measured_on: On how many.
        seconds: For all that is to do, about.
    """

    dataset: str
    first: str
    last: str
    nights: int
    done: int
    without_input: int
    seconds_a_night: float
    measured_on: int
    seconds: float

    @property
    def to_do(self) -> int:
        """Nights that would run."""
        return self.nights - self.done - self.without_input

    def line(self) -> str:
        """The plan in one line."""
        parts = [f"{self.done:,} done"] if self.done else []
        parts += [f"{self.without_input:,} without input"] if self.without_input else []
        parts += [f"{self.to_do:,} to do"]
        if self.to_do:
            by = f"measured on the last {self.measured_on}" if self.measured_on else "a guess from the files' sizes"
            parts[-1] += f", about {_in_words(self.seconds)} ({self.seconds_a_night:.0f} s a night, {by})"
        return f"{self.dataset} {self.first} to {self.last}: {self.nights:,} nights, {'; '.join(parts)}"


def plan_range(
    project: Project,
    settings: Settings,
    dataset: Dataset,
    first: Date,
    last: Date,
    *,
    train: bool = True,
    force: bool = False,
) -> RangePlan:
    """Plan a range of nights.

    Raises:
        ForbiddenAddress: An input address is not on the allow-list.
    """
    runs = _runs(project, settings, dataset.name, last)
    done = set() if force else {run.night for run in runs if run.night >= first and run.status in DONE}
    wanted = [date for date in _dates(first, last) if date not in done]
    due = [date for date in wanted if _arrived(project, settings, dataset, date)]
    whole = (run for run in runs if run.kind == "run")
    measured = [found for run in whole if (found := sum(run.result.get("seconds", {}).values()))][:MEASURED_NIGHTS]
    a_night = median(measured) if measured else 0.0
    if due and not measured:
        a_night = plan_night(project, settings, dataset, due[0], train=train).seconds - START_SECONDS + WARM_SECONDS
    return RangePlan(
        dataset=dataset.name,
        first=first.isoformat(),
        last=last.isoformat(),
        nights=len(done) + len(wanted),
        done=len(done),
        without_input=len(wanted) - len(due),
        seconds_a_night=round(a_night, 1),
        measured_on=len(measured),
        seconds=round(START_SECONDS + a_night * len(due), 1) if due else 0.0,
    )


def _runs(project: Project, settings: Settings, name: str, last: Date) -> list[Run]:
    """The runs that count, one a scored night, newest night first."""
    from tasks.services import looked_at

    with looked_at(project, settings) as services:
        return services.state.history(name, last + timedelta(days=1), table="scores", gone=True) if services else []


def _arrived(project: Project, settings: Settings, dataset: Dataset, date: Date) -> bool:
    try:
        return bool(resolve_inputs(dataset, date, project.root, settings.inputs))
    except NoInput:
        return False


def _dates(first: Date, last: Date) -> Iterator[Date]:
    for day in range((last - first).days + 1):
        yield first + timedelta(days=day)


def _in_words(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5_400 else f"{seconds / 3_600:.1f} h"
