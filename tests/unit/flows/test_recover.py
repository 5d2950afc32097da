"""Flow runs of processes that died are told to a real private server, and nobody else's are touched."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

# Ends in the middle of its flow, as one that is killed, or stays in it while it looks for those that died.
FLOWS = """
import os, signal, sys
from pathlib import Path
from infra.service.prefect_server import private_or_known_server
from infra.runtime.project import Project
from schemas.settings import Settings

how = sys.argv[2]
with private_or_known_server(Project(Path(sys.argv[1])), Settings()):
    import json
    from prefect import flow, tags
    from flows import recover

    recover.PAGE = 1  # so that more than one is asked for

    def said():
        with recover.get_client(sync_client=True) as client:
            found = client.read_flow_runs()
        return {run.name: (run.state_name, any(tag.startswith("process:") for tag in run.tags)) for run in found}

    @flow(flow_run_name="{name}")
    def inner(name):
        os.kill(os.getpid(), signal.SIGKILL)

    @flow(flow_run_name="{name}")
    def outer(name):
        if how == "killed":
            inner("inner")
        crashed = recover.crash_dead_runs()
        print(json.dumps({"crashed": sorted(crashed), "runs": said()}), flush=True)

    @flow(flow_run_name="{name}")
    def foreign(name):
        os.kill(os.getpid(), signal.SIGKILL)

    if how == "foreign":
        foreign("foreign")
    with recover.tagged_as_ours():
        print(json.dumps({"runs": said()}), flush=True)
        outer("outer" if how == "killed" else "at work")
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("recover")


def done(root, how):
    """Run such a process; give its exit code and the lines that it said."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    ended = subprocess.run(
        [sys.executable, "-P", "-c", FLOWS, str(root), how],
        env=environ,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert ended.returncode in (0, -9), ended.stderr
    return ended.returncode, [json.loads(line) for line in ended.stdout.splitlines()], ended.stderr


@pytest.mark.slow  # half a minute: three processes, each with a server
def test_flow_runs_of_killed_processes_are_crashed_at_the_next_start_and_those_of_others_left_alone(root):
    assert done(root, "foreign")[0] == -9
    code, (first,), _ = done(root, "killed")
    assert (code, first["runs"]) == (-9, {"foreign": ["Running", False]})
    code, (begun, at_work), stderr = done(root, "next")
    assert code == 0
    crashed = {"foreign": ["Running", False], "outer": ["Crashed", True], "inner": ["Crashed", True]}
    assert begun["runs"] == crashed
    assert at_work == {"crashed": [], "runs": {**crashed, "at work": ["Running", True]}}
    assert "flow run inner of Prefect: its process ended without a word" in stderr


def test_a_server_that_cannot_tell_keeps_nobody_from_the_night(monkeypatch):
    from flows import recover

    def away():
        raise ConnectionError("no server")

    told = []
    monkeypatch.setattr(recover, "crash_dead_runs", away)
    monkeypatch.setattr(recover.logger, "warning", lambda text, *values: told.append(text % values))
    with recover.tagged_as_ours():
        pass
    assert told == ["flow runs of processes that died were not looked for: no server"]
