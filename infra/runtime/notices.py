"""Messages to people: written with what they are about, sent afterwards, and `sent` only once a receiver took them.

A process that dies between a receiver's word and the row leaves the message to be sent again: twice at worst, never not
at all.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, TypeAlias

from sqlalchemy import Connection, Engine, Insert, RowMapping, and_, func, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from infra.runtime.events import Event, write_event
from infra.runtime.moved_on import move_on
from infra.runtime.state_database import reading, writing
from infra.runtime.state_tables import notices
from schemas.failpoints import durable
from schemas.message import Message

NoticeStatus: TypeAlias = Literal["waiting", "sending", "sent", "failed", "forgotten"]
"""`sending`: a process is at it, until `not_before`, when another takes it over. `failed`: it was given up."""

NOTICE_FAILED = "notice_failed"
"""The kind of the event that a message was given up."""


@dataclass(frozen=True)
class Notice:
    """One row of `notices`: a message on one route.

    Args:
        id: Grows with each row.
        route: The name of the route.
        message: What is told.
        attachment: The page of the night that it is about, below the folder of reports; None where there is none.
        status: Where it stands.
        attempts: How often it was tried.
        error: Why the last try failed, without any part of the address; empty where none did.
        made_at: When it was written, UTC.
        not_before: It is not tried before this moment; the end of the hold, while it is being sent.
        sent_at: When a receiver took it, UTC.
    """

    id: int
    route: str
    message: Message
    attachment: str | None
    status: NoticeStatus
    attempts: int
    error: str
    made_at: datetime
    not_before: datetime
    sent_at: datetime | None


class NoticeStore:
    """The part of `State` that knows messages to people.

    Args:
        engine: The state database.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def put_notices(self, message: Message, routes: Iterable[str]) -> int:
        """Write a message for each of the routes, by their names; one that was told there before is not told again.

        Returns:
            For how many routes it is new.
        """
        with writing(self._engine) as connection:
            return write_notices(connection, message, routes)

    def notices(
        self, *, statuses: Iterable[NoticeStatus] | None = None, route: str | None = None, limit: int | None = None
    ) -> list[Notice]:
        """Return messages, newest first."""
        query = select(notices).order_by(notices.c.id.desc()).limit(limit)
        if statuses is not None:
            query = query.where(notices.c.status.in_(list(statuses)))
        if route is not None:
            query = query.where(notices.c.route == route)
        with reading(self._engine) as connection:
            return [_as_notice(row) for row in connection.execute(query).mappings()]

    def notice_counts(self) -> dict[NoticeStatus, int]:
        """Return how many messages wait, are being sent, and failed; of those that were sent nothing is counted."""
        query = (
            select(notices.c.status, func.count())
            .where(notices.c.status.in_(["waiting", "sending", "failed"]))
            .group_by(notices.c.status)
        )
        with reading(self._engine) as connection:
            return {row[0]: int(row[1]) for row in connection.execute(query)}

    def due_notices(self, now: datetime, *, early: bool = False) -> list[Notice]:
        """Return what is to be sent at a moment, in the order in which it was written.

        Args:
            now: The moment.
            early: Also what waits for its next try.
        """
        due = notices.c.not_before <= now
        waiting = notices.c.status == "waiting"
        query = select(notices).where(
            or_(waiting if early else and_(waiting, due), and_(notices.c.status == "sending", due))
        )
        with reading(self._engine) as connection:
            return [_as_notice(row) for row in connection.execute(query.order_by(notices.c.id)).mappings()]

    def hold_notice(self, notice: Notice, until: datetime) -> Notice | None:
        """Take a message in order to send it, which counts as a try; None where another process was quicker.

        Args:
            notice: As it was read.
            until: When another process may take it over: this one is dead by then.
        """
        held = {"status": "sending", "attempts": notice.attempts + 1, "not_before": until}
        return self._change_notice(notice, held)

    def mark_sent(self, notice: Notice, now: datetime) -> Notice | None:
        """Write that a receiver took a message that is held."""
        with durable("notice.sent"):
            return self._change_notice(notice, {"status": "sent", "error": "", "not_before": now, "sent_at": now})

    def mark_refused(self, notice: Notice, error: str, now: datetime, *, next_try: datetime | None) -> Notice | None:
        """Write why a message that is held was not taken.

        Args:
            notice: The message.
            error: Why, without any part of the address.
            now: The moment.
            next_try: When it is tried again; None gives it up, which is an event of its own.
        """
        refused = {"status": "failed" if next_try is None else "waiting", "error": error, "not_before": next_try or now}
        return self._change_notice(notice, refused, _given_up(notice, error, now) if next_try is None else None)

    def revive_notices(self, now: datetime) -> int:
        """Let messages that were given up wait again, as if they had not been tried yet; return how many."""
        query = update(notices).where(notices.c.status == "failed")
        with writing(self._engine) as connection:
            return connection.execute(query.values(status="waiting", attempts=0, not_before=now)).rowcount

    def forget_notices(self, actor: str, numbers: Iterable[int] | None = None) -> int:
        """Let nobody be reminded of messages that were given up: all, or those of the numbers; return how many.

        They stay in the table, as `forgotten`, and who did so is an event.
        """
        wanted = [notices.c.status == "failed"]
        if numbers is not None:
            wanted.append(notices.c.id.in_(list(numbers)))
        with writing(self._engine) as connection:
            query = update(notices).where(*wanted).values(status="forgotten").returning(notices.c.id)
            gone = sorted(connection.execute(query).scalars())
            if gone:
                said = f"{len(gone)} message{'s' if len(gone) > 1 else ''} that nobody took forgotten"
                write_event(connection, Event("notices_forgotten", said, actor=actor, detail={"notices": gone}))
        return len(gone)

    def _change_notice(self, notice: Notice, values: dict[str, Any], said: Event | None = None) -> Notice | None:
        with writing(self._engine) as connection:
            row = move_on(connection, notices, notice, values)
            if row is not None and said is not None:
                write_event(connection, said)
        return None if row is None else _as_notice(row)


