"""What a night adds to each of its incidents: how severe it is now, and whether people are told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date as Date
from typing import TYPE_CHECKING, Any

from infra.runtime.events import Event, write_event
from infra.runtime.incident_rows import Before, known_before, nights_of_incidents, words_of_incidents
from tasks.incident_severity import severity_of
from tasks.incident_standing import Earlier, why_told

if TYPE_CHECKING:
    from infra.runtime.incident_words import IncidentWord
    from tasks.incidents import Group
    from tasks.incidents_written import NightAt

_COPIED = ("alerts", "score", "p_value", "points", "first_time", "last_time", "affected")


def rows_of_tonight(at: NightAt, numbers: Sequence[int]) -> list[dict[str, Any]]:
    """Rows of `incident_nights`, one for each group of a night; an incident that comes back from a mute is told of.

    Args:
        at: The night.
        numbers: The incident of each group.
    """
    known = known_before(at.connection, numbers, at.night)
    earlier = _earlier(at, numbers, known)
    return [_row(at, group, number, earlier[number]) for group, number in zip(at.groups, numbers, strict=True)]


def _earlier(at: NightAt, numbers: Sequence[int], known: Mapping[int, Before]) -> dict[int, Earlier]:
    words = words_of_incidents(at.connection, numbers)
    mutes = {number: _newest_mute(words.get(number, ())) for number in numbers}
    dates = {date for date in (*(one.told for one in known.values()), *mutes.values()) if date is not None}
    name = at.dataset.name
    rows = {
        (row.incident, row.night): row
        for row in nights_of_incidents(at.connection, name, nights=dates, numbers=numbers)
    }
    found = {}
    for number in numbers:
        before, mute = known.get(number, Before()), mutes[number]
        found[number] = Earlier(
            before,
            words.get(number, ()),
            rows.get((number, before.told)) if before.told else None,
            rows.get((number, mute)) if mute else None,
            sum(night > before.told for night in at.scored) if before.told else 0,
        )
    return found


def _newest_mute(words: Sequence[IncidentWord]) -> Date | None:
    return next((word.night for word in reversed(words) if word.word == "mute"), None)


def _row(at: NightAt, group: Group, number: int, earlier: Earlier) -> dict[str, Any]:
    settings = at.dataset.incidents
    told = why_told(group, at.night, earlier, settings)
    if told == "back" and not any(row.told == "back" and row.incident == number for row in at.old):
        _tell_back(at, group, number)
    return {
        "incident_id": number,
        "dataset": at.dataset.name,
        "night": at.night.isoformat(),
        "run_id": at.run_id,
        "severity": severity_of(group.points, earlier.before.nights + 1, settings.severity),
        "columns": [[one.column, one.share] for one in group.columns],
        "entities": list(group.entities),
        "keys": list(group.keys),
        "told": told,
        **{name: getattr(group, name) for name in _COPIED},
    }


def _tell_back(at: NightAt, group: Group, number: int) -> None:
    text = f"Incident {number} of {at.dataset.name} was muted and got worse: {group.alerts:,} alerts on {at.night}."
    event = Event(
        "incident_back",
        text,
        level="warning",
        dataset=at.dataset.name,
        night=at.night,
        detail={"incident": number, "alerts": group.alerts},
    )
    write_event(at.connection, event)
