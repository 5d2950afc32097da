"""What a night asks of the state costs the same after 30 nights and after 300: rows fetched, and SQLite's own steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa

from infra.runtime import state_database, state_tables
from infra.runtime.incident_rows import add_nights, open_incident
from infra.runtime.state import State
from schemas.dataset import Dataset
from schemas.incident_results import IncidentColumn
from tasks.incident_views import listed
from tasks.incidents import Group
from tasks.incidents_written import write_incidents

FIRST = date(2026, 1, 1)
NIGHTS = (30, 300)
EVERY = 10  # instructions of SQLite's machine between two counts
DATASET = Dataset.model_validate({"name": "flows", "source": {"path": "x"}, "columns": {"sent": {"type": "number"}}})
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
        add_incidents(connection, nights)
    return state


def add_incidents(connection: sa.Connection, nights: int) -> None:
    """Three incidents a night, each of which lasts two nights."""
    for position in range(nights):
        for place in range(3):
            began = FIRST + timedelta(days=position)
            number = open_incident(connection, "flows", f"h{place}", ["sent"], began)
            values = {"incident_id": number, "dataset": "flows", "run_id": "r", "alerts": 2, "score": 3.0}
            values |= {"p_value": 0.01, "points": 0, "severity": "low", "columns": [["sent", 0.9]], "affected": 1}
            values |= {"entities": [], "keys": ["k" * 900]}
            told = {0: "new", 1: None}
            night = {later: (began + timedelta(days=later)).isoformat() for later in told}
            add_nights(connection, [values | {"night": night[later], "told": told[later]} for later in told])


def write_tonight(state: State, night: date) -> None:
    """Write a night's incidents, of which two go on, and undo it."""
    groups = [Group(f"h{place}", (IncidentColumn(column="sent", share=0.9),), 2, 3.0, 0.01) for place in (1, 2, 9)]
    state.would(lambda connection: write_incidents(connection, DATASET, night, "r", groups))


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
    "incidents of a night": (lambda state, night: state.incident_nights("flows", nights=[night]), 3),
    "writing incidents": (write_tonight, 40),
    "incidents under way": (lambda state, _night: listed(SimpleNamespace(state=state), DATASET, None, over=False), 55),
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
