"""Incidents in the state database: what nights added to them, and what people did with them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime
from typing import TypeVar

from sqlalchemy import Connection, Engine, func, insert, select

from infra.runtime.events import Event, write_event
from infra.runtime.incident_rows import (
    IncidentNight,
    newest_nights,
    nights_of_incidents,
    words_of_incidents,
)
from infra.runtime.incident_words import IncidentWord, Word
from infra.runtime.nights import Night, as_night
from infra.runtime.state_database import reading, trying, writing
from infra.runtime.state_tables import events, incident_nights, incident_words, incidents
from schemas.errors import UsageError

T = TypeVar("T")


class IncidentStore:
    """The part of `State` that knows incidents.

    Args:
        engine: The state database.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def look(self, read: Callable[[Connection], T]) -> T:
        """Read within one transaction, so that all that is read belongs together."""
        with reading(self._engine) as connection:
            return read(connection)

    def would(self, write: Callable[[Connection], T]) -> T:
        """Write, return what came of it, and undo it."""
        with trying(self._engine) as connection:
            return write(connection)

    def incident(self, dataset: str, number: int) -> int:
        """Return the number that an incident has now: one that was joined with another has the other's.

        Raises:
            UsageError: The dataset has no such incident.
        """
        with reading(self._engine) as connection:
            return incident_now(connection, dataset, number)

    def dataset_of_incident(self, number: int) -> str:
        """Return whose an incident is, also of one that was joined with another.

        Raises:
            UsageError: There is no such incident.
        """
        with reading(self._engine) as connection:
            query = select(incidents.c.dataset).where(incidents.c.id == number)
            found: str | None = connection.execute(query).scalar() or _dataset_joined(connection, number)
        if found is None:
            raise UsageError(f"there is no incident {number}", hint="see which there are: sereno incidents list --all")
        return found

    def incident_nights(
        self, dataset: str, *, nights: Iterable[Night] | None = None, numbers: Iterable[int] | None = None
    ) -> list[IncidentNight]:
        """Return what nights added to incidents, by night.

        Args:
            dataset: The dataset.
            nights: Of these nights only.
            numbers: Of these incidents only.
        """
        days = None if nights is None else [as_night(night) for night in nights]
        with reading(self._engine) as connection:
            return nights_of_incidents(connection, dataset, nights=days, numbers=numbers)

    def incident_words(self, number: int) -> list[IncidentWord]:
        """Return what people did with an incident, oldest first."""
        with reading(self._engine) as connection:
            return words_of_incidents(connection, [number]).get(number, [])

    def incident_keys(self, dataset: str, number: int, night: Night | None = None) -> dict[date, list[str]]:
        """Return the keys of an incident's rows, night by night.

        Args:
            dataset: The dataset.
            number: The incident.
            night: Of this night only.
        """
        with reading(self._engine) as connection:
            return keys_of_incident(connection, dataset, number, night)

    def say_of_incident(
        self, dataset: str, number: int, word: Word, *, actor: str, note: str = "", until: Night | None = None
    ) -> IncidentWord:
        """Write down what a person does with an incident, and the event of it.

        Raises:
            UsageError: The dataset has no such incident.
        """
        last = None if until is None else as_night(until)
        with writing(self._engine) as connection:
            rows = newest_nights(connection, [number]) if _is_there(connection, dataset, number) else []
            if not rows:
                raise UsageError(f"{dataset} has no incident {number}", hint=f"sereno incidents list {dataset} --all")
            said = IncidentWord(word, rows[0].night, last, note, actor, datetime.now(UTC))
            values = {"night": said.night.isoformat(), "until": last.isoformat() if last else None}
            values |= {"word": word, "note": note, "actor": actor}
            connection.execute(insert(incident_words).values(incident_id=number, at=said.at, **values))
            write_event(connection, _event(dataset, number, said))
        return said


def incident_now(connection: Connection, dataset: str, number: int) -> int:
    """The number that an incident has now, within a transaction that is open; see `IncidentStore.incident`.

    Raises:
        UsageError: The dataset has no such incident.
    """
    found: int | None = number
    while found is not None and not _is_there(connection, dataset, found):
        found = _joined_with(connection, dataset, found)
    if found is None:
        raise UsageError(
            f"{dataset} has no incident {number}",
            hint=f"see which there are: sereno incidents list {dataset} --all",
        )
    return found


def keys_of_incident(
    connection: Connection, dataset: str, number: int, night: Night | None = None
) -> dict[date, list[str]]:
    """The keys of an incident's rows within a transaction that is open; see `IncidentStore.incident_keys`."""
    wanted = [incident_nights.c.dataset == dataset, incident_nights.c.incident_id == number]
    if night is not None:
        wanted.append(incident_nights.c.night == as_night(night).isoformat())
    query = select(incident_nights.c.night, incident_nights.c["keys"]).where(*wanted)
    found = connection.execute(query.order_by(incident_nights.c.night)).all()
    return {date.fromisoformat(day): list(keys) for day, keys in found}


def newest_of_dataset(connection: Connection, dataset: str, first: date | None = None) -> list[IncidentNight]:
    """The newest row of each incident of a dataset; of those that have one since a night, where one is given."""
    query = select(incident_nights.c.incident_id).where(incident_nights.c.dataset == dataset).distinct()
    if first is not None:
        query = query.where(incident_nights.c.night >= first.isoformat())
    return newest_nights(connection, connection.execute(query).scalars())


def _is_there(connection: Connection, dataset: str, number: int) -> bool:
    query = select(func.count()).where(incidents.c.dataset == dataset, incidents.c.id == number)
    return bool(connection.execute(query).scalar_one())


def _joined_with(connection: Connection, dataset: str, number: int) -> int | None:
    query = select(events.c.detail).where(events.c.dataset == dataset, events.c.kind == "incident_joined")
    for detail in connection.execute(query.order_by(events.c.id.desc())).scalars():
        if detail.get("incident") == number:
            return int(detail["into"])
    return None


def _dataset_joined(connection: Connection, number: int) -> str | None:
    query = select(events.c.dataset, events.c.detail).where(events.c.kind == "incident_joined")
    for dataset, detail in connection.execute(query):
        if detail.get("incident") == number:
            return str(dataset)
    return None


def _event(dataset: str, number: int, said: IncidentWord) -> Event:
    detail = {"incident": number, "word": said.word, "note": said.note}
    detail |= {"until": said.until.isoformat()} if said.until else {}
    text = f"{said.actor} said of incident {number} of {dataset}: {said.word}"
    text += f" until {said.until}" if said.until else ""
    return Event("incident_word", f"{text}.", dataset=dataset, night=said.night, actor=said.actor, detail=detail)
