"""A night that is killed wherever it hurts, and asked again: as if nothing had happened, and nothing is left."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))

from what_counts import left_behind, processes_of, what_counts

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

FIRST, TONIGHT = "2026-03-02", "2026-03-03"
STAGES = ["ingest", "validate", "preprocess", "train", "gate", "score"]
CASES = {
    "after the accepted rows were committed": (["lake.commit:after:2"], STAGES[:1]),
    "after the version was registered": (["registry.version:after"], STAGES[:4]),
    "after the ledger was told of it": (["state.record:after"], STAGES[:4]),
    "twice: in the sample's commit, then before the final row": (
        ["lake.commit:before:3", "state.finish:before"],
        STAGES,
    ),
    "between the final row and the page": (["report.page:before"], []),
}


@pytest.fixture(scope="module")
def projects(simulated: Path, tmp_path_factory: pytest.TempPathFactory, sereno) -> dict[str, Any]:
    """A project with a first night and its champion, to be copied, and what counts after an undisturbed second one."""
    root = tmp_path_factory.mktemp("stopped")
    shutil.copytree(simulated, root / "begun")
    first = night(sereno, root / "begun", FIRST)
    assert first.code == 0, first.err
    whole = copied(root / "begun", root / "undisturbed")
    done = night(sereno, whole, TONIGHT)
    assert done.code == 0, done.err
    assert left_behind(whole, "flows") == []
    return {"begun": root / "begun", "expected": what_counts(whole, "flows")}


def copied(begun: Path, to: Path) -> Path:
    shutil.copytree(begun, to)
    return to


def night(sereno, folder: Path, date: str, **environ: str):
    return sereno("--project", folder, "run", "flows", "--date", date, "--json", **environ)


def wait_until_alone(folder: Path, seconds: float = 20.0) -> list[str]:
    """The children of a killed command end by themselves; give those that do not."""
    ends = time.monotonic() + seconds
    while (found := list(processes_of(folder))) and time.monotonic() < ends:
        time.sleep(0.2)
    return found


def not_done_again(folder: Path) -> list[str]:
    """The stages that the newest run's log says were finished before."""
    newest = max((folder / "state" / "logs").glob("*.jsonl"), key=lambda log: log.stat().st_mtime)
    said = [json.loads(line)["message"] for line in newest.read_text(encoding="utf-8").splitlines()]
    return [message.split(": ")[1].split()[0] for message in said if message.endswith("is not done again")]


def assert_as_if_nothing_had_happened(folder: Path, expected: dict[str, Any]) -> None:
    assert wait_until_alone(folder) == []
    assert left_behind(folder, "flows") == []
    found = what_counts(folder, "flows")
    assert [what for what in expected | found if expected.get(what) != found.get(what)] == []


@pytest.mark.parametrize("case", CASES)
def test_a_night_that_was_killed_is_done_by_the_same_command(case, projects, sereno, tmp_path):
    points, finished = CASES[case]
    folder = copied(projects["begun"], tmp_path / "project")
    for point in points:
        assert night(sereno, folder, TONIGHT, SERENO_FAILPOINT=point).code == -signal.SIGKILL
        assert wait_until_alone(folder) == []
    again = night(sereno, folder, TONIGHT)
    assert again.code == 0, again.err
    assert again.json["status"] == ("done" if finished else "skipped")
    if finished:
        assert not_done_again(folder) == finished
    assert_as_if_nothing_had_happened(folder, projects["expected"])
    assert night(sereno, folder, TONIGHT).json["status"] == "skipped"


def test_a_night_whose_process_was_killed_in_the_training_trains_to_the_same_detector(projects, sereno, tmp_path):
    folder = copied(projects["begun"], tmp_path / "project")
    seen = tmp_path / "seen"
    words = ["--project", str(folder), "run", "flows", "--date", TONIGHT]
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "infra.cli.main", *words],
        env={**os.environ, "SERENO_FAILPOINTS_SEEN": str(seen)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        while not seen.exists() or seen.read_text(encoding="ascii").count("stage.record:after") < 3:
            assert process.poll() is None
            time.sleep(0.02)
        process.kill()
    assert wait_until_alone(folder) == []
    again = night(sereno, folder, TONIGHT)
    assert again.code == 0, again.err
    assert not_done_again(folder) == STAGES[:3]
    assert_as_if_nothing_had_happened(folder, projects["expected"])
