"""Rows of incidents within a transaction that is open: found, written, moved from one incident to another."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, delete, func, insert, select, text, update

from infra.runtime.incident_words import IncidentWord
from infra.runtime.run_row import COUNTING
from infra.runtime.state_tables import incident_nights, incident_words, incidents, runs
from schemas.incidents import Severity, Why

_SMALL = [column for column in incident_nights.c if column.name != "keys"]
"""All but the rows' keys, which may be many."""


@dataclass(frozen=True)
class IncidentNight:
    """What one night added to an incident: a row of `incident_nights`.

    Args:
        row: Its number.
        incident: The incident.
        entity: What the incident is about; None where the dataset has no entities, or several are affected.
        night: The logical date.
        run_id: The run that found it.
        alerts: How many.
        score: The highest score.
        p_value: The lowest p-value.
        points: How severe the night is by itself.
        severity: How severe the incident is that night.
        first_time: When its first alert happened, UTC.
        last_time: When its last alert happened, UTC.
        columns: What made its alerts, with mean shares, largest first.
        affected: How many entities have alerts of it.
        entities: Those with most alerts, where they are several.
        told: Why people are told of it that night; None: they are not.
    """

    row: int
    incident: int
    entity: str | None
    night: date
    run_id: str
    alerts: int
    score: float
    p_value: float
    points: int
    severity: Severity
    first_time: datetime | None
    last_time: datetime | None
    columns: tuple[tuple[str, float], ...]
    affected: int
    entities: tuple[str, ...]
    told: Why | None


@dataclass(frozen=True)
class Before:
    """What is known of an incident before a night.

    Args:
        nights: On how many nights it had alerts.
        told: The newest night on which people were told of it.
        back: The newest night on which it came back from a mute.
    """

    nights: int = 0
    told: date | None = None
    back: date | None = None


def nights_of_incidents(
    connection: Connection,
    dataset: str,
    *,
    first: date | None = None,
    last: date | None = None,
    nights: Iterable[date] | None = None,
    numbers: Iterable[int] | None = None,
) -> list[IncidentNight]:
    """Rows of a dataset's incidents by night, then in the order in which they were written.

    Args:
        connection: A transaction.
        dataset: The dataset.
        first: Of this night and later ones.
        last: Of this night and earlier ones.
        nights: Of these nights only.
        numbers: Of these incidents only.
    """
    wanted: list[ColumnElement[bool]] = [incident_nights.c.dataset == dataset]
    if nights is not None:
        wanted.append(incident_nights.c.night.in_(sorted({night.isoformat() for night in nights})))
    if first is not None:
        wanted.append(incident_nights.c.night >= first.isoformat())
    if last is not None:
        wanted.append(incident_nights.c.night <= last.isoformat())
    if numbers is not None:
        wanted.append(incident_nights.c.incident_id.in_(sorted(set(numbers))))
    query = select(*_SMALL, incidents.c.entity).join(incidents, incidents.c.id == incident_nights.c.incident_id)
    query = query.where(*wanted).order_by(incident_nights.c.night, incident_nights.c.id)
    return [_as_night(row) for row in connection.execute(query).mappings()]


def newest_nights(connection: Connection, numbers: Iterable[int], before: date | None = None) -> list[IncidentNight]:
    """The newest row of each of some incidents, or the newest one before a night."""
    wanted: list[ColumnElement[bool]] = [incident_nights.c.incident_id.in_(sorted(set(numbers)))]
    if before is not None:
        wanted.append(incident_nights.c.night < before.isoformat())
    newest = (
        select(incident_nights.c.incident_id, func.max(incident_nights.c.night).label("night"))
        .where(*wanted)
        .group_by(incident_nights.c.incident_id)
        .subquery()
    )
    same = (incident_nights.c.incident_id == newest.c.incident_id) & (incident_nights.c.night == newest.c.night)
    query = (
        select(*_SMALL, incidents.c.entity)
        .join(newest, same)
        .join(incidents, incidents.c.id == incident_nights.c.incident_id)
    )
    return [_as_night(row) for row in connection.execute(query.order_by(incident_nights.c.id)).mappings()]


def known_before(connection: Connection, numbers: Iterable[int], night: date) -> dict[int, Before]:
    """What is known of incidents before a night; nothing of those that have no row before."""
    said = incident_nights.c
    when = (
        func.max(said.night).filter(said.told.is_not(None)).label("told"),
        func.max(said.night).filter(said.told == "back").label("back"),
    )
    query = (
        select(said.incident_id, func.count().label("nights"), *when)
        .where(said.incident_id.in_(sorted(set(numbers))), said.night < night.isoformat())
        .group_by(said.incident_id)
    )
    return {
        row["incident_id"]: Before(row["nights"], _date(row["told"]), _date(row["back"]))
        for row in connection.execute(query).mappings()
    }


