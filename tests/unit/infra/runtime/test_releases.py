"""Releases in the state database: written with the run's final row, or not at all."""

from __future__ import annotations

import pytest

from infra.runtime.releases import ReleasedRow, recorded
from infra.runtime.state import State
from schemas.errors import LockedNight

NIGHT = "2026-09-20"
ROW = ReleasedRow("a.csv", 2**40, "k", "d" * 64, (("x", "min"), ("y", "null")))


@pytest.fixture
def state(tmp_path):
    with State(f"sqlite:///{tmp_path / 'state.db'}") as state:
        yield state


def test_rows_are_recorded_with_the_final_row_of_their_run(state):
    run = state.start_run("d", NIGHT, "release", "fp")
    also = recorded("d", NIGHT, run.id, [ROW], reason="why", actor="ana")
    state.finish_run(run.id, "done", also=also)
    (found,) = state.releases("d", NIGHT)
    assert found.row == ROW
    assert (found.run_id, found.reason, found.actor, found.night.isoformat()) == (run.id, "why", "ana", NIGHT)
    assert state.releases("d") == [found]
    assert state.releases("d", "2026-09-21") == state.releases("other") == []


def test_a_run_that_lost_its_night_records_nothing(state):
    run = state.start_run("d", NIGHT, "release", "fp")
    state.finish_run(run.id, "failed")
    with pytest.raises(LockedNight):
        state.finish_run(run.id, "done", also=recorded("d", NIGHT, run.id, [ROW], reason="why", actor="ana"))
    assert state.releases("d") == []


def test_a_failure_to_record_leaves_the_run_open(state):
    run = state.start_run("d", NIGHT, "release", "fp")

    def broken(_connection):
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        state.finish_run(run.id, "done", also=broken)
    assert state.run(run.id).status == "running"


def test_the_newest_release_speaks_for_the_run_that_it_added_to(state):
    done = state.start_run("d", NIGHT, "run", "fp")
    done = state.finish_run(done.id, "done", result={"n": 1})
    assert state.with_releases(done) == done
    for fingerprint, status in (("fp", "done"), ("fp", "failed"), ("other", "done")):
        run = state.start_run("d", NIGHT, "release", fingerprint)
        state.finish_run(run.id, status, result={"n": f"{fingerprint} {status}"})
    assert state.with_releases(done).result == {"n": "fp done"}


def test_a_night_is_free_unless_a_live_run_holds_it(state):
    state.check_free("d", NIGHT)
    state.start_run("d", NIGHT, "run", "fp")
    with pytest.raises(LockedNight):
        state.check_free("d", NIGHT)
    state.check_free("d", "2026-09-21")
