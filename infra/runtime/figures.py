"""Figures of the state, for metrics: each is answered from an index, however long the history is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine, bindparam, func, select

from infra.runtime.promotions import CROWNING, Promotion
from infra.runtime.requests import OPEN, RequestStatus
from infra.runtime.run_row import COUNTING, Kind, Run, Status, as_run
from infra.runtime.state_database import reading
from infra.runtime.state_tables import events, promotions, requests, runs

_LARGE = {"counters", "versions"}


@dataclass(frozen=True)
class RunCount:
    """How many runs of one kind of a dataset stand in one status."""

    dataset: str
    kind: Kind
    status: Status
    runs: int


@dataclass(frozen=True)
class Queue:
    """What was asked for.

    Args:
        counts: Requests by status.
        oldest: When the oldest that waits and is due by now was due, UTC; None where none is.
    """

    counts: dict[RequestStatus, int]
    oldest: datetime | None


class FigureStore:
    """The part of `State` that counts.

    Args:
        engine: The state database.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def check_answers(self) -> None:
        """Read something small.

        Raises:
            StateError: The database does not answer, or its tables are gone.
        """
        with reading(self._engine) as connection:
            connection.execute(select(runs.c.seq).limit(1)).first()

    def run_counts(self) -> list[RunCount]:
        """Return how many runs there are, by dataset, kind and status."""
        columns = (runs.c.dataset, runs.c.kind, runs.c.status)
        with reading(self._engine) as connection:
            rows = connection.execute(select(*columns, func.count()).group_by(*columns).order_by(*columns)).all()
        return [RunCount(*row) for row in rows]

    def queue(self, now: datetime) -> Queue:
        """Return how many requests stand in each status, and since when the first one waits."""
        counted = select(requests.c.status, func.count()).group_by(requests.c.status)
        waiting = select(func.min(requests.c.due_at)).where(
            requests.c.status == OPEN[0], requests.c.not_before <= now, requests.c.due_at <= now
        )
        with reading(self._engine) as connection:
            counts = {row[0]: int(row[1]) for row in connection.execute(counted)}
            return Queue(counts, connection.execute(waiting).scalar())

    def event_counts(self) -> dict[str, int]:
        """Return how many events there are of each kind."""
        query = select(events.c.kind, func.count()).group_by(events.c.kind).order_by(events.c.kind)
        with reading(self._engine) as connection:
            return {row[0]: int(row[1]) for row in connection.execute(query)}

    def standing_nights(self, datasets: Iterable[str]) -> list[Run]:
        """Return the run that says how the last night of each dataset stands that is over.

        As the last of `RunStore.last_nights` each, by one statement on one connection; without counters and versions,
        which are large.
        """
        released = (runs.c.kind == "release") & runs.c.status.in_(COUNTING)
        query = (
            select(*(column for column in runs.c if column.name not in _LARGE))
            .where(runs.c.dataset == bindparam("dataset"), runs.c.status != "running")
            .where(runs.c.kind.in_(["run", "validate"]) | released)
            .order_by(runs.c.night.desc(), runs.c.seq.desc())
            .limit(1)
        )
        with reading(self._engine) as connection:
            found = (connection.execute(query, {"dataset": dataset}).mappings().first() for dataset in datasets)
            return [as_run({**row, **{name: {} for name in _LARGE}}) for row in found if row is not None]

    def champions(self) -> list[Promotion]:
        """Return the row that made the champion of each dataset that has one."""
        newest = (
            select(func.max(promotions.c.id)).where(promotions.c.action.in_(CROWNING)).group_by(promotions.c.dataset)
        )
        query = select(promotions).where(promotions.c.id.in_(newest)).order_by(promotions.c.dataset)
        with reading(self._engine) as connection:
            return [Promotion(**row) for row in connection.execute(query).mappings()]