def one_at_a_time(connection: Connection, dataset: str) -> None:
    """Wait until no other transaction writes incidents of a dataset; SQLite has but one writer anyway."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(hashtext(:name))"), {"name": f"incidents of {dataset}"})


def first_nights(connection: Connection, numbers: Iterable[int]) -> dict[int, date]:
    """The first night of each of some incidents."""
    query = select(incidents.c.id, incidents.c.first_night).where(incidents.c.id.in_(sorted(set(numbers))))
    return {number: date.fromisoformat(night) for number, night in connection.execute(query)}


def scored_nights(
    connection: Connection, dataset: str, limit: int, *, before: date | None = None, after: date | None = None
) -> list[date]:
    """The scored nights nearest to one: the last ones before it, or the first ones after it; oldest first.

    Args:
        connection: A transaction.
        dataset: The dataset.
        limit: At most so many.
        before: Nights before this one; the newest of all where neither is given.
        after: Nights after this one, instead.
    """
    query = select(runs.c.night).where(
        runs.c.dataset == dataset, runs.c.status.in_(COUNTING), runs.c.versions["scores"].as_string().is_not(None)
    )
    if before is not None:
        query = query.where(runs.c.night < before.isoformat())
    if after is not None:
        query = query.where(runs.c.night > after.isoformat())
    order = runs.c.night.desc() if after is None else runs.c.night.asc()
    found = connection.execute(query.group_by(runs.c.night).order_by(order).limit(limit)).scalars()
    return sorted(map(date.fromisoformat, found))


def words_of_incidents(connection: Connection, numbers: Iterable[int]) -> dict[int, list[IncidentWord]]:
    """What people said of incidents, oldest first."""
    query = (
        select(incident_words)
        .where(incident_words.c.incident_id.in_(sorted(set(numbers))))
        .order_by(incident_words.c.id)
    )
    found: dict[int, list[IncidentWord]] = {}
    for row in connection.execute(query).mappings():
        found.setdefault(row["incident_id"], []).append(IncidentWord.of(row))
    return found


def muted_incidents(connection: Connection, dataset: str, night: date) -> dict[int, date]:
    """Incidents whose newest mute covers a night, and the last night of it."""
    said, day = incident_words.c, night.isoformat()
    # From the few mutes that are not over, by their index: what was ever said of a dataset may be much.
    covering = select(said.incident_id).where(said.until >= day)
    newest = (
        select(func.max(said.id))
        .where(said.incident_id.in_(covering), said.word.in_(["mute", "unmute", "close"]))
        .group_by(said.incident_id)
    )
    query = select(said.incident_id, said.until).where(said.id.in_(newest), said.word == "mute", said.until >= day)
    muted = {number: date.fromisoformat(until) for number, until in connection.execute(query)}
    own = select(incidents.c.id).where(incidents.c.dataset == dataset, incidents.c.id.in_(sorted(muted)))
    return {number: muted[number] for number in connection.execute(own).scalars()} if muted else {}


def open_incident(connection: Connection, dataset: str, entity: str | None, columns: Sequence[str], night: date) -> int:
    """Write a new incident, and return its number."""
    row = {"dataset": dataset, "entity": entity, "columns": list(columns), "first_night": night.isoformat()}
    made = insert(incidents).values(**row, opened_at=datetime.now(UTC)).returning(incidents.c.id)
    return int(connection.execute(made).scalar_one())


def remove_night(connection: Connection, dataset: str, night: date) -> None:
    """Remove what a night added to incidents."""
    same = (incident_nights.c.dataset == dataset, incident_nights.c.night == night.isoformat())
    connection.execute(delete(incident_nights).where(*same))


def add_nights(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write what a night adds to incidents."""
    if rows:
        connection.execute(insert(incident_nights), [dict(row) for row in rows])


def move_nights(connection: Connection, moves: Mapping[int, int]) -> None:
    """Give rows of `incident_nights` to other incidents."""
    # By way of numbers that no incident has: two rows of a night may change places.
    for sign in (-1, 1):
        for row, number in moves.items():
            connection.execute(
                update(incident_nights)
                .where(incident_nights.c.id == row)
                .values(incident_id=-row if sign < 0 else number)
            )


def rate_nights(connection: Connection, severities: Mapping[int, Severity]) -> None:
    """Write how severe incidents are on some nights."""
    for row, severity in severities.items():
        connection.execute(update(incident_nights).where(incident_nights.c.id == row).values(severity=severity))


def settle_incidents(connection: Connection, numbers: Iterable[int]) -> set[int]:
    """Write when incidents began; return those that have no night any more."""
    wanted = sorted(set(numbers))
    query = (
        select(incident_nights.c.incident_id, func.min(incident_nights.c.night))
        .where(incident_nights.c.incident_id.in_(wanted))
        .group_by(incident_nights.c.incident_id)
    )
    began = connection.execute(query).all()
    for number, night in began:
        connection.execute(
            update(incidents)
            .where(incidents.c.id == number, incidents.c.first_night != night)
            .values(first_night=night)
        )
    return set(wanted) - {number for number, _ in began}


def remove_incident(connection: Connection, number: int, into: int | None) -> None:
    """Remove an incident that has no night; what people said of it goes to another one, where there is one."""
    if into is not None:
        connection.execute(
            update(incident_words).where(incident_words.c.incident_id == number).values(incident_id=into)
        )
    connection.execute(delete(incidents).where(incidents.c.id == number))


def _date(written: str | None) -> date | None:
    return None if written is None else date.fromisoformat(written)


def _as_night(row: RowMapping) -> IncidentNight:
    return IncidentNight(
        row=row["id"],
        incident=row["incident_id"],
        entity=row["entity"],
        night=date.fromisoformat(row["night"]),
        columns=tuple((str(name), float(share)) for name, share in row["columns"]),
        entities=tuple(row["entities"]),
        **{
            name: row[name]
            for name in ("run_id", "alerts", "score", "p_value", "points", "severity", "first_time", "last_time")
        },
        affected=row["affected"],
        told=row["told"],
    )
