"""What happened is written down once, for good, and found again by what it is about."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from infra.runtime.events import Event
from infra.runtime.state import State

NIGHT = date(2026, 9, 20)


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    with State(f"sqlite:///{tmp_path / 'state.db'}") as opened:
        yield opened


def test_an_event_comes_back_as_it_was_told_with_number_and_moment(state: State) -> None:
    told = state.tell(Event("promoted", "Version 3 is champion.", dataset="flows", night=NIGHT, detail={"version": 3}))
    assert told.id == 1
    assert told.at is not None
    assert abs(datetime.now(UTC) - told.at) < timedelta(minutes=1)
    assert state.events() == [told]
    assert (told.dataset, told.night, told.actor, told.level) == ("flows", NIGHT, "sereno", "info")


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({}, [3, 2, 1]),
        ({"limit": 2}, [3, 2]),
        ({"dataset": "flows"}, [3, 1]),
        ({"night": NIGHT}, [1]),
        ({"kinds": ["child_died"]}, [2]),
        ({"levels": ["warning", "error"]}, [3, 2]),
        ({"after": 1}, [3, 2]),
        ({"since": datetime(2026, 9, 21, tzinfo=UTC)}, [3, 2]),
    ],
    ids=str,
)
def test_events_are_found_newest_first_by_what_they_are_about(
    state: State, asked: dict[str, object], found: list[int]
) -> None:
    day = datetime(2026, 9, 20, 2, tzinfo=UTC)
    state.tell(Event("promoted", "one", dataset="flows", night=NIGHT, at=day))
    state.tell(Event("child_died", "two", level="warning", at=day + timedelta(days=1)))
    state.tell(Event("run_reaped", "three", level="error", dataset="flows", at=day + timedelta(days=2)))
    assert [event.id for event in state.events(**asked)] == found
