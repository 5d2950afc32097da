from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

from flows.session import open_session
from infra.runtime.compute import ThreadCompute
from infra.runtime.project import Project
from schemas.settings import ClusterSettings, Settings

STARTING = """
import sys
from pathlib import Path

from flows.session import open_session
from infra.runtime.project import Project
from schemas.settings import ClusterSettings, Settings

if __name__ == "__main__":
    settings = Settings(cluster=ClusterSettings(kind="processes", workers=2))
    with open_session(Project(Path(sys.argv[1])), settings) as session:
        session.compute()
        print("there", flush=True)
"""


def test_a_run_stopped_while_its_workers_start_leaves_none_and_no_file(tmp_path: Path) -> None:
    code, work = tmp_path / "starting.py", Project(tmp_path / "project").work
    code.write_text(STARTING, encoding="utf-8")
    process = subprocess.Popen([sys.executable, "-P", str(code), str(tmp_path / "project")], stdout=subprocess.PIPE)
    ends = time.monotonic() + 120
    while not list(work.glob("sessions/*/dask/*")) and time.monotonic() < ends and process.poll() is None:
        time.sleep(0.005)
    children = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=120)
    assert (process.returncode, said) == (143, b"")
    assert not psutil.wait_procs(children, timeout=20)[1]
    assert not [path for path in work.rglob("*") if path.is_file()]


class Gone(ThreadCompute):
    """Whose workers are no longer there."""

    lost = True


def test_a_cluster_that_is_gone_is_not_asked_by_the_next_stage(tmp_path: Path) -> None:
    settings = Settings(cluster=ClusterSettings(kind="threads", workers=1))
    with open_session(Project(tmp_path), settings) as session:
        session._compute = Gone(1)
        found = session.compute()
        assert not found.lost
        assert found.map(str, [1]) == ["1"]
        assert session.compute() is found
