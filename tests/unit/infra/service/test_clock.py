"""Nights are begun in order, once, when their files are there, and looked after until they have an outcome."""

from __future__ import annotations

import importlib
import os
import time
from datetime import UTC, date, datetime, timedelta

import pytest

from infra.runtime.requests import Asked
from infra.service.launcher import FlowRunStand

FIRST = date(2026, 9, 20)


def nights(number: int) -> list[date]:
    return [FIRST + timedelta(days=day) for day in range(number)]


def count_calls(monkeypatch, name: str) -> list[object]:
    """Have calls of a function counted."""
    module, _, attribute = name.rpartition(".")
    real, calls = getattr(importlib.import_module(module), attribute), []

    def counted(*words):
        calls.append(words)
        return real(*words)

    monkeypatch.setattr(name, counted)
    return calls


def test_a_night_is_begun_when_it_is_due_and_its_files_are_there(house):
    house.on()
    house.turn()
    assert house.requests() == []
    house.turn(hours=1)
    assert house.requests() == [("2026-09-20", "waiting")]
    (request,) = house.services.state.open_requests()
    assert request.reason == "waits for its files"
    house.arrive("flows", FIRST)
    house.turn(minutes=1)
    assert house.orchestrator.at_work == ["run-1"]
    assert house.orchestrator.requests["run-1"].asked.options == {"train": True}
    house.do()
    house.turn(minutes=1)
    assert house.requests() == [("2026-09-20", "done")]


def test_a_file_that_is_still_being_written_is_waited_for(house):
    house.on(settle="60s")
    path = house.arrive("flows", FIRST, age=0)
    house.turn(hours=1)
    assert house.orchestrator.at_work == []
    os.utime(path, (time.time() - 61,) * 2)
    house.turn(minutes=1)
    assert len(house.orchestrator.at_work) == 1


def test_a_schedule_that_is_off_asks_for_nothing(house):
    house.dataset("flows", schedule=house.BERLIN)
    house.turn(days=3)
    assert house.requests() == []


def test_nothing_is_asked_twice_however_often_the_clock_begins_anew(house):
    house.on()
    house.arrive("flows", FIRST)
    house.turn(hours=1)
    for _ in range(3):
        house.restart()
        house.turn(minutes=1)
    assert house.requests() == [("2026-09-20", "started")]
    assert list(house.orchestrator.stands) == ["run-1"]


def test_a_clock_that_died_between_two_writes_starts_no_second_flow_run(house):
    house.on()
    house.arrive("flows", FIRST)
    house.turn(hours=1)
    (request,) = house.services.state.open_requests()
    house.services.state.change_request(request, "started", now=request.changed_at, flow_run=None)
    house.restart()
    house.turn(minutes=1)
    assert list(house.orchestrator.stands) == ["run-1"]
    assert house.services.state.request(request.id).flow_run == "run-1"


def test_missed_nights_are_caught_up_in_order_one_at_a_time(house):
    house.on(deadline="2h")
    for night in nights(3):
        house.arrive("flows", night)
    house.now = datetime(2026, 9, 23, 12, tzinfo=UTC)
    done = []
    for _ in range(3):
        house.turn(minutes=1)
        (number,) = house.orchestrator.at_work
        done.append(house.orchestrator.requests[number].asked.night)
        house.do()
    house.turn(minutes=1)
    assert done == nights(3)
    assert {status for _, status in house.requests()} == {"done"}
    assert house.told("nights_caught_up") == [
        "flows: 3 nights were missed, 2026-09-20 to 2026-09-22; they are done now, in order."
    ]
    assert house.told("no_report") == []


def test_more_missed_nights_than_the_limit_are_left_out_and_told(house):
    house.on(catch_up=2)
    house.turn(days=5, hours=1)
    house.turn(minutes=1)
    assert house.requests() == [
        ("2026-09-20", "cancelled"),
        ("2026-09-21", "cancelled"),
        ("2026-09-22", "cancelled"),
        ("2026-09-23", "cancelled"),
        ("2026-09-24", "waiting"),
        ("2026-09-25", "waiting"),
    ]
    (told,) = house.told("nights_left_out")
    assert "sereno backfill flows --from 2026-09-20 --to 2026-09-23" in told


def test_a_night_that_is_left_out_stays_so_whenever_the_clock_dies(house, monkeypatch):
    house.on(since=FIRST - timedelta(days=9), catch_up=3)
    with monkeypatch.context() as dying:
        dying.setattr(house.services.state, "change_request", lambda *_words, **_more: 1 / 0)
        house.turn(hours=1)
    house.restart()
    house.turn(minutes=1)
    assert [status for _, status in house.requests()] == ["cancelled"] * 7 + ["waiting"] * 3


