"""Runs whose process died: seen, taken over by one only, closed; a process that lost its night changes nothing."""

from __future__ import annotations

import subprocess
import sys
import time
from datetime import date

import pytest

from infra.runtime.holder import Holder
from infra.runtime.state import State
from schemas.errors import LockedNight

NIGHT = date(2026, 9, 20)
KILLED = """
import os, signal, sys
from infra.runtime.state import State

with State(sys.argv[1]) as state:
    run = state.start_run("flows", "2026-09-20", "run", "fp")
    print(run.id, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""
TAKES_OVER_AND_DIES = """
import os, signal, sys
from infra.runtime.state import State

with State(sys.argv[1]) as state:
    (run,) = state.stale()
    assert state.take_over(run)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path / 'state.db'}"


@pytest.fixture
def state(url):
    with State(url) as state:
        yield state


def child(code, url):
    done = subprocess.run([sys.executable, "-P", "-c", code, url], capture_output=True, text=True, check=False)
    assert done.returncode == -9, done.stderr
    return done.stdout.strip()


def test_a_run_whose_process_was_killed_is_stale_at_once_and_one_at_work_is_not(state, url):
    mine = state.start_run("flows", date(2026, 9, 21), "run", "fp")
    killed = child(KILLED, url)
    assert [run.id for run in state.stale()] == [killed]
    assert {run.id for run in state.live()} == {killed, mine.id}


def test_one_takes_over_and_nobody_begins_the_night_until_the_run_is_closed(state, url):
    killed = child(KILLED, url)
    (first,), (second,) = state.stale(), state.stale()
    assert state.take_over(first)
    assert not state.take_over(second)
    assert state.stale() == []
    assert state.run(killed).holder == str(Holder.this_process())
    with pytest.raises(LockedNight, match=killed):
        state.start_run("flows", NIGHT, "run", "fp")
    state.close_run(killed, "ended without a word")
    assert (state.run(killed).status, state.run(killed).result["reason"]) == ("failed", "ended without a word")
    assert state.run(killed).ended_at is not None
    assert state.start_run("flows", NIGHT, "run", "fp").status == "running"
    assert not state.take_over(first)


def test_who_dies_while_mending_is_taken_over_in_turn(state, url):
    killed = child(KILLED, url)
    child(TAKES_OVER_AND_DIES, url)
    (stale,) = state.stale()
    assert stale.id == killed
    assert state.take_over(stale)


def test_a_process_that_lost_its_night_neither_renews_notes_nor_ends_it(state, url):
    """The run was this process' own; another one took it over when its lease ran out (the machine slept)."""
    run = state.start_run("flows", NIGHT, "run", "fp", lease_seconds=0.01)
    time.sleep(0.05)
    child(TAKES_OVER_AND_DIES, url)
    for act in (
        lambda: state.renew(run.id),
        lambda: state.note(run.id, accepted_by={"who": "ana"}),
        lambda: state.finish_run(run.id, "done", versions={"accepted": 1}),
        lambda: state.close_run(run.id, "mine"),
    ):
        with pytest.raises(LockedNight):
            act()
    assert (state.run(run.id).status, state.run(run.id).versions) == ("running", {})


def test_a_lease_that_was_renewed_meanwhile_is_not_taken_over(state):
    run = state.start_run("flows", NIGHT, "run", "fp", lease_seconds=0.01)
    time.sleep(0.05)
    (stale,) = state.stale()
    state.renew(run.id)
    assert not state.take_over(stale)
    assert state.stale() == []
