"""The command line runs in a folder whose files are called like the project's own packages."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SERENO = str(Path(sys.executable).parent / "sereno")
NIGHTS = ("2026-03-01", "2026-03-02")
DECOY = """import pathlib
pathlib.Path(__file__).with_suffix(".imported").touch()
raise SystemExit("decoy imported: " + __name__)
"""
DECOYS = (
    "models.py",
    "schemas.py",
    "tasks/__init__.py",
    "flows/__init__.py",
    "infra/__init__.py",
    "dask.py",
    "logging.py",
)


def night(date: str) -> str:
    """Return a small night of flows as CSV, different for each date."""
    day = int(date[-2:])
    rows = []
    for i in range(240):
        at = f"{date}T{i // 60:02d}:{i % 60:02d}:00Z"
        rows.append(f"{day}-{i},{at},{('tcp', 'udp')[i % 2]},{(i * 37 + day) % 211},{(i * 53) % 97 / 7:.3f}")
    return "\n".join(["id,at,proto,sent,took", *rows]) + "\n"


@pytest.fixture
def decoyed(tmp_path):
    """Make a folder with two nights of flows and decoys that leave a trace when they are imported."""
    for name in DECOYS:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(DECOY)
    (tmp_path / "in").mkdir()
    for date in NIGHTS:
        (tmp_path / "in" / f"{date}.csv").write_text(night(date))
    return tmp_path


def sereno(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the installed command in a folder."""
    return subprocess.run(
        [SERENO, *words], cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=300
    )


def assert_done_without_decoys(folder: Path, done: subprocess.CompletedProcess[str]) -> None:
    """Check that a command ended well and that no decoy was imported by it or by a child of it."""
    assert done.returncode == 0, done.stdout + done.stderr
    assert not list(folder.rglob("*.imported"))


def test_a_decoy_leaves_a_trace(decoyed):
    unsafe = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}
    command = [sys.executable, "-c", "import models"]
    done = subprocess.run(command, cwd=decoyed, env=unsafe, capture_output=True, check=False)
    assert done.returncode != 0
    assert (decoyed / "models.imported").exists()


def test_help_answers_beside_decoys(decoyed):
    done = sereno(decoyed, "--help")
    assert_done_without_decoys(decoyed, done)
    assert "init" in done.stdout


def test_init_and_plan_work_beside_decoys(decoyed):
    made = sereno(decoyed, "init", ".", "--from", "in/*.csv", "--name", "flows", "--key", "id", "--time", "at")
    assert_done_without_decoys(decoyed, made)
    assert_done_without_decoys(decoyed, sereno(decoyed, "plan", "flows", "--date", NIGHTS[1]))


@pytest.mark.e2e
@pytest.mark.slow  # half a minute: a whole night
def test_a_whole_night_runs_beside_decoys(decoyed):
    made = sereno(decoyed, "init", ".", "--from", "in/*.csv", "--name", "flows", "--key", "id", "--time", "at")
    assert_done_without_decoys(decoyed, made)
    assert_done_without_decoys(decoyed, sereno(decoyed, "run", "flows", "--date", NIGHTS[0]))
