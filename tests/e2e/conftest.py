"""Fixtures for whole nights: the command line as a process, and a driver that does many nights in one process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

DRIVER = Path(__file__).with_name("drive_nights.py")


@dataclass(frozen=True)
class Done:
    """An ended command."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it printed, as JSON."""
        return json.loads(self.out)


@dataclass(frozen=True)
class Begun:
    """A command that is under way."""

    process: subprocess.Popen[str]

    def end(self, timeout: float = 900) -> Done:
        """Wait for its end; one that does not come is made, and fails the test."""
        try:
            out, err = self.process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
            raise
        assert "Traceback" not in err, err[-3000:]
        return Done(self.process.returncode, out, err)


def begin_command(
    *arguments: str | Path, cwd: Path | None = None, prefix: Sequence[str | Path] = (), **environ: str
) -> Begun:
    """Start the command line as a user would, in a process of its own; a prefix is a command that starts it."""
    command = [*map(str, prefix), sys.executable, "-P", "-m", "infra.cli.main", *map(str, arguments)]
    pipe = subprocess.PIPE
    return Begun(subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, cwd=cwd, env={**os.environ, **environ}))


def run_command(*arguments: str | Path, cwd: Path | None = None, timeout: float = 900, **environ: str) -> Done:
    """Run the command line as a user would, in a process of its own."""
    return begin_command(*arguments, cwd=cwd, **environ).end(timeout)


def drive_nights(
    folder: Path, dataset: str, steps: Sequence[dict[str, Any]], timeout: float = 900, **environ: str
) -> list[dict[str, Any]]:
    """Do nights in one process; each step is ``date`` and, if wanted, ``options``, ``put`` and ``scores_to``."""
    full = [{"options": {}, "put": None, "scores_to": None, **step} for step in steps]
    steps_file = folder / "steps.json"
    steps_file.write_text(json.dumps(full, default=str), encoding="utf-8")
    command = [sys.executable, "-P", str(DRIVER), str(folder), dataset, str(steps_file)]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=timeout, check=False, env={**os.environ, **environ}
    )
    assert done.returncode == 0, done.stderr[-3000:]
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert lines.pop() == {"imported": []}, "the flow's process imported TensorFlow"
    assert len(lines) == len(full)
    return lines


@pytest.fixture(scope="session")
def sereno() -> Callable[..., Done]:
    """The command line; see `run_command`."""
    return run_command


@pytest.fixture(scope="session")
def begin() -> Callable[..., Begun]:
    """The command line, not waited for; see `begin_command`."""
    return begin_command


@pytest.fixture(scope="session")
def drive() -> Callable[..., list[dict[str, Any]]]:
    """Many nights in one process; see `drive_nights`."""
    return drive_nights


@pytest.fixture(scope="session")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project folder whose dataset `flows` has a simulated week that nobody worked on yet; copy it before use."""
    from tasks.simulate import simulate_week

    root = tmp_path_factory.mktemp("simulated")
    week = simulate_week(root / "incoming", rows_per_night=1_500)
    first = [str(path) for path in list(week.files.values())[:3]]
    asked = [option for path in first for option in ("--from", path)]
    done = run_command(
        "init", root, *asked, "--name", "flows", "--key", "flow_id", "--time", "start_time", "--budget", "20"
    )
    assert done.code == 0, done.err
    return root
