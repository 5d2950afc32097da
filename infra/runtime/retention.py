"""Retention in the state database: nights that are held while their rows go, and what is gone since when."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import Engine, RowMapping, String, bindparam, cast, delete, func, select, update

from infra.runtime.nights import Night, as_night
from infra.runtime.run_queries import of_night, wrote
from infra.runtime.run_row import COUNTING
from infra.runtime.sole import sole
from infra.runtime.state_database import reading, writing
from infra.runtime.state_tables import incident_nights, promotions, releases, run_inputs, runs
from schemas.failpoints import durable

PAGE = "report"
"""What a night's page is called among the tables."""

MOST_AT_ONCE = 500
_NAMING = (promotions, releases, incident_nights)


@dataclass(frozen=True)
class SilentRuns:
    """Runs of a dataset that say nothing any more.

    Args:
        seqs: Their numbers.
        bytes: What they take, about.
    """

    seqs: list[int]
    bytes: int


class RetentionStore:
    """The part of `State` that knows what retention took away.

    Args:
        engine: The state database.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def sole(self, what: str) -> AbstractContextManager[None]:
        """Hold the project's lock of this name for a block.

        Raises:
            LockedNight: Another process holds it.
        """
        return sole(self._engine, what)

    def datasets(self) -> list[str]:
        """The datasets that have a run, sorted; also those whose file is gone."""
        with reading(self._engine) as connection:
            return sorted(connection.execute(select(runs.c.dataset).distinct()).scalars())

    def let_go(self, run_id: str) -> None:
        """Give back a night that was held for retention, without a trace of it."""
        with writing(self._engine) as connection:
            connection.execute(delete(runs).where(runs.c.id == run_id, runs.c.kind == "vacuum"))

    def mark_gone(self, dataset: str, table: str, nights: Iterable[Night], day: date | None = None) -> None:
        """Say that retention took away what is there of some nights; what later runs write there counts again.

        Args:
            dataset: The dataset.
            table: The table, or `PAGE`.
            nights: The nights; the caller holds them.
            day: On which day; today (UTC) where none is given.
        """
        said = (day or datetime.now(UTC).date()).isoformat()
        with durable("state.gone"):
            self._mark(dataset, table, nights, lambda gone: {**gone, table: said})

    def unmark_gone(self, dataset: str, table: str, nights: Iterable[Night]) -> None:
        """Take back what `mark_gone` said: nothing was taken away."""
        self._mark(dataset, table, nights, lambda gone: {name: day for name, day in gone.items() if name != table})

    def gone(self, dataset: str, night: Night) -> dict[str, date]:
        """Return what of a night retention took away: table (or `PAGE`) to the day, where nothing was written since."""
        with reading(self._engine) as connection:
            found = connection.execute(of_night(dataset, night)).mappings().all()
        newest: dict[str, Any] = {}
        for row in found:
            if row["status"] != "running":
                newest.setdefault(PAGE, (row["gone"] or {}).get(PAGE))
            for table in row["versions"] if row["status"] in COUNTING else ():
                newest.setdefault(table, (row["gone"] or {}).get(table))
        return {table: date.fromisoformat(day) for table, day in newest.items() if day is not None}

    def gone_nights(self, dataset: str, table: str) -> set[date]:
        """Return the nights of which retention took away a table's rows, and nothing was written since."""
        with reading(self._engine) as connection:
            query = select(runs.c.night, runs.c.gone).where(*wrote(dataset, table)).order_by(runs.c.seq)
            newest = {row.night: (row.gone or {}).get(table) for row in connection.execute(query)}
        return {date.fromisoformat(night) for night, day in newest.items() if day is not None}

    def silent_runs(self, dataset: str, before: datetime) -> SilentRuns:
        """Return the runs that ended before a moment and say nothing that is not said elsewhere.

        Of each night there stay the newest run, the newest and the newest done one of each kind, the newest that wrote
        each table, those with which a person accepted the night, and those that ledger, releases or incidents name.
        """
        size = func.length(cast(runs.c.result, String)) + func.length(cast(runs.c.counters, String))
        names = ("seq", "id", "night", "kind", "status", "ended_at", "versions", "accepted_by")
        query = select(*(runs.c[name] for name in names), size.label("bytes")).where(runs.c.dataset == dataset)
        with reading(self._engine) as connection:
            named = {run_id for table in _NAMING for run_id in connection.execute(select(table.c.run_id)).scalars()}
            rows = connection.execute(query.order_by(runs.c.seq.desc())).mappings().all()
        found = [row for row in _unneeded(rows, named) if row["ended_at"] is not None and row["ended_at"] < before]
        return SilentRuns([row["seq"] for row in found], sum(int(row["bytes"] or 0) for row in found))

    def forget_runs(self, seqs: Sequence[int]) -> None:
        """Delete rows of runs, and of what they read; `silent_runs` says which may go."""
        with durable("state.forget"), writing(self._engine) as connection:
            for start in range(0, len(seqs), MOST_AT_ONCE):
                some = seqs[start : start + MOST_AT_ONCE]
                going = (runs.c.seq.in_(some), runs.c.status != "running")
                connection.execute(delete(run_inputs).where(run_inputs.c.run_id.in_(select(runs.c.id).where(*going))))
                connection.execute(delete(runs).where(*going))

    def _mark(
        self, dataset: str, table: str, nights: Iterable[Night], change: Callable[[dict[str, str]], dict[str, str]]
    ) -> None:
        days = sorted({as_night(night).isoformat() for night in nights})
        wanted = [runs.c.dataset == dataset, runs.c.status != "running"] if table == PAGE else wrote(dataset, table)
        with writing(self._engine) as connection:
            for start in range(0, len(days), MOST_AT_ONCE):
                some = runs.c.night.in_(days[start : start + MOST_AT_ONCE])
                found = connection.execute(select(runs.c.seq, runs.c.gone).where(*wanted, some)).all()
                if found:
                    values = [{"row": row.seq, "said": change(row.gone or {})} for row in found]
                    connection.execute(
                        update(runs).where(runs.c.seq == bindparam("row")).values(gone=bindparam("said")), values
                    )


def _unneeded(rows: Sequence[RowMapping], named: set[str | None]) -> Iterator[RowMapping]:
    """Those of the rows, newest first, that a newer one of their night stands for."""
    seen: set[tuple[str, ...]] = set()
    for row in rows:
        counts = row["status"] in COUNTING
        says = {("newest",), ("kind", row["kind"]), *(("wrote", table) for table in row["versions"] if counts)}
        says |= {("done", row["kind"])} if row["status"] == "done" else set()
        new = {(row["night"], *what) for what in says} - seen
        seen |= new
        if not new and not row["accepted_by"] and row["id"] not in named and row["status"] != "running":
            yield row
