"""A night on a machine that fails under it: it says so and ends, or goes on; asked again, nothing had happened."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))

from what_counts import left_behind, what_counts

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

FIRST, TONIGHT = "2026-03-02", "2026-03-03"
LOCKED_SECONDS = 20.0
SEEN = "SERENO_FAILPOINTS_SEEN"
SMALL_DISK = """
mount -t tmpfs -o size="$1" small "$2" && cp -a "$2.before/." "$2/" || exit 99
folder=$2; shift 2
"$@"; code=$?
cp -a "$folder/." "$folder.after/"
exit $code
"""
# Root may do everything until it gives that up: then what it owns is closed to it as to anybody.
WITHOUT_PRIVILEGE = """
import ctypes, os, sys
for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
    ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""
DIES_AT_WORK = """
import sys
from infra.runtime.state import State
print(State(sys.argv[1]).open().start_run("flows", sys.argv[2], "run", "fp").id)
"""


@dataclass(frozen=True)
class Projects:
    """A project before and after its first night, and what counts in it after undisturbed nights."""

    fresh: Path
    begun: Path
    first: dict[str, Any]
    second: dict[str, Any]


@pytest.fixture(scope="module")
def projects(simulated: Path, tmp_path_factory: pytest.TempPathFactory, sereno) -> Projects:
    root = tmp_path_factory.mktemp("machine")
    shutil.copytree(simulated, root / "fresh")
    file = root / "fresh" / "datasets" / "flows.yaml"
    file.write_text(re.sub(r"(?m)^detector:$", "detector:\n  epochs: 5", file.read_text("utf-8")), encoding="utf-8")
    shutil.copytree(root / "fresh", root / "begun")
    first = sereno("--project", root / "begun", "run", "flows", "--date", FIRST)
    assert first.code == 0, first.err
    shutil.copytree(root / "begun", root / "undisturbed")
    second = sereno("--project", root / "undisturbed", *tonight())
    assert second.code == 0, second.err
    assert left_behind(root / "undisturbed", "flows") == []
    facts = [what_counts(root / name, "flows") for name in ("begun", "undisturbed")]
    return Projects(root / "fresh", root / "begun", *facts)


@pytest.fixture
def project(projects: Projects, tmp_path: Path) -> Path:
    """A copy of the project after its first night."""
    return Path(shutil.copytree(projects.begun, tmp_path / "project"))


def tonight(*more: str) -> tuple[str, ...]:
    return ("run", "flows", "--date", TONIGHT, "--no-train", *more)


def differing(folder: Path, expected: dict[str, Any]) -> list[str]:
    found = what_counts(folder, "flows")
    return [what for what in expected | found if expected.get(what) != found.get(what)]


def assert_asked_again_all_is_well(sereno, folder: Path, expected: dict[str, Any]) -> None:
    again = sereno("--project", folder, *tonight())
    assert again.code == 0, again.out + again.err
    assert differing(folder, expected) == []
    assert left_behind(folder, "flows") == []


@pytest.fixture(scope="module")
def small_disks() -> None:
    """Skip where this user cannot mount a small disk, not even one that is visible to a child only."""
    command = ["unshare", "-rm", "sh", "-c", "mount -t tmpfs -o size=4m small /mnt"]
    if shutil.which("unshare") is None or subprocess.run(command, capture_output=True, check=False).returncode:
        # A disk that is full can only be had by mounting one, and some containers allow that to nobody.
        pytest.skip("a small disk cannot be mounted here: unshare -rm is not there, or not allowed")


