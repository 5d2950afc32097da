"""Schedules turned on and off, with who did so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schemas.errors import UsageError
from tasks.due_nights import next_due

if TYPE_CHECKING:
    from datetime import date, datetime

    from schemas.dataset import Dataset
    from tasks.services import Services


def switch_on(services: Services, dataset: Dataset, first: date | None, now: datetime, actor: str) -> date:
    """Have the nights of a dataset done by themselves.

    Args:
        services: The stores.
        dataset: The dataset.
        first: The first logical date; that of the next time where none is given.
        now: The moment, UTC.
        actor: Who says so.

    Returns:
        The first logical date.

    Raises:
        UsageError: The dataset has no schedule.
    """
    schedule = dataset.schedule
    if schedule is None:
        raise UsageError(
            f"{dataset.name} has no schedule",
            hint=f"write one in {services.project.dataset_file(dataset.name)}, for example "
            "schedule: {timezone: Europe/Berlin, at: '02:30'}",
        )
    coming = next_due(schedule, now)
    since = first or (coming.night if coming is not None else now.astimezone(schedule.zone).date())
    services.state.switch(dataset.name, enabled=True, since=since, actor=actor)
    return since


def switch_off(services: Services, dataset: Dataset, now: datetime, actor: str) -> None:
    """Have no more nights of a dataset done by themselves."""
    services.state.switch(dataset.name, enabled=False, since=now.date(), actor=actor)