def write_notices(connection: Connection, message: Message, routes: Iterable[str]) -> int:
    """Write a message for each of the routes within a transaction that is open; see `NoticeStore.put_notices`."""
    moment = datetime.now(UTC)
    row = {
        "kind": message.kind,
        "dataset": message.dataset,
        "night": message.night.isoformat() if message.night else None,
        "about": message.about,
        "subject": message.subject,
        "body": message.model_dump_json(exclude_defaults=True),
        "attachment": f"{message.dataset}/{message.night}.html" if message.report else None,
        "status": "waiting",
        "attempts": 0,
        "error": "",
        "made_at": moment,
        "not_before": moment,
    }
    new = (
        connection.execute(_unless_told(connection).values({**row, "route": name})) for name in dict.fromkeys(routes)
    )
    return sum(result.rowcount for result in new)


def _unless_told(connection: Connection) -> Insert:
    if connection.dialect.name == "postgresql":
        return postgresql.insert(notices).on_conflict_do_nothing(index_elements=["about", "route"])
    return sqlite.insert(notices).on_conflict_do_nothing(index_elements=["about", "route"])


def _given_up(notice: Notice, error: str, now: datetime) -> Event:
    message, tries = notice.message, f"{notice.attempts} {'try' if notice.attempts == 1 else 'tries'}"
    return Event(
        NOTICE_FAILED,
        f"The route `{notice.route}` did not take a message in {tries}: {error} (the message: {message.subject})",
        level="error",
        dataset=message.dataset,
        night=message.night,
        detail={"notice": notice.id, "route": notice.route, "kind": message.kind, "about": message.about},
        at=now,
    )


def _as_notice(row: RowMapping) -> Notice:
    return Notice(
        id=int(row["id"]),
        route=row["route"],
        message=Message.model_validate_json(row["body"]),
        attachment=row["attachment"],
        status=row["status"],
        attempts=int(row["attempts"]),
        error=row["error"],
        made_at=row["made_at"],
        not_before=row["not_before"],
        sent_at=row["sent_at"],
    )
