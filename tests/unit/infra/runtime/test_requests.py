"""What is asked for: once a key, once a scheduled night; called off; and told of."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from infra.runtime.requests import Asked, Request
from infra.runtime.state import State
from schemas.errors import UsageError

NIGHT = date(2026, 9, 20)
ASKED = Asked("flows", "nightly", "http", "ci", NIGHT, {"train": False})


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    with State(f"sqlite:///{tmp_path / 'state.db'}") as opened:
        yield opened


def test_asked_again_under_the_same_key_it_is_the_same_request(state: State) -> None:
    keyed = dataclasses.replace(ASKED, key="build 7")
    first = state.ask(keyed)
    assert state.ask(keyed) == first
    assert state.ask(dataclasses.replace(keyed, night=None)) == first
    others = [state.ask(dataclasses.replace(keyed, actor="ana")), state.ask(ASKED), state.ask(ASKED)]
    assert len({one.id for one in (first, *others) if one is not None}) == 4
    assert first is not None
    assert first.asked.key == "build 7"


def test_asked_by_many_at_once_under_one_key_it_is_one_request(state: State) -> None:
    made: list[Request | None] = []
    threads = [
        threading.Thread(target=lambda: made.append(state.ask(dataclasses.replace(ASKED, key="k")))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({one.id for one in made if one is not None}) == 1
    assert len(made) == 8
    assert len(state.requests()) == 1
    assert len(state.events(kinds=["run_asked"])) == 1


def test_the_schedule_asks_once_for_a_night_and_is_no_news(state: State) -> None:
    scheduled = Asked("flows", "nightly", "schedule", "sereno", NIGHT)
    assert state.ask(scheduled) is not None
    assert state.ask(scheduled) is None
    assert state.events() == []


def test_what_waits_is_cancelled_and_what_was_started_is_told_to_end(state: State) -> None:
    waiting, started = state.ask(ASKED), state.ask(ASKED)
    assert waiting is not None
    assert started is not None
    assert state.change_request(started, "started", attempts=1) is not None
    assert state.cancel_request(waiting.id, "ana").status == "cancelled"
    told = state.cancel_request(started.id, "ana")
    assert (told.status, told.reason, told.is_open) == ("cancelling", "cancelled by ana", True)
    assert state.cancel_request(waiting.id, "ben").reason == "cancelled by ana"
    assert [event.detail["request"] for event in state.events(kinds=["cancel_asked"])] == [started.id, waiting.id]


def test_what_is_over_or_was_never_asked_for_cannot_be_called_off(state: State) -> None:
    asked = state.ask(ASKED)
    assert asked is not None
    state.change_request(asked, "done")
    with pytest.raises(UsageError, match=f"Request {asked.id} is over: done"):
        state.cancel_request(asked.id, "ana")
    with pytest.raises(UsageError, match="There is no request 99"):
        state.cancel_request(99, "ana")
    assert state.events(kinds=["cancel_asked"]) == []


def test_requests_are_paged_by_their_number(state: State) -> None:
    for _ in range(3):
        state.ask(ASKED)
    assert [request.id for request in state.requests(limit=2)] == [3, 2]
    assert [request.id for request in state.requests(before=2)] == [1]


def test_who_turned_a_schedule_on_is_told(state: State) -> None:
    state.switch("flows", enabled=True, since=NIGHT, actor="ana")
    (event,) = state.events()
    assert (event.kind, event.actor, event.dataset) == ("schedule_switched", "ana", "flows")
    assert event.detail == {"enabled": True, "since": "2026-09-20"}
