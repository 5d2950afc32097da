"""The incidents of a night between its scores, its report and its final row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date as Date
from pathlib import Path
from typing import TYPE_CHECKING

from schemas.incident_results import Allowed, NightIncidents
from tasks.incident_views import incidents_of_night
from tasks.incidents import Group, grouped
from tasks.incidents_written import write_incidents

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from schemas.dataset import Dataset
    from schemas.results import NightResult
    from tasks.services import Services


@dataclass(frozen=True)
class FoundIncidents:
    """What the alerts of a night come to.

    Args:
        groups: Its incidents.
        allowed: The alerts that are known about and in none, by rule.
    """

    groups: tuple[Group, ...] = ()
    allowed: tuple[Allowed, ...] = ()

    def counted(self, result: NightResult) -> NightResult:
        """A night's result with the numbers of its incidents."""
        allowed = sum(rule.alerts for rule in self.allowed)
        return result.model_copy(update={"incidents": len(self.groups), "allowed": allowed})


@dataclass(frozen=True)
class ScoredNight:
    """A night whose scores are there, and whose final row is not.

    Args:
        dataset: The dataset.
        night: The logical date.
        run_id: The run that scored it.
    """

    dataset: Dataset
    night: Date
    run_id: str


def find_incidents(
    dataset: Dataset, night: Date, scores: Sequence[Path], accepted: Sequence[Path], *, threshold: float, rows: int
) -> FoundIncidents:
    """Group a night's alerts into incidents.

    Args:
        dataset: The dataset.
        night: The logical date.
        scores: Parquet files with the columns of `scores`.
        accepted: Parquet files with the same rows as they were accepted.
        threshold: The score that made them alerts.
        rows: How many rows were scored.
    """
    from tasks.allowed_alerts import without_allowed
    from tasks.incident_alerts import alerts_of_parts

    alerts, allowed = without_allowed(dataset, alerts_of_parts(dataset, scores), accepted, night)
    wished = dataset.detector.wished_alerts(rows)
    return FoundIncidents(grouped(alerts, dataset.incidents, threshold, wished), allowed)


def would_show(services: Services, at: ScoredNight, found: FoundIncidents) -> NightIncidents:
    """The night's incidents as its final row will make them: tried in the state, and undone."""
    return services.state.would(lambda connection: _written(connection, at, found))


def recorded_incidents(
    at: ScoredNight, found: FoundIncidents, shown: NightIncidents, rewrite: Callable[[NightIncidents], None]
) -> Callable[[Connection], None]:
    """What `RunStore.finish_run` shall write besides the final row.

    Args:
        at: The night.
        found: Its incidents.
        shown: What the draft of its report says of them.
        rewrite: Writes the draft anew where something else came of them: another night was done meanwhile, or a person
            said something.
    """

    def write(connection: Connection) -> None:
        written = _written(connection, at, found)
        if written != shown:
            rewrite(written)

    return write


def _written(connection: Connection, at: ScoredNight, found: FoundIncidents) -> NightIncidents:
    write_incidents(connection, at.dataset, at.night, at.run_id, found.groups)
    return NightIncidents(incidents=incidents_of_night(connection, at.dataset, at.night), allowed=found.allowed)
