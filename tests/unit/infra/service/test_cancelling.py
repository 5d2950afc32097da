"""A night is called off wherever it is: what waits for it, and the run that works on it, in its own process."""

from __future__ import annotations

import errno
import subprocess
import sys
from dataclasses import replace
from datetime import date

import pytest
from sqlalchemy import update

from infra.runtime.holder import Holder
from infra.runtime.requests import Asked
from infra.runtime.state_tables import runs
from infra.service.cancelling import cancel_night
from schemas.dataset import load_dataset
from schemas.errors import UsageError

NIGHT = date(2026, 9, 20)
HOLDS = """
import signal, sys, time
from infra.runtime.state import State
with State(sys.argv[1]) as state:
    run = state.start_run("flows", "2026-09-20", "run", "print")
    def leave(*_):
        state.finish_run(run.id, "failed", result={"status": "failed", "reason": "stopped before it ended"})
        sys.exit(143)
    signal.signal(signal.SIGTERM, leave if sys.argv[2] == "in order" else signal.SIG_IGN)
    print(run.id, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def begin(house):
    """Begin a process that holds the night; it ends with the test."""
    begun = []

    def start(how):
        command = [sys.executable, "-P", "-c", HOLDS, house.project.database_url, how]
        begun.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        return begun[-1].stdout.readline().strip()

    yield start
    for process in begun:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.fixture
def unrelated():
    """A process that has nothing to do with nights; it ends with the test."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    yield process
    process.kill()
    process.wait()


@pytest.fixture
def dataset(house):
    house.dataset("flows")
    return load_dataset(house.project.dataset_file("flows"))


@pytest.mark.parametrize(("how", "ends"), [("in order", "ended"), ("not at all", "killed")])
def test_the_run_ends_and_its_night_is_free_at_once(house, dataset, begin, monkeypatch, how, ends):
    monkeypatch.setattr("infra.service.cancelling.GIVE_UP_SECONDS", 1.0)
    run = begin(how)
    done = cancel_night(house.services, dataset, NIGHT, "ana")
    assert done.runs == {run: ends}
    assert house.services.state.run(run).status == "failed"
    house.services.state.check_free("flows", NIGHT)
    (event,) = house.services.state.events(kinds=["cancelled"])
    assert (event.actor, event.night) == ("ana", NIGHT)
    assert run in done.sentences[0]


def test_a_process_that_has_the_number_of_one_that_died_is_left_alone(house, dataset, unrelated):
    state = house.services.state
    run = state.start_run("flows", "2026-09-20", "run", "print")
    here = Holder.this_process()
    with state._engine.begin() as connection:
        connection.execute(update(runs).values(holder=str(replace(here, pid=unrelated.pid))))
    assert cancel_night(house.services, dataset, NIGHT, "ana").runs == {run.id: "ended"}
    assert unrelated.poll() is None
    assert state.run(run.id).status == "failed"


def test_a_run_of_another_user_is_told_with_who_can_end_it(house, dataset, begin, monkeypatch):
    def refused(_process, _signal):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    run = begin("in order")
    waiting = house.services.state.ask(Asked("flows", "nightly", "command", "ben", NIGHT))
    with monkeypatch.context() as meanwhile:
        meanwhile.setattr("infra.service.cancelling.os.kill", refused)
        with pytest.raises(UsageError, match="of another user") as caught:
            cancel_night(house.services, dataset, NIGHT, "ana")
    assert run in str(caught.value)
    assert f"called off: request {waiting.id}" in str(caught.value)
    assert "as root: sereno cancel flows --date 2026-09-20" in caught.value.hint
    assert house.services.state.run(run).status == "running"


def test_what_waits_is_cancelled_and_what_was_started_is_told_to_end(house, dataset):
    state = house.services.state
    waiting = state.ask(Asked("flows", "nightly", "command", "ben", NIGHT))
    started = state.ask(Asked("flows", "scoring", "http", "ben", NIGHT))
    state.change_request(started, "started", attempts=1)
    done = cancel_night(house.services, dataset, NIGHT, "ana")
    assert sorted(done.requests) == [waiting.id, started.id]
    assert state.request(waiting.id).status == "cancelled"
    assert state.request(started.id).status == "cancelling"


def test_another_night_and_another_dataset_stay(house, dataset):
    state = house.services.state
    state.ask(Asked("flows", "nightly", "command", "ben", date(2026, 9, 21)))
    state.ask(Asked("other", "nightly", "command", "ben", NIGHT))
    with pytest.raises(UsageError, match="nobody works on the night"):
        cancel_night(house.services, dataset, NIGHT, "ana")
    assert [request.status for request in state.requests()] == ["waiting", "waiting"]
