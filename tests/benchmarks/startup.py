"""How long a person waits: for the help text, for a night, and for a night that is already done."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator

from harness import Measure, NotMeasured
from project_setup import SEEN_BY_INIT, must, project

HELP_RUNS = 9
COLD_NIGHTS = 3


def measure() -> Iterator[Measure]:
    """Seconds by the clock of `sereno --help`, of a cold `sereno run` with training, and of the same run again."""
    must("--help")  # the first run writes the byte code
    bare = [python_alone() for _ in range(HELP_RUNS)]
    help_s = [must("--help").seconds for _ in range(HELP_RUNS)]
    yield Measure("help_s", help_s, "s", ("<=", 0.5), peer={"python -c pass": sorted(bare)[HELP_RUNS // 2]})

    cold, again = [], []
    with project() as watched:
        dates = list(watched.nights.files)
        for date in dates[:SEEN_BY_INIT]:
            must(*watched.command("validate", date))
        for date in dates[SEEN_BY_INIT : SEEN_BY_INIT + COLD_NIGHTS]:
            watched.arrive(date)
            done, result = watched.run(date)
            if result["status"] != "done" or not result["model"]["version"]:
                raise NotMeasured(f"the night of {date} was not trained and scored: {result}")
            cold.append(done.seconds)
            done, result = watched.run(date)
            if result["status"] != "skipped":
                raise NotMeasured(f"the night of {date} was done twice: {result}")
            again.append(done.seconds)
    # The slowest counts: the first run of a project also makes its databases.
    yield Measure("cold_run_s", cold, "s", ("<=", 60.0), of="max")
    yield Measure("already_done_s", again, "s", ("<=", 5.0))


def python_alone() -> float:
    """Return the seconds that the interpreter itself takes."""
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-c", "pass"], check=True)
    return time.perf_counter() - begun
