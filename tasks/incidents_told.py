"""Which incidents of a night people must be told of, and why; who sends messages asks here."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date as Date
from typing import TYPE_CHECKING

from schemas.incident_results import ToldNight
from tasks.incident_mask import masked_for
from tasks.incident_views import listed

if TYPE_CHECKING:
    from schemas.dataset import Dataset
    from schemas.incident_results import Incident
    from tasks.services import Services


def told_of(services: Services, dataset: Dataset, night: Date) -> ToldNight:
    """The incidents of a night that people must be told of, the worst first.

    New ones, those that got worse, those that came back from a mute, and those that still go on after the cooldown; it
    was decided with the night's final row, so that asking again gives the same answer. What sensitive columns hold is
    masked.

    Args:
        services: The stores.
        dataset: The dataset.
        night: The logical date.
    """
    return told_among(dataset, night, listed(services, dataset, night, over=True))


def told_among(dataset: Dataset, night: Date, found: Iterable[Incident]) -> ToldNight:
    """Those of a night's incidents that people must be told of; see `told_of`."""
    wanted = [masked_for(dataset, one) for one in found if one.night.told is not None]
    settings = dataset.incidents
    digest = bool(settings.digest_from) and len(wanted) >= settings.digest_from
    named = wanted[: settings.digest_most]
    return ToldNight(
        dataset=dataset.name,
        date=night.isoformat(),
        digest=digest,
        incidents=tuple(named),
        more=len(wanted) - len(named),
    )
