"""The shared cluster as a real child: who may use it, what runs owe each other on it, and how it ends."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from infra.runtime.cluster import open_cluster
from infra.runtime.compute import MOST_TRAININGS, Compute
from infra.runtime.project import Project
from infra.runtime.shared_cluster import cluster_note_file, read_cluster_note, shared_compute
from infra.runtime.work import remove_stale_work
from infra.service.child import ChildProcess
from infra.service.cluster_child import restart_heavy, shared_cluster
from schemas.errors import SerenoError
from schemas.settings import ClusterSettings
from tasks.candidate_worker import Choice, end_processes

WORKERS = 3
WAIT_S = 60.0

# What workers do, as a module that they find, too.
WORK = """
import os, signal, time
from pathlib import Path
from uuid import uuid4

kept = []

from tasks.candidate_worker import _borrowed

def number(_item):
    return os.getpid()

def wait_for(_item, begun, go):
    (begun / f"begun-{uuid4().hex}").touch()
    while not go.exists():
        time.sleep(0.02)

def keep(_item, size):
    kept.append(b"x" * size)
    return os.getpid()

def train(_item, choice):
    with _borrowed(choice) as process:
        process.start()
        child = process._child
        (choice.folder / f"training-{child._process.pid}").touch()
        while child.is_alive():
            time.sleep(0.05)

def die_once(_item, mark):
    try:
        mark.touch(exist_ok=False)
    except FileExistsError:
        return os.getpid()
    os.kill(os.getpid(), signal.SIGKILL)
"""

# A run that has candidates trained, and waits for them.
RUN = """
import sys
from pathlib import Path

from infra.runtime.cluster import open_cluster
from infra.runtime.project import Project
from schemas.settings import ClusterSettings
from tasks.candidate_worker import Choice
import shared_work

if __name__ == "__main__":
    project = Project(Path(sys.argv[1]))
    with open_cluster(ClusterSettings(kind="processes"), project.work, project=project) as compute:
        compute.map_trainings(shared_work.train, [1], Choice(Path(sys.argv[2])))
"""


@dataclass
class Shared:
    """A project with its cluster.

    Args:
        project: The project.
        child: The cluster's process.
    """

    project: Project
    child: ChildProcess

    @property
    def below(self) -> list[psutil.Process]:
        return psutil.Process(self.child.pid).children(recursive=True)

    def said(self) -> str:
        return (self.project.root / "output").read_text(encoding="utf-8")


def until(happens: Callable[[], Any]) -> Any:
    ends = time.monotonic() + WAIT_S
    while not (found := happens()):
        assert time.monotonic() < ends
        time.sleep(0.05)
    return found


def begun(project: Project) -> Shared:
    with (project.root / "output").open("wb") as output:
        child = ChildProcess.begin(
            "infra.service.cluster_child",
            environment={**os.environ, "SERENO_PROJECT": str(project.root)},
            folder=project.root,
            output=output,
        )
    shared = Shared(project, child)
    assert child.is_ready(WAIT_S), shared.said()
    return shared


@pytest.fixture(scope="module")
def work(tmp_path_factory) -> Iterator[Any]:
    """What workers do; both sides find it, as they find everything else."""
    folder = tmp_path_factory.mktemp("path")
    (folder / "shared_work.py").write_text(WORK, encoding="utf-8")
    (folder / "run.py").write_text(RUN, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        patch.setenv("PYTHONPATH", f"{folder}{os.pathsep}{Path(__file__).parents[4]}")
        patch.setenv("CUDA_VISIBLE_DEVICES", "-1")
        import shared_work

        yield shared_work


def made(root: Path) -> Project:
    root.mkdir()
    (root / "sereno.yaml").write_text(f"cluster: {{workers: {WORKERS}}}\n", encoding="utf-8")
    return Project(root)


@pytest.fixture(scope="module")
def shared(work, tmp_path_factory) -> Iterator[Shared]:
    up = begun(made(tmp_path_factory.mktemp("shared") / "project"))
    yield up
    up.child.stop(10)
    assert not psutil.pid_exists(up.child.pid)


@pytest.fixture
def mortal(work, tmp_path) -> Iterator[Shared]:
    """A cluster of the test's own, to be killed."""
    up = begun(made(tmp_path / "project"))
    below = up.below
    yield up
    up.child.stop(10)
    assert psutil.wait_procs(below, 15)[1] == []


