"""What happened that a person may want to know, and who did what: only ever added to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any, Literal, TypeAlias

from sqlalchemy import Connection, Engine, RowMapping, insert, select

from infra.runtime.nights import Night, as_night
from infra.runtime.state_database import reading, writing
from infra.runtime.state_tables import events

Level: TypeAlias = Literal["info", "warning", "error"]
"""`info`: somebody did something; `warning`: a fault that was put right; `error`: one that a person must look at."""


@dataclass(frozen=True)
class Event:
    """One row of `events`.

    Args:
        kind: What kind of thing, in one word: `promoted`, `child_died`, `run_reaped`.
        text: What happened, in a sentence that stands by itself; no secret in it.
        level: How much it matters.
        dataset: The dataset that it is about, where it is about one.
        night: The logical date, where it is about one.
        actor: Who: a person's name, or `sereno`.
        detail: More, as plain JSON values; no secret in it.
        at: UTC; filled in when it is written.
        id: Grows with each row; filled in when it is written.
    """

    kind: str
    text: str
    level: Level = "info"
    dataset: str | None = None
    night: date | None = None
    actor: str = "sereno"
    detail: Mapping[str, Any] = field(default_factory=dict)
    at: datetime | None = None
    id: int | None = None


class EventStore:
    """The part of `State` that knows events.

    Args:
        engine: The state database.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def tell(self, event: Event) -> Event:
        """Write down what happened, and return it with its number and moment.

        Raises:
            StateError: The database failed.
        """
        with writing(self._engine) as connection:
            return write_event(connection, event)

    def events(
        self,
        dataset: str | None = None,
        *,
        night: Night | None = None,
        kinds: Iterable[str] | None = None,
        levels: Iterable[Level] | None = None,
        after: int | None = None,
        since: datetime | None = None,
        limit: int | None = None,
    ) -> list[Event]:
        """Return events, newest first.

        Args:
            dataset: About this dataset only.
            night: About this night only.
            kinds: Of these kinds only.
            levels: Of these levels only.
            after: Only those with a greater number.
            since: Only those that were written at this moment or later.
            limit: At most so many.
        """
        query = select(events).order_by(events.c.id.desc()).limit(limit)
        if dataset is not None:
            query = query.where(events.c.dataset == dataset)
        if night is not None:
            query = query.where(events.c.night == as_night(night).isoformat())
        if kinds is not None:
            query = query.where(events.c.kind.in_(list(kinds)))
        if levels is not None:
            query = query.where(events.c.level.in_(list(levels)))
        if after is not None:
            query = query.where(events.c.id > after)
        if since is not None:
            query = query.where(events.c.at >= since)
        with reading(self._engine) as connection:
            return [_as_event(row) for row in connection.execute(query).mappings()]


def write_event(connection: Connection, event: Event) -> Event:
    """Write an event within a transaction that is open, and return it with its number and moment."""
    values = {
        "at": event.at or datetime.now(UTC),
        "kind": event.kind,
        "level": event.level,
        "dataset": event.dataset,
        "night": event.night.isoformat() if event.night else None,
        "actor": event.actor,
        "text": event.text,
        "detail": dict(event.detail),
    }
    return _as_event(connection.execute(insert(events).values(values).returning(*events.c)).mappings().one())


def _as_event(row: RowMapping) -> Event:
    night = date.fromisoformat(row["night"]) if row["night"] else None
    return Event(**{**row, "night": night})
