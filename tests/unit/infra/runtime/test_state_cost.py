"""What a night asks of the state costs the same after 30 nights and after 300: rows fetched, and SQLite's own steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from infra.runtime import state_database, state_tables
from infra.runtime.state import State

FIRST = date(2026, 1, 1)
NIGHTS = (30, 300)
EVERY = 10  # instructions of SQLite's machine between two counts
TABLES = ("accepted", "quarantined", "samples", "scores")


@dataclass
class Cost:
    """What some questions cost."""

    rows: int = 0
    steps: int = 0


@pytest.fixture(scope="module")
def states(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[int, State]]:
    made = {nights: made_state(tmp_path_factory.mktemp("state") / "state.db", nights) for nights in NIGHTS}
    yield made
    for state in made.values():
        state.close()


def made_state(file: Path, nights: int) -> State:
    """Nights of a dataset and of another one, each with a row of the ledger; the champion is of the second night."""
    state = State(f"sqlite:///{file}").open()
    now = datetime.now(UTC)
    rows: list[dict[str, Any]] = []
    ledger: list[dict[str, Any]] = []
    for position in range(nights):
        night = (FIRST + timedelta(days=position)).isoformat()
        for dataset in ("flows", "machines"):
            versions = dict.fromkeys(TABLES, position + 1)
            values: dict[str, Any] = {
                "id": f"{dataset}-{position}",
                "dataset": dataset,
                "night": night,
                "versions": versions,
            }
            values |= {"kind": "run", "status": "done", "fingerprint": night, "protocol": 1, "versions": versions}
            values |= {"started_at": now, "ended_at": now, "holder": "h:1:x", "lease_expires_at": now, "counters": {}}
            rows.append(values | {"result": {"text": "x" * 6_000}})
        action = "promoted" if position == 1 else "refused"
        entry = {"dataset": "flows", "version": str(position), "bundle_hash": f"{position:064x}", "action": action}
        ledger.append(entry | {"reason": "r", "actor": "run", "at": now, "metrics": {}})
    with state_database.writing(state._engine) as connection:
        connection.execute(sa.insert(state_tables.runs), rows)
        connection.execute(sa.insert(state_tables.promotions), ledger)
    return state


@contextmanager
def counted(state: State) -> Iterator[Cost]:
    """Count on a connection of the block's own."""
    cost = Cost()

    def row(_cursor: Any, values: tuple[Any, ...]) -> tuple[Any, ...]:
        cost.rows += 1
        return values

    def step() -> int:
        cost.steps += EVERY
        return 0

    def listen(connection: Any, _record: Any) -> None:
        connection.row_factory = row
        connection.set_progress_handler(step, EVERY)

    state._engine.dispose()
    sa.event.listen(state._engine, "connect", listen)
    try:
        with state_database.reading(state._engine) as connection:
            connection.exec_driver_sql("SELECT count(*) FROM sqlite_schema")  # the schema is read once a connection
        cost.rows = cost.steps = 0
        yield cost
    finally:
        sa.event.remove(state._engine, "connect", listen)
        state._engine.dispose()


def tonight(nights: int) -> date:
    return FIRST + timedelta(days=nights)


QUESTIONS: dict[str, tuple[Callable[[State, date], Any], int]] = {
    "window": (lambda state, night: state.history("flows", night, 14, table="samples"), 14),
    "newest": (lambda state, _night: state.history("flows", limit=1, table="scores"), 1),
    "pins": (lambda state, night: state.pins("flows", "accepted", [night - timedelta(days=3)]), 1),
    "pins of no night": (lambda state, night: state.pins("flows", "accepted", [night]), 0),
    "timeline": (lambda state, night: state.last_nights("flows", 27, before=night, running=False), 27),
    "runs of a night": (lambda state, night: state.recent("flows", night=night - timedelta(days=1)), 1),
    "all datasets of a night": (lambda state, night: state.recent(night=night - timedelta(days=1)), 2),
    "live": (lambda state, _night: state.live(), 0),
    "stale": (lambda state, _night: state.stale(), 0),
    "free": (lambda state, night: state.check_free("flows", night), 0),
    "done": (lambda state, night: state.find_done("flows", night - timedelta(days=1), "fp"), 1),
    "how nights stand": (lambda state, _night: state.standing_nights(["flows", "machines"]), 2),
    "champion": (lambda state, _night: state.champion("flows"), 1),
    "a new bundle": (lambda state, _night: state.ledger("flows", bundle_hash="f" * 64), 0),
    "releases": (lambda state, night: state.releases("flows", night), 0),
}


@pytest.mark.parametrize("name", QUESTIONS)
def test_a_question_of_a_night_costs_the_same_after_many_nights(states: dict[int, State], name: str) -> None:
    ask, rows = QUESTIONS[name]
    costs = {}
    for nights, state in states.items():
        with counted(state) as cost:
            ask(state, tonight(nights))
        costs[nights] = cost
    assert [cost.rows for cost in costs.values()] == [rows, rows]
    assert costs[300].steps <= costs[30].steps + 2 * EVERY


def test_a_run_that_starts_and_ends_costs_the_same_after_many_nights(states: dict[int, State]) -> None:
    costs = {}
    for nights, state in states.items():
        with counted(state) as cost:
            run = state.start_run("flows", tonight(nights), "run", "fp")
            state.record("flows", 99, "e" * 64, "refused", reason="r", actor="run")
            state.finish_run(run.id, "failed")
        costs[nights] = cost
    assert costs[300].rows == costs[30].rows
    assert costs[300].steps <= 1.1 * costs[30].steps
