"""A night's incidents in the state: written with the final row of its run, or not at all.

The night's own rows are replaced. Nights after it are linked anew as far as that changes anything, which it does only
where nights are done out of order or again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date as Date
from typing import TYPE_CHECKING

from infra.runtime.events import Event, write_event
from infra.runtime.incident_rows import (
    IncidentNight,
    add_nights,
    known_before,
    move_nights,
    muted_incidents,
    newest_nights,
    nights_of_incidents,
    one_at_a_time,
    open_incident,
    rate_nights,
    remove_incident,
    remove_night,
    scored_nights,
    settle_incidents,
    words_of_incidents,
)
from tasks.incident_links import Chain, Link, Rules, begun, linked, matched, numbered
from tasks.incident_severity import severity_of
from tasks.incident_tonight import rows_of_tonight

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from schemas.dataset import Dataset
    from schemas.incidents import Severity
    from tasks.incidents import Group

NIGHTS_AT_ONCE = 8


@dataclass(frozen=True)
class NightAt:
    """A night whose incidents are written.

    Args:
        connection: The transaction of the final row.
        dataset: The dataset.
        night: The logical date.
        run_id: The run that scored it.
        groups: Its alerts, grouped.
        old: What the night added to incidents when it was done before.
        scored: The last scored nights before it, oldest first.
    """

    connection: Connection
    dataset: Dataset
    night: Date
    run_id: str
    groups: Sequence[Group]
    old: Sequence[IncidentNight]
    scored: Sequence[Date]

    def quiet(self) -> Sequence[Date]:
        """The nights that decide what goes on."""
        return self.scored[-self.dataset.incidents.quiet_nights :]


def write_incidents(
    connection: Connection, dataset: Dataset, night: Date, run_id: str, groups: Sequence[Group]
) -> None:
    """Write a night's incidents within a transaction that is open; what the night had before is replaced.

    Args:
        connection: The transaction.
        dataset: The dataset.
        night: The logical date.
        run_id: The run that scored it.
        groups: Its alerts, grouped.
    """
    one_at_a_time(connection, dataset.name)
    settings = dataset.incidents
    known = max(settings.quiet_nights, settings.cooldown_nights + 1)
    old = nights_of_incidents(connection, dataset.name, nights=[night])
    at = NightAt(
        connection, dataset, night, run_id, groups, old, scored_nights(connection, dataset.name, known, before=night)
    )
    chains, later = _linked(at)
    numbers = [
        _new(at, chain) if number is None else number for chain, number in zip(chains, numbered(chains), strict=True)
    ]
    mine = {
        link.place: number
        for chain, number in zip(chains, numbers, strict=True)
        for link in chain.links
        if link.night == night
    }
    remove_night(connection, dataset.name, night)
    add_nights(connection, rows_of_tonight(at, [mine[place] for place in range(len(groups))]))
    moved = _move(connection, chains, numbers, later)
    _rate(at, later)
    touched = {row.incident for row in old} | set(mine.values()) | moved.keys() | set(moved.values())
    for gone in sorted(settle_incidents(connection, touched)):
        _remove(at, gone, moved.get(gone))


def _new(at: NightAt, chain: Chain) -> int:
    first = chain.links[0]
    return open_incident(at.connection, at.dataset.name, first.entity, list(first.columns), first.night)


def _linked(at: NightAt) -> tuple[list[Chain], dict[int, IncidentNight]]:
    """The incidents that the night and those around it make, and the rows of later nights that were looked at.

    So many later nights are looked at that the last of them are as they were: then so are all after them.
    """
    new, before, name, many = _tonight(at), _before(at), at.dataset.name, NIGHTS_AT_ONCE
    while True:
        after = scored_nights(at.connection, name, many, after=at.night)
        rows = nights_of_incidents(at.connection, name, first=after[0], last=after[-1]) if after else []
        chains = linked(before, [*new, *map(_as_link, rows)], _rules(at, before, new, rows, after))
        if len(after) < many or _is_settled(chains, after[-at.dataset.incidents.quiet_nights :]):
            return chains, {row.row: row for row in rows}
        many *= 2


def _tonight(at: NightAt) -> list[Link]:
    links = [
        Link(at.night, group.entity, {one.column: one.share for one in group.columns}, place)
        for place, group in enumerate(at.groups)
    ]
    had = matched(links, [_as_link(row) for row in at.old], at.dataset.incidents.agreement)
    return [replace(link, incident=number) for link, number in zip(links, had, strict=True)]


def _before(at: NightAt) -> list[Chain]:
    """Incidents that may go on: those of the last nights, and those that are muted."""
    name, nights = at.dataset.name, at.quiet()
    rows = nights_of_incidents(at.connection, name, first=nights[0], last=nights[-1]) if nights else []
    muted = muted_incidents(at.connection, name, at.night).keys() - {row.incident for row in rows}
    return begun(map(_as_link, [*newest_nights(at.connection, muted, at.night), *rows]))


def _as_link(row: IncidentNight) -> Link:
    return Link(row.night, row.entity, dict(row.columns), row.row, row.incident)


def _rules(
    at: NightAt, before: Sequence[Chain], new: Sequence[Link], rows: Sequence[IncidentNight], after: Sequence[Date]
) -> Rules:
    links = [*new, *(link for chain in before for link in chain.links)]
    numbers = {link.incident for link in links if link.incident is not None} | {row.incident for row in rows}
    closed = {
        number: max(nights)
        for number, words in words_of_incidents(at.connection, numbers).items()
        if (nights := [word.night for word in words if word.word == "close"])
    }
    settings, muted = at.dataset.incidents, muted_incidents(at.connection, at.dataset.name, at.night)
    return Rules(settings.agreement, settings.quiet_nights, [*at.quiet(), at.night, *after], closed, muted)


def _is_settled(chains: Sequence[Chain], nights: Sequence[Date]) -> bool:
    """Whether the groups of some nights are in the incidents that they were in."""
    return all(
        link.incident == number
        for chain, number in zip(chains, numbered(chains), strict=True)
        for link in chain.links
        if link.night in nights
    )


def _move(
    connection: Connection, chains: Sequence[Chain], numbers: Sequence[int], later: Mapping[int, IncidentNight]
) -> dict[int, int]:
    """Give rows of later nights to the incidents that they are in now; return where each number's rows went."""
    moves = {
        link.place: number
        for chain, number in zip(chains, numbers, strict=True)
        for link in chain.links
        if link.place in later and later[link.place].night == link.night and link.incident != number
    }
    move_nights(connection, moves)
    went: dict[int, int] = {}
    for row in sorted(moves):
        went.setdefault(later[row].incident, moves[row])
    return went


