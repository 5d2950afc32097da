"""What is to be done: scheduled nights and what people asked for, until it is over."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any, Literal, TypeAlias, get_args

from sqlalchemy import Connection, Engine, RowMapping, case, insert, select, update
from sqlalchemy.exc import IntegrityError

from infra.runtime.events import Event, write_event
from infra.runtime.moved_on import move_on
from infra.runtime.nights import Night, as_night
from infra.runtime.state_database import reading, writing
from infra.runtime.state_tables import requests, schedule_switches
from schemas.errors import StateError, UsageError

Work: TypeAlias = Literal["nightly", "validation", "training", "scoring", "backfill", "rescoring"]
Origin: TypeAlias = Literal["schedule", "command", "http", "file"]
RequestStatus: TypeAlias = Literal["waiting", "started", "cancelling", "done", "failed", "cancelled"]

OPEN: tuple[RequestStatus, ...] = ("waiting", "started", "cancelling")
KINDS: tuple[Work, ...] = get_args(Work)


@dataclass(frozen=True)
class Asked:
    """What is asked for.

    Args:
        dataset: The dataset.
        kind: The flow that does it.
        origin: How it was asked for.
        actor: By whom: a person's or token's name; the schedule's own is `sereno`.
        night: The logical date, where it is about one.
        options: Further parameters of the flow, as plain JSON values.
        due_at: When it is due; now where no moment is given.
        deadline: Until when a report is expected; for ever where none is.
        key: What the actor calls it: asked again under the same key, it is the same request.
    """

    dataset: str
    kind: Work
    origin: Origin
    actor: str
    night: date | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    due_at: datetime | None = None
    deadline: datetime | None = None
    key: str | None = None


@dataclass(frozen=True)
class Request:
    """One row of `requests`.

    Args:
        id: Grows with each row.
        asked: What is asked for.
        asked_at: When, UTC.
        not_before: It is not started before this moment.
        status: Where it stands.
        attempts: How often it was started.
        reason: Why it waits, failed or was cancelled; empty where there is nothing to say.
        flow_run: Number of the newest flow run that does it, as Prefect knows it.
        changed_at: When it last changed, UTC.
    """

    id: int
    asked: Asked
    asked_at: datetime
    not_before: datetime
    status: RequestStatus
    attempts: int
    reason: str
    flow_run: str | None
    changed_at: datetime

    @property
    def is_open(self) -> bool:
        """Whether something is still to be done."""
        return self.status in OPEN


@dataclass(frozen=True)
class Switch:
    """Whether a dataset's schedule is on.

    Args:
        dataset: The dataset.
        enabled: Whether it is.
        since: The first logical date that the schedule does.
        actor: Who said so.
        at: When, UTC.
    """

    dataset: str
    enabled: bool
    since: date
    actor: str
    at: datetime


class RequestStore:
    """The part of `State` that knows schedules and requests.

    Args:
        engine: The state database.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def switch(self, dataset: str, *, enabled: bool, since: Night, actor: str) -> None:
        """Turn a dataset's schedule on or off."""
        row = {
            "dataset": dataset,
            "enabled": enabled,
            "since": as_night(since).isoformat(),
            "actor": actor,
            "at": datetime.now(UTC),
        }
        said = Event(
            "schedule_switched",
            f"{actor} turned the schedule of {dataset} {'on' if enabled else 'off'}.",
            dataset=dataset,
            actor=actor,
            detail={"enabled": enabled, "since": row["since"]},
        )
        with writing(self._engine) as connection:
            connection.execute(insert(schedule_switches).values(row))
            write_event(connection, said)

    def switches(self) -> dict[str, Switch]:
        """Return how each dataset's schedule was last switched; one that never was is off."""
        query = select(schedule_switches).order_by(schedule_switches.c.id)
        with reading(self._engine) as connection:
            rows = connection.execute(query).mappings().all()
        return {
            row["dataset"]: Switch(
                row["dataset"], bool(row["enabled"]), date.fromisoformat(row["since"]), row["actor"], row["at"]
            )
            for row in rows
        }

    def ask(self, asked: Asked, now: datetime | None = None, *, left_out: str = "") -> Request | None:
        """Write down what is to be done.

        Args:
            asked: What.
            now: The moment.
            left_out: Why it is not done after all: it stands there as cancelled from the beginning.

        Returns:
            The request, or the one that its actor asked for under the same key before; None where the schedule asked
            for this night before.
        """
        moment = now or datetime.now(UTC)
        row = {
            "dataset": asked.dataset,
            "kind": asked.kind,
            "night": asked.night.isoformat() if asked.night else None,
            "options": dict(asked.options),
            "origin": asked.origin,
            "actor": asked.actor,
            "asked_at": moment,
            "due_at": asked.due_at or moment,
            "not_before": asked.due_at or moment,
            "deadline": asked.deadline,
            "status": "cancelled" if left_out else "waiting",
            "attempts": 0,
            "reason": left_out,
            "changed_at": moment,
            "asker_key": asked.key,
        }
        try:
            with writing(self._engine) as connection:
                made = connection.execute(insert(requests).values(row).returning(*requests.c)).mappings().one()
                if asked.origin != "schedule":
                    _tell(connection, _as_request(made), "run_asked", asked.actor, "asked for")
        except StateError as error:
            if not isinstance(error.__cause__, IntegrityError):
                raise
            if asked.origin == "schedule":
                return None
            if asked.key is None:
                raise
            return self._asked_before(asked.actor, asked.key)
        return _as_request(made)

    def _asked_before(self, actor: str, key: str) -> Request:
        query = select(requests).where(requests.c.actor == actor, requests.c.asker_key == key)
        with reading(self._engine) as connection:
            return _as_request(connection.execute(query).mappings().one())

    def request(self, number: int) -> Request:
        """Return one request.

        Raises:
            UsageError: There is none of this number.
        """
        with reading(self._engine) as connection:
            row = connection.execute(select(requests).where(requests.c.id == number)).mappings().first()
        if row is None:
            raise UsageError(f"There is no request {number}.", hint="list them: sereno status")
        return _as_request(row)

    def requests(
        self,
        dataset: str | None = None,
        *,
        night: Night | None = None,
        statuses: Iterable[RequestStatus] | None = None,
        before: int | None = None,
        limit: int | None = None,
    ) -> list[Request]:
        """Return requests, newest first; with `before` only those with a smaller number."""
        query = select(requests).order_by(requests.c.id.desc()).limit(limit)
        if dataset is not None:
            query = query.where(requests.c.dataset == dataset)
        if night is not None:
            query = query.where(requests.c.night == as_night(night).isoformat())
        if statuses is not None:
            query = query.where(requests.c.status.in_(list(statuses)))
        if before is not None:
            query = query.where(requests.c.id < before)
        with reading(self._engine) as connection:
            return [_as_request(row) for row in connection.execute(query).mappings()]

    def open_requests(self) -> list[Request]:
        """Return what is still to be done, in the order in which it was asked for."""
        return self.requests(statuses=OPEN)[::-1]

    def scheduled_nights(self, dataset: str, since: Night) -> set[date]:
        """Return the nights from a date on that the schedule has asked for."""
        query = select(requests.c.night).where(
            requests.c.dataset == dataset,
            requests.c.origin == "schedule",
            requests.c.night >= as_night(since).isoformat(),
        )
        with reading(self._engine) as connection:
            return {date.fromisoformat(night) for night in connection.execute(query).scalars()}

    def change_request(
        self, request: Request, status: RequestStatus, *, now: datetime | None = None, **values: Any
    ) -> Request | None:
        """Move a request on; None where somebody else moved it meanwhile.

        Args:
            request: As it was read.
            status: The new status.
            now: The moment.
            **values: Columns `attempts`, `reason`, `flow_run`, `not_before`.
        """
        changed = {"status": status, "changed_at": now or datetime.now(UTC), **values}
        with writing(self._engine) as connection:
            row = move_on(connection, requests, request, changed)
        return None if row is None else _as_request(row)

    def cancel_request(self, number: int, actor: str) -> Request:
        """Call off what is still to be done: what waits is cancelled, what was started is told to end.

        Args:
            number: The request's number.
            actor: Who calls it off.

        Returns:
            The request as it stands then; one that was called off before stays as it is.

        Raises:
            UsageError: There is none of this number, or it is over.
        """
        called_off = {
            "status": case((requests.c.status == "waiting", "cancelled"), else_="cancelling"),
            "reason": f"cancelled by {actor}",
            "changed_at": datetime.now(UTC),
        }
        wanted = (requests.c.id == number, requests.c.status.in_(["waiting", "started"]))
        query = update(requests).where(*wanted).values(called_off).returning(*requests.c)
        with writing(self._engine) as connection:
            row = connection.execute(query).mappings().first()
            if row is not None:
                _tell(connection, _as_request(row), "cancel_asked", actor, "called off")
        if row is not None:
            return _as_request(row)
        found = self.request(number)
        if found.status in ("done", "failed"):
            raise UsageError(f"Request {number} is over: {found.status}.", hint="there is nothing left to cancel")
        return found


def _tell(connection: Connection, request: Request, kind: str, actor: str, did: str) -> None:
    asked = request.asked
    night = f", {asked.night}" if asked.night else ""
    write_event(
        connection,
        Event(
            kind,
            f"{actor} {did} {asked.kind} of {asked.dataset}{night} (request {request.id}).",
            dataset=asked.dataset,
            night=asked.night,
            actor=actor,
            detail={"request": request.id, "kind": asked.kind, "origin": asked.origin, "options": dict(asked.options)},
        ),
    )


def _as_request(row: RowMapping) -> Request:
    asked = Asked(
        row["dataset"],
        row["kind"],
        row["origin"],
        row["actor"],
        date.fromisoformat(row["night"]) if row["night"] else None,
        row["options"],
        row["due_at"],
        row["deadline"],
        row["asker_key"],
    )
    rest = {
        name: row[name]
        for name in ("id", "asked_at", "not_before", "status", "attempts", "reason", "flow_run", "changed_at")
    }
    return Request(asked=asked, **rest)