def on_a_small_disk(begin, project: Path, place: str, room: int):
    """Do tonight with a folder on a disk that has room for so many KiB more; the folder comes back as it was left."""
    folder = project / place
    before, after = folder.with_name(f"{folder.name}.before"), folder.with_name(f"{folder.name}.after")
    folder.rename(before)
    folder.mkdir()
    after.mkdir()
    pages = sum(-(-path.stat().st_size // 4096) for path in before.rglob("*") if path.is_file())
    disk = ("unshare", "-rm", "sh", "-c", SMALL_DISK, "sh", f"{4 * pages + room}k", folder)
    done = begin("--project", project, *tonight(), prefix=disk).end()
    folder.rmdir()
    after.rename(folder)
    shutil.rmtree(before)
    return done


@pytest.mark.parametrize(
    ("place", "room", "said"),
    [
        ("state", 200, "needs some space"),
        ("state/lake", 90, "the disk is full"),
        ("state/resume", 100, "No space left on device"),
    ],
    ids=["where-all-state-lies", "of-the-lake", "of-the-stages"],
)
def test_a_full_disk(place: str, room: int, said: str, projects, project, small_disks, begin, sereno):
    (project / place).mkdir(exist_ok=True)
    done = on_a_small_disk(begin, project, place, room)
    assert done.code == 1, done.out + done.err
    assert said in done.out + done.err
    assert "free" in done.out + done.err
    assert differing(project, projects.first) == []
    assert_asked_again_all_is_well(sereno, project, projects.second)


@pytest.mark.parametrize(
    ("place", "code"),
    [
        ("state", 1),
        ("state/lake/flows/accepted/_delta_log", 1),
        ("reports/flows", 1),
        (f"incoming/flows-{TONIGHT}.csv.gz", 3),
    ],
)
def test_missing_rights(place: str, code: int, projects, project, begin, sereno):
    path = project / place
    mode = path.stat().st_mode
    path.chmod(0o500 if path.is_dir() else 0)
    done = begin("--project", project, *tonight(), prefix=(sys.executable, "-c", WITHOUT_PRIVILEGE)).end()
    path.chmod(mode)
    assert done.code == code, done.out + done.err
    assert path.name in done.out + done.err
    assert "Hint: " in done.out + done.err
    assert {"accepted", "scores"}.isdisjoint(new_tables(project, projects.first))
    assert_asked_again_all_is_well(sereno, project, projects.second)


def new_tables(folder: Path, before: dict[str, Any]) -> set[str]:
    """The tables that tonight counts in."""
    return {what.split()[0] for what in what_counts(folder, "flows").keys() - before.keys()}


def test_databases_that_others_lock_for_a_while(projects: Projects, tmp_path: Path, begin):
    """Each when the night needs it next: Prefect's in the second stage, MLflow's in the gate, the state at the end."""
    project, seen = Path(shutil.copytree(projects.fresh, tmp_path / "project")), tmp_path / "seen"
    run = begin("--project", project, "run", "flows", "--date", FIRST, **{SEEN: str(seen)})
    locked = []
    for stages, name in ((1, "prefect/prefect.db"), (4, "mlflow.db"), (6, "state.db")):
        wait_for(lambda so_many=stages: said(seen).count("stage.record:after") >= so_many, run)
        locked.append(Thread(target=lock_for_a_while, args=(project / "state" / name,)))
        locked[-1].start()
    done = run.end()
    for thread in locked:
        thread.join()
    assert done.code == 0, done.out + done.err
    assert differing(project, projects.first) == []
    assert left_behind(project, "flows") == []


def lock_for_a_while(database: Path) -> None:
    with locked(database):
        time.sleep(LOCKED_SECONDS)


@contextmanager
def locked(database: Path) -> Iterator[None]:
    connection = sqlite3.connect(database, timeout=60, isolation_level=None)
    connection.execute("BEGIN EXCLUSIVE")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")
        connection.close()


def said(seen: Path) -> list[str]:
    return seen.read_text(encoding="ascii").split() if seen.exists() else []


def wait_for(condition: Callable[[], bool], run, seconds: float = 300.0) -> None:
    ends = time.monotonic() + seconds
    while not condition():
        if run.process.poll() is not None or time.monotonic() > ends:
            pytest.fail(f"it never came there: {run.end(1)}")
        time.sleep(0.05)


def test_an_input_that_is_replaced_after_the_night_began(projects, project, tmp_path: Path, begin, sereno):
    file, seen = project / "incoming" / f"flows-{TONIGHT}.csv.gz", tmp_path / "seen"
    whole = file.read_bytes()
    # The fingerprint is taken, the row that says so is not written yet.
    with locked(project / "state" / "state.db"):
        run = begin("--project", project, *tonight(), **{SEEN: str(seen)})
        wait_for(lambda: "state.start:before" in said(seen), run)
        shutil.copyfile(project / "incoming" / f"flows-{FIRST}.csv.gz", file)
    done = run.end()
    assert done.code == 3, done.out + done.err
    assert f"{file.name}: changed after the night had begun" in done.out
    assert "Hint: wait until the delivery is complete, then run again" in done.out
    assert {"accepted", "scores"}.isdisjoint(new_tables(project, projects.first))
    file.write_bytes(whole)
    assert_asked_again_all_is_well(sereno, project, projects.second)


def test_a_clock_that_was_set_back(projects, project, sereno):
    """It left a file of tomorrow, and the row of a run that ended without a word, whose lease holds for hours."""
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    database = project / "state" / "state.db"
    command = [sys.executable, "-P", "-c", DIES_AT_WORK, f"sqlite:///{database}", TONIGHT]
    dead = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    with sqlite3.connect(database) as connection:
        times = {"at": tomorrow.strftime("%Y-%m-%d %H:%M:%S.%f"), "id": dead}
        connection.execute("update runs set started_at = :at, lease_expires_at = :at where id = :id", times)
    connection.close()
    os.utime(project / "incoming" / f"flows-{TONIGHT}.csv.gz", (tomorrow.timestamp(), tomorrow.timestamp()))
    assert_asked_again_all_is_well(sereno, project, projects.second)


def test_a_night_that_is_done_says_so_in_seconds_and_forced_gives_the_same(projects, project, sereno):
    command = ("--project", project, "run", "flows", "--date", FIRST)
    durations, numbers = [], []
    for _ in range(3):
        # The seconds that it worked: what it waited for a busy machine says nothing of it.
        before = os.times()
        done = sereno(*command, "--json")
        after = os.times()
        durations.append(sum(after[2:4]) - sum(before[2:4]))
        assert (done.code, done.json["status"]) == (0, "skipped")
        assert "already done by run" in done.json["reason"]
        numbers.append([done.json["rows"], done.json["alerts"], done.json["threshold"]])
    assert max(durations) < 5.0
    assert numbers == [projects.first["nights"][FIRST][1:]] * 3
    assert "already done" in sereno(*command).out
    forced = sereno(*command, "--force")
    assert forced.code == 0, forced.out + forced.err
    # The gate judges its own champion anew, and each decision is in the ledger.
    assert set(differing(project, projects.first)) <= {"ledger"}
    assert left_behind(project, "flows") == []
