"""Counts of the state: right, and answered from an index alone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from infra.runtime.events import Event
from infra.runtime.figures import RunCount
from infra.runtime.promotions import Action
from infra.runtime.requests import Asked
from infra.runtime.run_row import Kind, Status
from infra.runtime.state import State
from infra.runtime.state_tables import events, requests, runs
from schemas.errors import StateError

NOW = datetime(2026, 9, 20, 4, tzinfo=UTC)


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    with State(f"sqlite:///{tmp_path / 'state.db'}") as opened:
        yield opened


def test_runs_are_counted_by_dataset_kind_and_status(state: State) -> None:
    for night in (20, 21):
        state.finish_run(state.start_run("flows", date(2026, 9, night), "run", "fp").id, "done")
    state.finish_run(state.start_run("flows", date(2026, 9, 22), "validate", "fp").id, "blocked")
    state.start_run("machines", date(2026, 9, 22), "run", "fp")
    assert state.run_counts() == [
        RunCount("flows", "run", "done", 2),
        RunCount("flows", "validate", "blocked", 1),
        RunCount("machines", "run", "running", 1),
    ]


def test_the_queue_says_since_when_something_waits(state: State) -> None:
    assert (state.queue(NOW).counts, state.queue(NOW).oldest) == ({}, None)
    for hours in (3, 2, -1):
        state.ask(Asked("flows", "training", "http", "ci", due_at=NOW - timedelta(hours=hours)))
    first = state.request(1)
    state.change_request(first, "started", attempts=1)
    queue = state.queue(NOW)
    assert queue.counts == {"started": 1, "waiting": 2}
    assert queue.oldest == NOW - timedelta(hours=2)
    assert state.queue(NOW - timedelta(hours=3)).oldest is None


def test_events_are_counted_by_kind(state: State) -> None:
    for kind in ("promoted", "labelled", "promoted"):
        state.tell(Event(kind, "said"))
    assert state.event_counts() == {"labelled": 1, "promoted": 2}


@pytest.mark.parametrize(
    "columns",
    [(runs.c.dataset, runs.c.kind, runs.c.status), (requests.c.status,), (events.c.kind,)],
    ids=["runs", "requests", "events"],
)
def test_counting_reads_an_index_and_no_row(state: State, columns: tuple[sa.Column[str], ...]) -> None:
    query = sa.select(*columns, sa.func.count()).group_by(*columns)
    with state._engine.connect() as connection:
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {query.compile(state._engine)}").all()
    assert all("COVERING INDEX" in step[-1] for step in plan), plan


def test_how_last_nights_stand_is_what_each_dataset_says_by_itself(state: State) -> None:
    def over(dataset: str, night: int, kind: Kind, status: Status) -> None:
        run = state.start_run(dataset, date(2026, 9, night), kind, "fp")
        state.finish_run(run.id, status, result={"alerts": night}, versions={"accepted": 1}, counters={"rows": 1})

    over("flows", 20, "run", "done")
    over("flows", 21, "run", "done")
    over("flows", 20, "run", "failed")
    over("flows", 22, "train", "done")
    state.start_run("flows", date(2026, 9, 23), "run", "fp")
    over("machines", 20, "run", "done")
    over("machines", 20, "release", "done")
    over("hosts", 20, "validate", "blocked")
    over("hosts", 20, "release", "failed")
    names = ["flows", "hosts", "machines", "other"]
    found = state.standing_nights(names)
    alone = [run for name in names for run in state.last_nights(name, 1, running=False)]
    assert [(run.id, run.status, run.result) for run in found] == [(run.id, run.status, run.result) for run in alone]
    assert [run.kind for run in found] == ["run", "validate", "release"]


def test_champions_are_what_each_dataset_says_by_itself(state: State) -> None:
    acted: list[tuple[str, str, Action]] = [
        ("flows", "1", "promoted"),
        ("flows", "2", "promoted"),
        ("flows", "3", "refused"),
        ("flows", "1", "rolled_back"),
        ("hosts", "1", "registered"),
        ("machines", "7", "promoted"),
    ]
    for dataset, version, action in acted:
        state.record(dataset, version, "a" * 64, action, reason="r", actor="ana")
    assert state.champions() == [state.champion("flows"), state.champion("machines")]


def test_a_state_whose_tables_are_gone_does_not_answer(state: State) -> None:
    state.check_answers()
    with state._engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE runs")
    with pytest.raises(StateError, match="no such table"):
        state.check_answers()