def test_no_more_runs_at_once_than_the_setting_says_and_each_dataset_gets_its_turn(house):
    house.runs = 2
    house.restart()
    for name in ("alpha", "beta", "gamma"):
        house.on(name)
        for night in nights(2):
            house.arrive(name, night)
    house.turn(days=1, hours=1)
    begun = [house.orchestrator.requests[number].asked for number in house.orchestrator.at_work]
    assert [(asked.dataset, asked.night) for asked in begun] == [("alpha", FIRST), ("beta", FIRST)]
    house.do()
    house.turn(minutes=1)
    begun = [house.orchestrator.requests[number].asked for number in house.orchestrator.at_work]
    assert ("gamma", FIRST) in [(asked.dataset, asked.night) for asked in begun]


def test_a_night_that_is_done_by_its_deadline_is_not_told_though_its_request_is_still_open(house):
    house.on(deadline="2h")
    house.arrive("flows", FIRST)
    house.turn(hours=1)
    house.do()
    house.orchestrator.stands = {number: FlowRunStand("working", "Running") for number in house.orchestrator.stands}
    house.turn(hours=2)
    assert [status for _, status in house.requests()] == ["started"]
    assert house.told("no_report") == []


def test_a_night_whose_file_does_not_come_is_told_and_then_recorded_as_missing(house):
    house.on(deadline="2h")
    house.turn(hours=1)
    house.turn(hours=2)
    (told,) = house.told("no_report")
    assert "flows 2026-09-20: no report by 2026-09-21 02:30 UTC" in told
    house.do("missing", "nothing arrived")
    house.turn(minutes=1)
    assert house.requests() == [("2026-09-20", "failed")]
    house.turn(minutes=1)
    assert len(house.told("no_report")) == 1


def test_a_file_that_comes_after_the_deadline_is_done_and_told(house):
    house.on(deadline="2h")
    house.turn(hours=1)
    house.turn(hours=2)
    house.do("missing", "nothing arrived")
    house.turn(minutes=1)
    house.arrive("flows", FIRST)
    house.turn(minutes=1)
    assert house.requests() == [("2026-09-20", "failed"), ("2026-09-20", "started")]
    assert house.told("file_late") == ["flows 2026-09-20: its files came after the deadline; the night is done now."]
    house.do()
    house.turn(minutes=1)
    assert house.requests()[-1] == ("2026-09-20", "done")


@pytest.mark.parametrize("changed", ["tell", "run"])
def test_files_that_change_after_the_night_was_done_are_told_once(house, changed, monkeypatch):
    house.on(changed=changed)
    path = house.arrive("flows", FIRST)
    house.turn(hours=1)
    house.do()
    report = house.project.report_file("flows", "2026-09-20", "json")
    report.parent.mkdir(parents=True)
    report.write_text('{"files": [{"sha256": "0"}]}', encoding="utf-8")
    house.turn(minutes=1)
    assert house.told("file_changed") == []
    os.utime(path, (time.time() + 3_600,) * 2)
    house.now += timedelta(minutes=1)
    for _ in range(3):
        # Written an hour from now as the night's run began just now: a changed file must have settled, too.
        house.turn(minutes=1)
    assert house.told("file_changed") == []
    run = house.services.state.latest_final("flows", FIRST)
    assert run is not None
    os.utime(path, (run.started_at.timestamp() + 0.01,) * 2)
    house.on(changed=changed, settle="0s")
    time.sleep(0.05)
    hashed = count_calls(monkeypatch, "tasks.arrivals.input_hashes")
    for _ in range(3):
        house.turn(minutes=1)
    assert len(hashed) == 1
    house.restart()
    for _ in range(2):
        house.turn(minutes=1)
    (told,) = house.told("file_changed")
    assert ("is done again" in told) == (changed == "run")
    assert len(house.requests()) == (2 if changed == "run" else 1)


def test_a_night_without_times_is_begun_when_its_file_arrives(house):
    house.dataset("flows", schedule={"timezone": "UTC", "on_arrival": True})
    house.services.state.switch("flows", enabled=True, since=FIRST, actor="ana")
    house.turn(hours=1)
    assert house.requests() == []
    house.arrive("flows", FIRST)
    house.turn(minutes=1)
    (request,) = house.services.state.open_requests()
    assert (request.asked.origin, request.asked.night) == ("file", FIRST)
    house.do()
    house.turn(minutes=1)
    house.turn(minutes=1)
    assert house.requests() == [("2026-09-20", "done")]


def test_nothing_is_started_in_a_blackout_unless_a_person_asks(house):
    house.on(blackouts=[{"start": "02:00", "end": "06:00"}])
    house.arrive("flows", FIRST)
    house.turn(hours=1)
    (request,) = house.services.state.open_requests()
    assert request.reason == "waits for the end of the blackout at 06:00"
    house.services.state.ask(Asked("flows", "nightly", "command", "ana", date(2026, 9, 1)), house.now)
    house.turn(minutes=1)
    assert [house.orchestrator.requests[n].asked.origin for n in house.orchestrator.at_work] == ["command"]
    house.do()
    house.turn(hours=3)
    assert [house.orchestrator.requests[n].asked.origin for n in house.orchestrator.at_work] == ["schedule"]


