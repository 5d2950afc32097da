"""Nights to measure with, a project that watches them, and the command line, run as a person runs it."""

from __future__ import annotations

import csv
import gzip
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import NotMeasured

if TYPE_CHECKING:
    import pandas as pd

ROOT = Path(__file__).resolve().parents[2]
SERENO = Path(sys.executable).parent / "sereno"
LIMIT_S = 600
NAME = "flows"
SEEN_BY_INIT = 7


Truth = dict[str, bool]


@dataclass(frozen=True)
class Nights:
    """Files of consecutive nights.

    Args:
        files: Date to file, in order.
        key: The column that names a row.
        time: The column that says when it happened.
        truth: Date to which keys are anomalous; a key that is not there is not. Read by benchmarks, never by a run.
    """

    files: dict[str, Path]
    key: str
    time: str
    truth: dict[str, Truth]


@dataclass(frozen=True)
class Done:
    """How a command ended, and after how many seconds by the clock."""

    code: int
    out: str
    err: str
    seconds: float


def shared_data() -> Path:
    """Return the folder of real data sets, which may be missing."""
    given = os.environ.get("SERENO_SHARED_DATA")
    return Path(given) if given else ROOT.parent / "shared" / "data"


def read_rows(path: Path) -> list[dict[str, str]]:
    """Read a night's file as text."""
    with gzip.open(path, "rt", encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def read_frame(paths: Sequence[Path]) -> pd.DataFrame:
    """Read nights' files with their types."""
    import pandas as pd

    return pd.concat([pd.read_csv(path, keep_default_na=False) for path in paths], ignore_index=True)


def real_nights(name: str = "unsw_nights") -> Nights | None:
    """Return the nights of a set of real flows, where this machine has them."""
    folder = shared_data() / name
    files = {path.name.partition(".")[0]: path for path in sorted(folder.glob("*.csv.gz"))}
    truth = {date: _labels(folder / "labels" / path.name) for date, path in files.items()}
    return Nights(files, "flow_id", "start_time", truth) if files else None


def _labels(path: Path) -> Truth:
    return {row["flow_id"]: row["label"] == "1" for row in read_rows(path)}


def simulated_nights(folder: Path, nights: int = 14) -> Nights:
    """Make nights of network flows like the demo's; all but the broken one."""
    from tasks.simulate import simulate_week

    week = simulate_week(folder / "simulated", nights=nights)
    files = {date.isoformat(): path for date, path in week.files.items() if date != week.blocked}
    truth = {date: {row.flow_id: True for row in week.planted if row.night.isoformat() == date} for date in files}
    return Nights(files, "flow_id", "start_time", truth)


def sereno(*words: str, limit_s: float = LIMIT_S, program: Sequence[str] = (str(SERENO),)) -> Done:
    """Run the installed command, or another program in its place, without a terminal and this machine's settings."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("SERENO_", "PREFECT_", "MLFLOW_"))}
    begun = time.perf_counter()
    try:
        done = subprocess.run(
            [*program, *words],
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=limit_s,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotMeasured(f"sereno {' '.join(words)}: {error}") from error
    return Done(done.returncode, done.stdout, done.stderr, time.perf_counter() - begun)


def must(*words: str, limit_s: float = LIMIT_S, program: Sequence[str] = (str(SERENO),)) -> Done:
    """Run the command; one that does not end with 0 measures nothing."""
    done = sereno(*words, limit_s=limit_s, program=program)
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

    def copy(self, name: str) -> Project:
        """Return a project of its own that has what this one has so far; made before the first training."""
        shutil.copytree(self.folder, self.folder.with_name(name))
        return Project(self.folder.with_name(name), self.nights)

    def train(self, first: str, last: str, seed: int) -> dict[str, Any]:
        """Train on validated nights; return what it printed."""
        words = ("--project", str(self.folder), "train", NAME, "--from", first, "--to", last, "--seed", str(seed))
        result: dict[str, Any] = json.loads(must(*words, "--json").out)
        return result

    def scores(self, date: str) -> dict[str, list[Any]]:
        """Return the scores of a night, column by column."""
        import pyarrow.parquet

        path = self.folder / f"scores of {date}.parquet"
        must(*self.command("scores", date, "--to", str(path)))
        found: dict[str, list[Any]] = pyarrow.parquet.read_table(path).to_pydict()
        return found

    def run(self, date: str, *more: str) -> tuple[Done, dict[str, Any]]:
        """Run one night, which must end well; return what it printed too."""
        done = must(*self.command("run", date, "--json", *more))
        return done, json.loads(done.out)


@contextmanager
def project(nights: Nights | None = None) -> Iterator[Project]:
    """Make a project whose dataset file `init` wrote from the first nights; gone at the end.

    Args:
        nights: What it watches; the UNSW nights, or simulated ones where they are missing, when not given.
    """
    with tempfile.TemporaryDirectory(prefix="sereno-bench-") as folder:
        nights = nights or real_nights() or simulated_nights(Path(folder))
        made = Project(Path(folder) / "project", nights)
        (made.folder / "in").mkdir(parents=True)
        made.arrive(*list(nights.files)[:SEEN_BY_INIT])
        pattern = str(made.folder / "in" / "*.csv.gz")
        must("init", str(made.folder), "--from", pattern, "--name", NAME, "--key", nights.key, "--time", nights.time)
        yield made