@pytest.fixture
def compute(shared) -> Iterator[Compute]:
    with open_cluster(ClusterSettings(kind="processes"), shared.project.work, project=shared.project) as opened:
        yield opened


def test_runs_of_the_project_use_its_workers_and_leave_them(shared, work):
    seen = []
    for settings in (ClusterSettings(), ClusterSettings(kind="processes")):
        with open_cluster(settings, shared.project.work, bytes_hint=10**9, project=shared.project) as opened:
            assert (opened.kind, opened.workers, opened.trainings) == ("processes", WORKERS, MOST_TRAININGS)
            seen.append(set(opened.map(work.number, range(30))))
    assert seen[0] | seen[1] <= {process.pid for process in shared.below}


def test_only_this_user_reads_where_it_is(shared):
    file = cluster_note_file(shared.project)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_the_key_stands_in_the_note_alone(shared, compute):
    note = read_cluster_note(shared.project)
    secret = "".join(note.key.split("\n")[1:4])[:80]
    assert secret[:60] in note.key.replace("\n", "")
    assert note.key not in repr(note)
    for process in (psutil.Process(shared.child.pid), *shared.below):
        told = "".join(process.cmdline()) + "".join(process.environ().values())
        assert secret[:60] not in told.replace("\n", "")
    kept = [path for path in shared.project.root.rglob("*") if path.is_file() and path.name != "cluster.json"]
    assert kept
    assert not [path for path in kept if secret[:60].encode() in path.read_bytes().replace(b"\n", b"")]


def test_it_listens_on_loopback_alone(shared):
    pids = [shared.child.pid, *(process.pid for process in shared.below)]
    found = [one for pid in pids for one in psutil.Process(pid).net_connections("inet") if one.status == "LISTEN"]
    assert {one.laddr.ip for one in found} == {"127.0.0.1"}


def test_who_has_not_the_certificate_is_turned_away(shared):
    from distributed import Client
    from distributed.security import Security

    address = read_cluster_note(shared.project).address
    with pytest.raises(OSError, match=r"(?i)timed out|certificate|ssl"):
        Client(address, security=Security.temporary(), timeout=2, set_as_default=False)


def test_a_note_that_others_can_read_is_not_believed(shared):
    file = cluster_note_file(shared.project)
    file.chmod(0o644)
    try:
        assert read_cluster_note(shared.project) is None
    finally:
        file.chmod(0o600)


def test_a_run_with_other_credentials_has_its_own_workers(shared, monkeypatch):
    monkeypatch.setenv("AWS_PROFILE", "somebody-elses")
    assert shared_compute(shared.project) is None


def test_its_folder_stays_for_as_long_as_it_lives(shared):
    folder = shared.project.work / "sessions" / str(shared.child.pid)
    remove_stale_work(shared.project)
    assert folder.is_dir()


def test_a_worker_that_dies_is_replaced_and_its_call_made_again(compute, work, tmp_path):
    assert len(compute.map(work.die_once, range(4), tmp_path / "mark")) == 4
    assert (tmp_path / "mark").exists()


def test_all_runs_together_train_as_many_as_the_machine_bears_and_other_calls_do_not_wait(shared, work, tmp_path):
    started, go = tmp_path / "started", tmp_path / "go"
    started.mkdir()
    runs = [shared_compute(shared.project) for _ in range(2)]
    threads = [threading.Thread(target=run.map_trainings, args=(work.wait_for, range(2), started, go)) for run in runs]
    try:
        for thread in threads:
            thread.start()
        until(lambda: len(list(started.iterdir())) == MOST_TRAININGS)
        assert len(runs[1].map(work.number, range(60))) == 60
        assert len(list(started.iterdir())) == MOST_TRAININGS
    finally:
        go.touch()
        for thread in threads:
            thread.join(WAIT_S)
        for run in runs:
            run.close()


@pytest.mark.slow  # what a dead worker held is free half a minute later
def test_a_worker_that_dies_in_a_training_is_no_training_any_more(compute, work, tmp_path):
    for round_ in range(2):
        assert len(compute.map_trainings(work.die_once, range(2), tmp_path / str(round_))) == 2
    started, go = tmp_path / "started", tmp_path / "go"
    started.mkdir()
    both = threading.Thread(target=compute.map_trainings, args=(work.wait_for, range(2), started, go))
    both.start()
    try:
        until(lambda: len(list(started.iterdir())) == MOST_TRAININGS)
    finally:
        go.touch()
        both.join(WAIT_S)


