"""Messages about a night's incidents: one each, or one for all where the dataset's settings ask for a digest."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Callable, Sequence
from datetime import date as Date
from typing import TYPE_CHECKING

from schemas.incidents import SEVERITIES
from schemas.message import Message
from tasks.incident_views import incidents_of_night
from tasks.incidents_told import told_among
from tasks.notify import telling
from tasks.notify_messages import IncidentNight, incident_message

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from schemas.dataset import Dataset
    from schemas.incident_results import Incident, ToldNight
    from schemas.incidents import Why
    from tasks.services import Services

WHY: dict[Why, str] = {
    "new": "It is new.",
    "worse": "It got worse.",
    "back": "It was muted, and got worse.",
    "still": "It still goes on.",
}

logger = logging.getLogger("sereno.notify")


def telling_incidents(services: Services, dataset: Dataset, night: Date) -> Callable[[Connection], None] | None:
    """What writes the messages about a night's incidents, after these, within the transaction of its final row.

    None where nobody is told. A night that is done again writes none twice.

    Args:
        services: The stores.
        dataset: The dataset.
        night: The logical date.
    """
    if not services.settings.notify.routes:
        return None

    def write(connection: Connection) -> None:
        for message, entity in _messages(dataset, night, incidents_of_night(connection, dataset, night)):
            telling(services, message, entity=entity)(connection)

    return write


def _messages(dataset: Dataset, night: Date, found: Sequence[Incident]) -> list[tuple[Message, str | None]]:
    """The messages, each with the entity itself, for which routes ask and which the message may have masked."""
    try:
        told = told_among(dataset, night, found)
        if told.digest:
            return [(_digest(told), None)]
        entities = {one.id: one.entity for one in found}
        return [(_message(one), entities.get(one.id)) for one in told.incidents]
    except Exception as error:  # noqa: BLE001 -- a message that cannot be made must not cost the night
        logger.warning("of the night's incidents nobody is told: %s: %s", type(error).__name__, error)
        return []


def _message(one: Incident) -> Message:
    why = WHY[one.night.told] if one.night.told is not None else ""
    since = f"It goes on since {one.first_night}." if one.first_night != one.night.date else ""
    return incident_message(
        IncidentNight(
            number=one.id or 0,
            dataset=one.dataset,
            night=Date.fromisoformat(one.night.date),
            severity=one.night.severity,
            alerts=one.night.alerts,
            entity=one.entity,
            columns=tuple(column.column for column in one.night.columns),
            lines=tuple(line for line in (why, since) if line),
            is_new=one.night.told == "new",
        )
    )


def _digest(told: ToldNight) -> Message:
    count = len(told.incidents) + told.more
    worst = max((one.night.severity for one in told.incidents), key=SEVERITIES.index)
    more = (f"{told.more} more stand in the report.",) if told.more else ()
    return Message(
        kind="digest",
        about=f"digest {told.dataset} {told.date}",
        subject=f"{told.dataset} {told.date}: {count} incidents, the worst {worst}",
        severity=worst,
        dataset=told.dataset,
        night=Date.fromisoformat(told.date),
        lines=(f"{count} incidents are new, got worse or still go on.", *more),
        header=("incident", "about", "severity", "alerts", "columns"),
        rows=tuple(_row(one) for one in told.incidents),
        steps=(("See them all.", f"sereno incidents list {shlex.quote(told.dataset)} --date {told.date}"),),
        report=True,
    )


def _row(one: Incident) -> tuple[str, ...]:
    columns = ", ".join(column.column for column in one.night.columns[:3])
    about = one.entity if one.entity is not None else f"{one.affected} entities" if one.affected else ""
    return (str(one.id), about, one.night.severity, str(one.night.alerts), columns)
