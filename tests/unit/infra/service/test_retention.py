"""Retention is applied once a day, when nothing is at work, and gives way to nights."""

from __future__ import annotations

import dataclasses
from datetime import UTC, date, datetime

import pytest

from infra.runtime.requests import Asked
from infra.service.retention_child import begin
from tasks.retention_daily import APPLIED, FAILED, LEFT_OUT, apply_retention

NIGHT = date(2026, 9, 20)
NOON = datetime(2026, 9, 21, 12, 0, tzinfo=UTC)


@pytest.fixture
def noon(house):
    """A house whose retention of the day before is over, at noon."""
    apply_retention(house.services, NIGHT)
    house.now = NOON
    return house


def apply(house):
    """Have the process at work do what it is for, and end."""
    vacuum = house.vacuums[-1]
    apply_retention(house.services, vacuum.day)
    vacuum.status = 0


def days(house):
    return [vacuum.day.isoformat() for vacuum in house.vacuums]


def told(house, kind):
    return [event.detail["day"] for event in house.services.state.events(kinds=[kind])[::-1]]


def test_it_begins_when_nothing_was_at_work_for_a_while(noon):
    noon.turn()
    noon.turn(minutes=4)
    assert noon.vacuums == []
    noon.turn(minutes=1)
    assert days(noon) == ["2026-09-21"]
    noon.turn(minutes=1)
    apply(noon)
    noon.turn(hours=5)
    assert days(noon) == ["2026-09-21"]
    assert noon.vacuums[0].released
    assert told(noon, FAILED) == []


def test_it_is_not_applied_twice_a_day_however_often_the_service_begins_anew(noon):
    noon.turn()
    noon.turn(minutes=5)
    apply(noon)
    for _ in range(3):
        noon.restart()
        noon.turn(minutes=10)
        noon.turn(minutes=10)
    assert days(noon) == ["2026-09-21"]
    noon.now = datetime(2026, 9, 22, 12, 0, tzinfo=UTC)
    noon.turn()
    noon.turn(minutes=5)
    assert days(noon) == ["2026-09-21", "2026-09-22"]


def test_one_that_the_service_took_with_it_begins_again_with_the_service(noon):
    noon.turn()
    noon.turn(minutes=5)
    noon.restart()
    noon.turn()
    noon.turn(minutes=5)
    assert days(noon) == ["2026-09-21", "2026-09-21"]
    assert told(noon, FAILED) == []


@pytest.mark.parametrize(("at", "begun"), [("12:16", ["2026-09-21"]), ("12:14", [])], ids=["later", "soon"])
def test_it_does_not_begin_right_before_a_night_is_due(noon, at, begun):
    noon.dataset("flows", schedule={"timezone": "UTC", "at": at})
    noon.services.state.switch("flows", enabled=True, since=date(2026, 9, 21), actor="ana")
    noon.turn()
    noon.turn(minutes=5)
    assert days(noon) == begun


def test_it_waits_for_the_end_of_a_run_that_somebody_began_by_hand(noon):
    run = noon.services.state.start_run("flows", NIGHT, "run", "print", lease_seconds=1e6)
    noon.turn()
    noon.turn(hours=1)
    assert noon.vacuums == []
    noon.services.state.finish_run(run.id, "done", result={})
    noon.turn()
    noon.turn(minutes=5)
    assert days(noon) == ["2026-09-21"]


def test_it_gives_way_to_a_night_that_begins_and_goes_on_after_it(noon):
    noon.dataset("flows")
    noon.turn()
    noon.turn(minutes=5)
    noon.services.state.ask(Asked("flows", "nightly", "http", "ana", NIGHT), noon.now)
    noon.turn(minutes=1)
    assert noon.orchestrator.at_work == ["run-1"]
    assert noon.vacuums[0].released
    noon.vacuums[0].status = 143
    noon.turn(minutes=1)
    noon.turn(minutes=30)
    assert len(noon.vacuums) == 1
    noon.do()
    noon.turn(minutes=1)
    noon.turn(minutes=5)
    assert days(noon) == ["2026-09-21", "2026-09-21"]
    assert told(noon, FAILED) == []


def test_a_sereno_vacuum_by_hand_is_waited_for(noon):
    noon.turn()
    noon.turn(minutes=5)
    noon.vacuums[0].status = 6
    noon.turn()
    noon.turn()
    noon.turn(minutes=5)
    assert len(noon.vacuums) == 2
    assert told(noon, FAILED) == []


def test_a_process_that_dies_is_told_once_and_the_nights_go_on(noon):
    noon.dataset("flows")
    noon.turn()
    noon.turn(minutes=5)
    noon.vacuums[0].status = -9
    noon.turn()
    noon.turn(hours=1)
    noon.restart()
    noon.turn(hours=1)
    noon.turn(hours=1)
    assert len(noon.vacuums) == 1
    (text,) = noon.told(FAILED)
    assert "its process was killed by signal 9" in text
    noon.services.state.ask(Asked("flows", "nightly", "http", "ana", NIGHT), noon.now)
    noon.turn(minutes=1)
    assert noon.orchestrator.at_work == ["run-1"]


def test_a_day_without_a_quiet_moment_is_told_once(noon):
    noon.services.state.start_run("flows", NIGHT, "run", "print", lease_seconds=1e6)
    for _ in range(50):
        noon.turn(minutes=30)
    assert noon.vacuums == []
    assert told(noon, LEFT_OUT) == ["2026-09-21"]


def test_never_is_never(noon):
    settings = noon.services.settings
    never = settings.retention.model_copy(update={"at": "never"})
    noon.services = dataclasses.replace(noon.services, settings=settings.model_copy(update={"retention": never}))
    noon.restart()
    for _ in range(5):
        noon.turn(days=1)
    assert noon.vacuums == []


def test_the_process_applies_it_and_writes_down_how_it_ended(house, no_leftover_processes):
    child = begin(house.project, NIGHT)
    assert child._process.wait(120) == 0
    child.release()
    assert told(house, APPLIED) == ["2026-09-20"]


def test_a_process_that_is_told_to_end_ends_and_leaves_the_day_to_the_next(house, no_leftover_processes):
    with house.services.state.sole("vacuum"):
        child = begin(house.project, NIGHT)
        child.release()
        assert child._process.wait(120) in (0, 6, 143)
    assert told(house, APPLIED) == []