def _rate(at: NightAt, later: Mapping[int, IncidentNight]) -> None:
    """How long an incident lasts is part of how severe it is: later nights are rated anew."""
    if not later:
        return
    last = max(row.night for row in later.values())
    rows = nights_of_incidents(at.connection, at.dataset.name, first=at.night, last=last)
    known = known_before(at.connection, {row.incident for row in rows}, at.night)
    count = {number: before.nights for number, before in known.items()}
    rated: dict[int, Severity] = {}
    for row in rows:
        count[row.incident] = count.get(row.incident, 0) + 1
        severity = severity_of(row.points, count[row.incident], at.dataset.incidents.severity)
        if severity != row.severity:
            rated[row.row] = severity
    rate_nights(at.connection, rated)


def _remove(at: NightAt, number: int, into: int | None) -> None:
    """Remove an incident that has no night any more; that it was, or what it is part of, stays known."""
    remove_incident(at.connection, number, into)
    kind, what = ("incident_joined", f"is part of incident {into} now") if into else ("incident_gone", "is gone")
    text = f"Incident {number} of {at.dataset.name} {what}, as the night {at.night} was done."
    detail = {"incident": number, "into": into}
    write_event(at.connection, Event(kind, text, dataset=at.dataset.name, night=at.night, detail=detail))
