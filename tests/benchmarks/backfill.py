"""Whether thirty nights done again by a backfill, or by one that is killed and resumed, are what they were."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

from harness import Measure, NotMeasured
from project_setup import SERENO, must
from service_at_work import Watched, watched
from what_counts import Facts, what_counts

NAME = "flows"
FIRST = date(2026, 9, 1)
NIGHTS = 30
KILLS = 6
LIMIT_S = 3_600.0
MOST_TRIES = 40


def measure() -> Iterator[Measure]:
    """Tables and numbers of thirty nights that differ: done again by a backfill, and by one killed and resumed."""
    with watched([NAME], FIRST, NIGHTS, family="denoising", epochs=5) as project:
        resumed = Watched(project.folder.with_name("resumed"), project.names)
        shutil.copytree(project.folder, resumed.folder)
        all_nights(project)
        first = rows_of(project)
        all_nights(project, "--force")
        again = different(first, rows_of(project))
        killed(resumed, random.Random(7))
        disturbed = different(first, rows_of(resumed))
    for name, found in (("again", again), ("killed and resumed", disturbed)):
        print(f"{name}: {', '.join(found) or 'no difference'}", file=sys.stderr)
    yield Measure("differences", [float(len(again)), float(len(disturbed))], "tables", ("==", 0.0), of="max")


def words_of(project: Watched, *more: str) -> tuple[str, ...]:
    last = FIRST + timedelta(days=NIGHTS - 1)
    return project.words("backfill", NAME, "--from", str(FIRST), "--to", str(last), *more)


def all_nights(project: Watched, *more: str) -> None:
    must(*words_of(project, *more), limit_s=LIMIT_S)


def killed(project: Watched, draw: random.Random) -> None:
    """Kill the backfill at random moments, then let it end."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("SERENO_", "PREFECT_", "MLFLOW_"))}
    for _ in range(KILLS):
        process = subprocess.Popen(
            [str(SERENO), *words_of(project)], env=own, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        time.sleep(draw.uniform(15, 75))
        if process.poll() is not None:
            raise NotMeasured("the backfill ended before it was killed")
        process.send_signal(signal.SIGKILL)
        process.wait()
    all_nights(project)


def rows_of(project: Watched) -> Facts:
    """Rows of all tables and the numbers of all nights, and which version scored; not how often it was tried."""
    found = what_counts(Path(project.folder), NAME)
    return {name: value for name, value in found.items() if name not in ("ledger", "versions")}


def different(first: Facts, second: Facts) -> list[str]:
    return sorted(name for name in first.keys() | second.keys() if first.get(name) != second.get(name))
