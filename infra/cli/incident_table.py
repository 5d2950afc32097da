"""How incidents are printed: one line each, or one with its history."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tasks.report_text import count, number, percent, visible

if TYPE_CHECKING:
    from collections.abc import Iterator

    from schemas.incident_results import Incident, IncidentHistory, IncidentOfNight, IncidentWord

MOST_COLUMNS = 3
CELL = 60


def line_of(incident: Incident) -> str:
    """One line of an incident: number, severity, status, what it is about, since when."""
    nights = "" if incident.nights == 1 else f", {count(incident.nights)} nights"
    since = f"since {incident.first_night}{nights}"
    status = f"{incident.status} until {incident.until}" if incident.until else incident.status
    about = "  ".join(part for part in (about_of(incident), columns_of(incident)) if part)
    parts = (f"{incident.id:>4}", f"{incident.severity:8}", f"{status:12}", f"{count(incident.alerts)} alerts")
    return visible("  ".join((*parts, since, about)))


def about_of(incident: Incident) -> str:
    """The entity, or how many there are."""
    if incident.entity is not None:
        return _cut(incident.entity)
    return f"{count(incident.affected)} entities" if incident.affected > 1 else ""


def columns_of(incident: Incident) -> str:
    """The columns that made most of the alerts."""
    return ", ".join(_cut(one.column) for one in incident.columns[:MOST_COLUMNS])


def lines_of(history: IncidentHistory) -> Iterator[str]:
    """An incident with its nights, its words and some of its rows."""
    incident = history.incident
    yield line_of(incident)
    shares = ", ".join(f"{_cut(one.column)} {percent(one.share, 1)}" for one in incident.columns)
    yield visible(f"  columns: {shares or 'not known'}")
    if incident.night.entities:
        yield visible(f"  entities: {', '.join(map(_cut, incident.night.entities))}")
    yield "  nights:"
    yield from (f"    {_night(night)}" for night in history.nights)
    if history.words:
        yield "  what people did:"
        yield from (visible(f"    {_word(word)}") for word in history.words)
    more = f" and {count(history.more_keys)} more" if history.more_keys else ""
    yield visible(f"  rows of {incident.last_night}: {', '.join(map(_cut, history.keys))}{more}")


def _night(night: IncidentOfNight) -> str:
    told = f", told: {night.told}" if night.told else ""
    when = f", {night.first_time} to {night.last_time}" if night.first_time else ""
    return f"{night.date}  {night.severity}, {count(night.alerts)} alerts, score {number(night.score)}{when}{told}"


def _word(word: IncidentWord) -> str:
    until = f" until {word.until}" if word.until else ""
    note = f"  {word.note}" if word.note else ""
    return f"{word.at}  {word.word}{until}{note}  ({word.by})"


def _cut(text: str) -> str:
    return text if len(text) <= CELL else f"{text[: CELL - 1]}…"
