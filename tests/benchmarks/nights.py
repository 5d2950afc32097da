"""Nights to measure with, a project that watches them, and the command line, run as a person runs it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import NotMeasured

ROOT = Path(__file__).resolve().parents[2]
SERENO = Path(sys.executable).parent / "sereno"
LIMIT_S = 600
NAME = "flows"
SEEN_BY_INIT = 7


@dataclass(frozen=True)
class Nights:
    """Files of consecutive nights.

    Args:
        files: Date to file, in order.
        key: The column that names a row.
        time: The column that says when it happened.
    """

    files: dict[str, Path]
    key: str
    time: str


@dataclass(frozen=True)
class Done:
    """How a command ended, and after how many seconds by the clock."""

    code: int
    out: str
    err: str
    seconds: float


def real_nights() -> Nights | None:
    """Return the UNSW nights, where this machine has them."""
    given = os.environ.get("SERENO_SHARED_DATA")
    folder = (Path(given) if given else ROOT.parent / "shared" / "data") / "unsw_nights"
    files = {path.name.partition(".")[0]: path for path in sorted(folder.glob("*.csv.gz"))}
    return Nights(files, key="flow_id", time="start_time") if files else None


def simulated_nights(folder: Path) -> Nights:
    """Make nights of network flows like the demo's; all but the broken one."""
    from tasks.simulate import simulate_week

    week = simulate_week(folder / "simulated", nights=14)
    files = {date.isoformat(): path for date, path in week.files.items() if date != week.blocked}
    return Nights(files, key="flow_id", time="start_time")


def sereno(*words: str) -> Done:
    """Run the installed command, without a terminal and without this machine's settings."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("SERENO_", "PREFECT_", "MLFLOW_"))}
    begun = time.perf_counter()
    try:
        done = subprocess.run(
            [str(SERENO), *words],
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotMeasured(f"sereno {' '.join(words)}: {error}") from error
    return Done(done.returncode, done.stdout, done.stderr, time.perf_counter() - begun)


def must(*words: str) -> Done:
    """Run the command; one that does not end with 0 measures nothing."""
    done = sereno(*words)
    if done.code != 0:
        raise NotMeasured(f"sereno {' '.join(words)} ended with {done.code}:\n{(done.err or done.out)[-2000:]}")
    return done


@dataclass(frozen=True)
class Project:
    """A project folder that watches the nights."""

    folder: Path
    nights: Nights

    def arrive(self, *dates: str) -> None:
        """Let nights come in."""
        for date in dates:
            shutil.copyfile(self.nights.files[date], self.incoming(date))

    def incoming(self, date: str) -> Path:
        """Return where a night's file lies."""
        return self.folder / "in" / f"{date}.csv.gz"

    def command(self, verb: str, date: str, *more: str) -> tuple[str, ...]:
        """Return the words of a command on one night."""
        return ("--project", str(self.folder), verb, NAME, "--date", date, *more)

    def run(self, date: str, *more: str) -> tuple[Done, dict[str, Any]]:
        """Run one night, which must end well; return what it printed too."""
        done = must(*self.command("run", date, "--json", *more))
        return done, json.loads(done.out)


@contextmanager
def project() -> Iterator[Project]:
    """Make a project whose dataset file `init` wrote from the first nights; gone at the end."""
    with tempfile.TemporaryDirectory(prefix="sereno-bench-") as folder:
        nights = real_nights() or simulated_nights(Path(folder))
        made = Project(Path(folder) / "project", nights)
        (made.folder / "in").mkdir(parents=True)
        made.arrive(*list(nights.files)[:SEEN_BY_INIT])
        pattern = str(made.folder / "in" / "*.csv.gz")
        must("init", str(made.folder), "--from", pattern, "--name", NAME, "--key", nights.key, "--time", nights.time)
        yield made
