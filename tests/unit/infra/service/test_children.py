"""Children of the service end in their own words, and end what works for them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from infra.service.child import ChildProcess
from infra.service.worker_child import ask_to_end


def test_a_clock_that_cannot_begin_says_why_without_a_traceback(tmp_path):
    (tmp_path / "sereno.yaml").write_text("clustr: {}\n", encoding="utf-8")
    kept, held = os.pipe()  # open to the end: a child whose input ends is done, whatever it was at
    with os.fdopen(kept, "rb") as its_input, os.fdopen(held, "wb"):
        done = subprocess.run(
            [sys.executable, "-P", "-m", "infra.service.clock_child", "-1", "1", "0"],
            env={**os.environ, "SERENO_PROJECT": str(tmp_path)},
            stdin=its_input,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
    assert done.returncode == 2
    assert "clustr" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="counts open files where Linux lists them")
def test_a_child_that_cannot_be_started_leaves_no_pipe_open(tmp_path):
    before = sorted(Path("/proc/self/fd").iterdir())
    with pytest.raises(FileNotFoundError):
        ChildProcess.begin("this", environment={}, folder=tmp_path / "gone", output=subprocess.PIPE)
    assert sorted(Path("/proc/self/fd").iterdir()) == before


@pytest.fixture
def processes():
    """One process that ended already, and one that is at work."""
    begun = [subprocess.Popen([sys.executable, "-c", code]) for code in ("", "import time; time.sleep(600)")]
    at_work = [psutil.Process(process.pid) for process in begun]
    begun[0].wait()
    yield at_work
    for process in begun:
        process.kill()
        process.wait()


def test_a_flow_run_that_ended_in_between_keeps_no_other_from_being_asked(processes):
    ask_to_end(processes, seconds=10)
    assert not processes[1].is_running() or processes[1].status() == psutil.STATUS_ZOMBIE
