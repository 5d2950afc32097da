"""The incidents of a night into which rows were released: some of them may be alerts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date as Date
from pathlib import Path
from typing import TYPE_CHECKING

from infra.runtime.state_database import all_of
from schemas.incident_results import NightIncidents
from schemas.results import NightResult
from tasks.night_incidents import FoundIncidents, ScoredNight, find_incidents, recorded_incidents, would_show

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from schemas.dataset import Dataset
    from tasks.release_scores import NightScores
    from tasks.services import Services


@dataclass(frozen=True)
class ReleasedIncidents:
    """The incidents of a night after a release.

    Args:
        at: The night.
        found: Its incidents.
        shown: As they will stand with the release's final row.
    """

    at: ScoredNight
    found: FoundIncidents
    shown: NightIncidents

    def counted(self, result: NightResult) -> NightResult:
        """The night's result with the numbers of now."""
        return self.found.counted(result)

    def recorded(
        self, released: Callable[[Connection], None], rewrite: Callable[[NightIncidents], None]
    ) -> Callable[[Connection], None]:
        """What is written with the final row: who released what, and the incidents."""
        return all_of(released, recorded_incidents(self.at, self.found, self.shown, rewrite))


def released_incidents(
    services: Services, dataset: Dataset, night: Date, run_id: str, scored: NightScores, accepted: Sequence[Path]
) -> ReleasedIncidents:
    """Group the alerts of a night anew, those of released rows among them.

    Args:
        services: The stores.
        dataset: The dataset.
        night: The logical date.
        run_id: The release.
        scored: The night's scores now.
        accepted: Parquet files with its accepted rows now.
    """
    threshold = scored.distribution.threshold or 0.0
    rows = sum(scored.distribution.tonight)
    found = find_incidents(dataset, night, scored.parts, accepted, threshold=threshold, rows=rows)
    at = ScoredNight(dataset, night, run_id)
    return ReleasedIncidents(at, found, would_show(services, at, found))