def trainings(folder: Path) -> list[int]:
    return [int(path.name.removeprefix("training-")) for path in folder.glob("training-*")]


def test_a_run_that_ends_its_candidates_leaves_those_of_others(shared, work, tmp_path):
    choices = [Choice(tmp_path / name) for name in ("one", "two")]
    runs = [shared_compute(shared.project) for _ in choices]
    threads = []
    for run, choice in zip(runs, choices, strict=True):
        choice.folder.mkdir()
        threads.append(threading.Thread(target=run.map_trainings, args=(work.train, [1], choice)))
        threads[-1].start()
    first, second = (until(lambda at=choice.folder: trainings(at))[0] for choice in choices)
    runs[0].everywhere(lambda: end_processes(choices[0].name))
    threads[0].join(WAIT_S)
    assert (psutil.pid_exists(first), psutil.pid_exists(second)) == (False, True)
    runs[1].everywhere(lambda: end_processes(choices[1].name))
    threads[1].join(WAIT_S)
    assert not psutil.pid_exists(second)
    for run in runs:
        run.close()


def test_trainings_of_a_run_that_is_killed_end_with_it(shared, work, tmp_path):
    script = Path(work.__file__).with_name("run.py")
    with subprocess.Popen([sys.executable, "-P", str(script), str(shared.project.root), str(tmp_path)]) as run:
        training = psutil.Process(until(lambda: trainings(tmp_path))[0])
        assert shared.child.pid in {parent.pid for parent in training.parents()}
        run.kill()
    assert psutil.wait_procs([training], WAIT_S)[1] == []


def test_an_idle_worker_that_keeps_much_memory_is_started_again(work, tmp_path):
    settings = ClusterSettings(workers=1, worker_memory="1GiB")
    with shared_cluster(made(tmp_path / "project"), settings, tmp_path / "dask") as cluster:
        compute = shared_compute(Project(tmp_path / "project"))
        (first,) = compute.map(work.keep, [0], 1_000)
        assert not restart_heavy(cluster)
        assert compute.map(work.keep, [0], 600_000_000) == [first]
        until(lambda: restart_heavy(cluster))
        (second,) = compute.map(work.keep, [0], 1_000)
        compute.close()
    assert second != first


@pytest.mark.parametrize("how", ["SIGTERM", "end of input"])
def test_it_ends_in_good_order(mortal, how):
    if how == "SIGTERM":
        os.kill(mortal.child.pid, signal.SIGTERM)
    else:
        mortal.child.release()
    until(lambda: mortal.child.ended() is not None)
    assert not cluster_note_file(mortal.project).exists()
    assert not (mortal.project.work / "sessions").exists()
    assert mortal.said() == ""


def test_a_run_in_whose_middle_it_is_killed_is_told_and_the_next_has_workers_of_its_own(mortal, work, tmp_path):
    with open_cluster(ClusterSettings(kind="processes"), tmp_path, project=mortal.project) as opened:
        below = mortal.below
        raised: list[BaseException] = []

        def use() -> None:
            try:
                opened.map(work.wait_for, range(WORKERS), tmp_path, tmp_path / "never")
            except SerenoError as error:
                raised.append(error)

        using = threading.Thread(target=use)
        using.start()
        until(lambda: [*tmp_path.glob("begun-*")])
        os.kill(mortal.child.pid, signal.SIGKILL)
        using.join(WAIT_S)
        assert "cluster went away" in str(raised[0])
        assert opened.lost
        with pytest.raises(SerenoError, match="went away"):
            opened.map(work.number, [1])
        opened.everywhere(os.getpid)
    assert psutil.wait_procs(below, 15)[1] == []
    until(lambda: mortal.child.ended() is not None)
    assert shared_compute(mortal.project) is None
    settings = ClusterSettings(kind="processes", workers=1)
    with open_cluster(settings, tmp_path / "own", project=mortal.project) as own:
        assert own.map(work.number, [1])


def test_a_cluster_that_says_nothing_is_left_alone(mortal, caplog):
    os.kill(mortal.child.pid, signal.SIGSTOP)
    try:
        assert shared_compute(mortal.project) is None
    finally:
        os.kill(mortal.child.pid, signal.SIGCONT)
    assert "do not answer" in caplog.text