def test_a_run_whose_process_is_gone_is_told_closed_and_begun_again(house, dead_process):
    house.on()
    house.arrive("flows", FIRST)
    house.turn(hours=1)
    house.orchestrator.stands["run-1"] = FlowRunStand("working", "Running", holder=dead_process)
    house.turn(minutes=1)
    assert house.orchestrator.stands["run-1"].stand == "crashed"
    assert house.orchestrator.at_work == ["run-2"]
    assert house.told("run_died") == ["flows 2026-09-20: the run died (its process ended without a word)"]


def test_a_flow_run_that_a_dead_worker_took_is_begun_again(house):
    house.on()
    house.arrive("flows", FIRST)
    house.turn(hours=1)
    house.orchestrator.stands["run-1"] = FlowRunStand("taken", "Pending")
    house.turn(minutes=2)
    house.turn(minutes=2)
    assert house.requests() == [("2026-09-20", "started")]
    house.turn(minutes=2)
    assert house.orchestrator.at_work == ["run-2"]


def test_a_run_that_could_not_even_write_down_how_it_ended_is_told(house):
    house.on()
    house.arrive("flows", FIRST)
    house.turn(hours=1)
    house.orchestrator.stands["run-1"] = FlowRunStand("ended", "Failed", "No space left on device")
    house.turn(minutes=1)
    assert house.told("run_failed") == ["flows 2026-09-20: the run failed (No space left on device)"]
    assert house.requests() == [("2026-09-20", "waiting")]


def test_a_run_that_wrote_how_it_failed_told_it_itself(house):
    house.on()
    house.arrive("flows", FIRST)
    house.turn(hours=1)
    house.write_failure("no gate")
    house.orchestrator.stands["run-1"] = FlowRunStand("ended", "Failed", "no gate")
    house.turn(minutes=1)
    assert house.told("run_failed") == []
    assert house.requests() == [("2026-09-20", "waiting")]


def test_a_night_that_fails_again_and_again_is_given_up_and_told(house):
    house.on(attempts=3)
    house.arrive("flows", FIRST)
    house.turn(hours=1)
    for _ in range(3):
        house.do("failed", "the disk is full")
        house.turn(minutes=1)
        house.turn(minutes=16)
    assert house.requests() == [("2026-09-20", "failed")]
    assert len(house.orchestrator.stands) == 3
    (told,) = house.told("given_up")
    assert told == "flows 2026-09-20: given up after 3 attempts; the last ended with: the disk is full"


def test_a_night_that_expectations_hold_is_not_tried_again(house):
    house.on()
    house.arrive("flows", FIRST)
    house.turn(hours=1)
    house.do("blocked", "half of the rows are missing")
    house.turn(minutes=20)
    assert house.requests() == [("2026-09-20", "failed")]
    assert len(house.orchestrator.stands) == 1


def test_a_run_that_the_service_gave_up_when_it_was_stopped_is_nobodys_fault(house):
    house.on(attempts=1)
    house.arrive("flows", FIRST)
    house.turn(hours=1)
    request = house.write_failure("stopped before it ended")
    house.orchestrator.stands["run-1"] = FlowRunStand("crashed", "Crashed", "aborted")
    house.restart()
    house.turn(minutes=1)
    assert house.told("run_died", "given_up") == []
    house.turn(minutes=1)
    # Another flow run, not the one that is over: Prefect gives that back where it is asked for it again.
    assert house.orchestrator.at_work == ["run-2"]
    assert house.services.state.request(request.id).attempts == 1


def test_what_prefect_calls_done_without_a_recorded_outcome_is_done_again(house):
    house.on()
    house.arrive("flows", FIRST)
    house.turn(hours=1)
    house.orchestrator.stands["run-1"] = FlowRunStand("ended", "Completed", "fine")
    house.turn(minutes=1)
    (request,) = house.services.state.open_requests()
    assert request.status == "waiting"
    assert "no outcome is recorded" in request.reason


@pytest.mark.parametrize("stand", ["waiting", "working"])
def test_a_request_that_is_called_off_ends_its_flow_run(house, stand):
    house.on()
    house.arrive("flows", FIRST)
    house.turn(hours=1)
    house.orchestrator.stands["run-1"] = FlowRunStand(stand, "")
    (request,) = house.services.state.open_requests()
    house.services.state.change_request(request, "cancelling")
    house.turn(minutes=1)
    house.orchestrator.stands["run-1"] = FlowRunStand("cancelled", "Cancelled", "called off")
    house.turn(minutes=1)
    assert house.requests() == [("2026-09-20", "cancelled")]
    assert house.orchestrator.cancelled == (["run-1"] if stand == "working" else [])
