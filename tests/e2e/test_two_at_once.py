"""Commands that are started at once: one does a night and the other says so; five datasets do not hinder each other."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import sys
import time
from pathlib import Path

import pytest

from infra.runtime.state import State

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))

from what_counts import left_behind, what_counts

pytestmark = pytest.mark.e2e

NIGHTS = ("2026-03-02", "2026-03-03", "2026-03-04", "2026-03-05", "2026-03-06")
RACES = [("validate", night) for night in NIGHTS] + [("run", night) for night in NIGHTS]
SEEN = "SERENO_FAILPOINTS_SEEN"
PATIENCE_SECONDS = 20.0
"""Whoever comes first waits for the state so long, which is less than the state's own patience."""


@pytest.fixture
def project(simulated: Path, tmp_path: Path) -> Path:
    """A project folder of which no night was done, and whose trainings are short."""
    folder = Path(shutil.copytree(simulated, tmp_path / "project"))
    file = folder / "datasets" / "flows.yaml"
    file.write_text(re.sub(r"(?m)^detector:$", "detector:\n  epochs: 5", file.read_text("utf-8")), encoding="utf-8")
    return folder


def state_of(project: Path) -> State:
    return State(f"sqlite:///{project / 'state' / 'state.db'}")


def measured(sereno, *command):
    """An ended command and the seconds that it worked; what it waited for a busy machine says nothing of it."""
    before = os.times()
    done = sereno(*command)
    after = os.times()
    return done, sum(getattr(after, of) - getattr(before, of) for of in ("children_user", "children_system"))


def test_a_night_that_another_run_holds_is_refused_in_seconds(project: Path, sereno):
    with state_of(project) as state:
        held = state.start_run("flows", NIGHTS[0], "run", "fp")
        for command in ("run", "validate"):
            done, seconds = measured(sereno, "--project", project, command, "flows", "--date", NIGHTS[0])
            assert seconds < 5.0
            assert done.code == 6, done.err
            assert f"run {held.id} (run) holds the night" in done.err
            assert f"process {held.holder}" in done.err
            assert "Hint: Wait for it, or stop it." in done.err
        assert [run.id for run in state.recent("flows")] == [held.id]
    assert not (project / "state" / "prefect").exists()


@pytest.mark.slow
def test_of_two_that_begin_a_night_at_the_same_moment_one_does_it_and_one_says_so(project: Path, tmp_path: Path, begin):
    state_of(project).open().close()
    for number, (command, night) in enumerate(RACES):
        more = ("--no-train",) if command == "run" and night != NIGHTS[0] else ()
        seen = [tmp_path / f"{number}-{racer}" for racer in "ab"]
        # Both wait at the same write: the one that takes the night.
        connection = sqlite3.connect(project / "state" / "state.db", timeout=60, isolation_level=None)
        connection.execute("BEGIN IMMEDIATE")
        racers = [
            begin("--project", project, command, "flows", "--date", night, *more, **{SEEN: str(log)}) for log in seen
        ]
        wait_for_both(seen)
        connection.execute("ROLLBACK")
        connection.close()
        won, lost = sorted((racer.end() for racer in racers), key=lambda done: done.code)
        assert (won.code, lost.code) == (0, 6), won.err + lost.out + lost.err
        with state_of(project) as state:
            (run,) = (run for run in state.recent("flows", night=night) if run.kind == command)
        assert run.status == "done"
        assert f"run {run.id} ({command}) holds the night" in lost.err
        assert run.holder in lost.err
    assert set(what_counts(project, "flows")["nights"]) == set(NIGHTS)
    assert left_behind(project, "flows") == []


def wait_for_both(seen: list[Path]) -> None:
    first = None
    for _ in range(6_000):
        waiting = [log for log in seen if log.exists() and "state.start:before" in log.read_text(encoding="ascii")]
        first = first or (time.monotonic() if waiting else None)
        if len(waiting) == len(seen) or (first and time.monotonic() - first > PATIENCE_SECONDS):
            return
        time.sleep(0.05)
    pytest.fail("nobody came to take the night")


@pytest.mark.slow
def test_five_datasets_are_done_at_once(project: Path, begin):
    """On a project that has no database yet, so that all five want to make it."""
    names = ["flows", *(f"flows{number}" for number in range(2, 6))]
    text = (project / "datasets" / "flows.yaml").read_text("utf-8")
    for name in names:
        written = re.sub(r"(?m)^name: flows$", f"name: {name}", text)
        (project / "datasets" / f"{name}.yaml").write_text(written, encoding="utf-8")
    commands = [begin("--project", project, "run", name, "--date", NIGHTS[0], "--json") for name in names]
    ended = [command.end(1_200) for command in commands]
    assert [done.code for done in ended] == [0] * 5, "\n".join(done.err or done.out for done in ended if done.code)
    assert [done.json["status"] for done in ended] == ["done"] * 5
    numbers = [[done.json["rows"], done.json["alerts"], done.json["threshold"]] for done in ended]
    assert numbers == [numbers[0]] * 5
    assert [found for name in names for found in left_behind(project, name)] == []
