"""The outbox: a message is written once a route, with what it is about, and moves on one step at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from sqlalchemy import Connection
from sqlalchemy.dialects import postgresql

from infra.runtime import notices as store
from infra.runtime.notices import Notice, write_notices
from infra.runtime.state import State
from schemas.errors import LockedNight
from schemas.message import Message

NIGHT = date(2026, 9, 20)
LATER = datetime.now(UTC) + timedelta(hours=1)
TOLD = Message(
    kind="night_blocked",
    about="night flows 2026-09-20 run-1",
    subject="flows 2026-09-20: Blocked",
    severity="high",
    dataset="flows",
    night=NIGHT,
    lines=("too few rows", "née"),
    facts=(("rows", "1"),),
    header=("key",),
    rows=(("7",),),
    steps=(("Look.", "sereno status"),),
    report=True,
)


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    with State(f"sqlite:///{tmp_path / 'state.db'}") as opened:
        yield opened


def writing(message: Message) -> Callable[[Connection], None]:
    def write(connection: Connection) -> None:
        write_notices(connection, message, ["ops"])

    return write


def put(state: State, **changes: object) -> Notice:
    assert state.put_notices(TOLD.model_copy(update=changes), ["ops"]) == 1
    return state.notices()[0]


def test_a_message_comes_back_as_it_was_written(state: State) -> None:
    notice = put(state)
    assert notice.message == TOLD
    assert (notice.route, notice.status, notice.attempts, notice.error) == ("ops", "waiting", 0, "")
    assert notice.attachment == "flows/2026-09-20.html"
    assert notice.sent_at is None


def test_the_same_thing_is_told_once_on_each_route(state: State) -> None:
    assert state.put_notices(TOLD, ["ops", "chat", "ops"]) == 2
    assert state.put_notices(TOLD.model_copy(update={"subject": "other words"}), ["ops", "chat", "mail"]) == 1
    assert sorted(notice.route for notice in state.notices()) == ["chat", "mail", "ops"]


def test_a_message_is_written_with_the_final_row_or_not_at_all(state: State) -> None:
    run = state.start_run("flows", NIGHT, "run", "print")
    state.finish_run(run.id, "blocked", also=writing(TOLD))
    assert len(state.notices()) == 1
    with pytest.raises(LockedNight):
        state.finish_run(run.id, "failed", also=writing(TOLD.model_copy(update={"about": "another"})))
    assert len(state.notices()) == 1


def test_due_is_what_waits_and_what_a_dead_process_held_in_the_order_of_writing(state: State) -> None:
    first, second, third = (put(state, about=name) for name in ("one", "two", "three"))
    held = state.hold_notice(second, LATER + timedelta(minutes=5))
    assert held is not None
    assert [notice.id for notice in state.due_notices(LATER)] == [first.id, third.id]
    state.mark_refused(state.hold_notice(third, LATER), "no", LATER, next_try=LATER + timedelta(minutes=9))
    assert [notice.id for notice in state.due_notices(LATER)] == [first.id]
    assert [notice.id for notice in state.due_notices(LATER, early=True)] == [first.id, third.id]
    assert [notice.id for notice in state.due_notices(LATER + timedelta(minutes=5))] == [first.id, second.id]


def test_of_two_that_want_a_message_one_gets_it(state: State) -> None:
    notice = put(state)
    held = state.hold_notice(notice, LATER)
    assert held is not None
    assert (held.status, held.attempts) == ("sending", 1)
    assert state.hold_notice(notice, LATER) is None
    taken_over = state.hold_notice(held, LATER + timedelta(hours=1))
    assert taken_over is not None
    assert state.mark_sent(held, LATER) is None  # whoever lost it says nothing of it
    assert state.mark_sent(taken_over, LATER) is not None
    assert state.due_notices(LATER + timedelta(days=9), early=True) == []


def test_what_is_given_up_is_an_event_in_the_same_transaction(state: State) -> None:
    held = state.hold_notice(put(state), LATER)
    assert held is not None
    refused = state.mark_refused(held, "the receiver answered 500", LATER, next_try=None)
    assert refused is not None
    assert (refused.status, refused.error, refused.attempts) == ("failed", "the receiver answered 500", 1)
    (event,) = state.events()
    assert (event.kind, event.level, event.dataset, event.night) == ("notice_failed", "error", "flows", NIGHT)
    assert event.text.startswith("The route `ops` did not take a message in 1 try: the receiver answered 500")
    assert event.detail == {"notice": held.id, "route": "ops", "kind": "night_blocked", "about": TOLD.about}
    assert state.notice_counts() == {"failed": 1}


def test_what_was_given_up_comes_back_or_is_forgotten(state: State) -> None:
    for name, route in (("one", "ops"), ("two", "chat")):
        state.put_notices(TOLD.model_copy(update={"about": name}), [route])
        state.mark_refused(state.hold_notice(state.notices()[0], LATER), "no", LATER, next_try=None)
        if name == "one":
            assert state.revive_notices(LATER) == 1
    assert [(n.route, n.status, n.attempts) for n in state.notices()] == [("chat", "failed", 1), ("ops", "waiting", 0)]
    assert state.forget_notices("ana", [999]) == 0
    assert state.forget_notices("ana") == 1
    assert state.notice_counts() == {"waiting": 1}
    event = state.events()[0]
    assert (event.kind, event.actor, event.detail) == ("notices_forgotten", "ana", {"notices": [2]})


def test_messages_are_listed_newest_first_by_status_and_route(state: State) -> None:
    for number in range(3):
        state.put_notices(TOLD.model_copy(update={"about": str(number)}), ["ops", "chat"])
    assert [notice.id for notice in state.notices(limit=2)] == [6, 5]
    assert {notice.route for notice in state.notices(route="chat")} == {"chat"}
    assert state.notices(statuses=["sent", "failed"]) == []


def test_the_insert_is_known_to_postgresql() -> None:
    connection = SimpleNamespace(dialect=postgresql.dialect())
    insert = store._unless_told(cast("Connection", connection)).values(route="x")
    assert "ON CONFLICT (about, route) DO NOTHING" in str(insert.compile(dialect=postgresql.dialect()))
