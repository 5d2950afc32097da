"""Whether a night costs more when there is more history: rows read, files opened, seconds."""

from __future__ import annotations

import json
import shutil
import statistics
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from harness import Bar, Measure, NotMeasured
from opened_files import opened_files
from project_setup import NAME, Project, must, project

SHORT, LONG = 28, 280
REAL = 7
REPEATS = 5
PEER = f"{SHORT} nights"
HERE = Path(__file__).parent
BACKFILL_S = 3_600.0


@dataclass(frozen=True)
class Cost:
    """What one run took.

    Args:
        rows: Rows that it read from the state database and from the lake.
        registry_rows: Rows that it read from MLflow's database.
        steps: Steps of SQLite's machine for the state database.
        files: Files of the project that were opened, each once, and that were there before.
        seconds: By the clock.
    """

    rows: int
    registry_rows: int
    steps: int
    files: int
    seconds: float


def measure() -> Iterator[Measure]:
    """Tonight's run after 280 nights against the same after 28: rows read, files opened, seconds.

    Both projects are made in bulk from seven nights that were really run (`bulk_history`), and differ in nothing but
    the number of nights; the training window is the dataset file's own, which both fill. Each run starts on a fresh
    copy at the same place, and runs of the two take turns.

    Rows and SQLite's steps are counted in the process that runs the command, from outside the product
    (`counted_sereno`). Files are counted by the kernel for all processes (`opened_files`): each file that was there
    before is counted once, in all of the project folder (lake and its log, databases, artefacts, reports, inputs) but
    Prefect's home. 28 and 280 nights are as far from the lake's last checkpoint, of which there is one every seven
    commits; other numbers may differ by up to six small files a table.
    """
    with project() as watched:
        dates = list(watched.nights.files)
        if len(dates) <= REAL:
            raise NotMeasured(f"fewer than {REAL + 1} nights of data")
        costs = measured(watched, dates[:REAL], dates[REAL])
    quantities: list[tuple[str, Callable[[Cost], float], str, Bar | None]] = [
        ("rows_read", lambda cost: cost.rows, "rows", ("==", 1)),
        ("files_opened", lambda cost: cost.files, "files", ("==", 1)),
        ("seconds", lambda cost: cost.seconds, "s", ("<=", 1.25)),
        ("state_steps", lambda cost: cost.steps, "steps", None),
        ("registry_rows", lambda cost: cost.registry_rows, "rows", None),
    ]
    for name, amount, unit, bar in quantities:
        short, long = ([float(amount(cost)) for cost in costs[nights]] for nights in (SHORT, LONG))
        yield Measure(f"{name}_ratio", [b / a for a, b in zip(short, long, strict=True)], "", bar, {PEER: 1.0})
        yield Measure(name, long, unit, None, {PEER: statistics.median(short)})


def measured(watched: Project, real: list[str], tonight: str) -> dict[int, list[Cost]]:
    """Make both projects and run tonight in each, in turns."""
    seed = watched.copy("seed")
    words = ("--project", str(seed.folder), "backfill", NAME, "--from", real[0], "--to", real[-1])
    must(*words, limit_s=BACKFILL_S)
    watched.arrive(tonight)
    place = watched.folder.with_name("tonight")
    for nights in (SHORT, LONG):
        made = watched.copy(place.name)
        make = [sys.executable, str(HERE / "bulk_history.py"), str(seed.folder), str(made.folder)]
        must(str(nights), tonight, limit_s=BACKFILL_S, program=make)
        place.rename(pristine(place, nights))
    costs: dict[int, list[Cost]] = {SHORT: [], LONG: []}
    for _ in range(REPEATS):
        for nights, found in costs.items():
            found.append(cost_of(place, watched, nights, tonight))
    return costs


def pristine(place: Path, nights: int) -> Path:
    """Return where a project waits that no run has changed."""
    return place.with_name(f"{nights} nights")


def cost_of(place: Path, watched: Project, nights: int, tonight: str) -> Cost:
    """Run tonight in a fresh copy of one project, at the place where it was made."""
    shutil.copytree(pristine(place, nights), place)
    fresh, counts = Project(place, watched.nights), place.with_name("counts.json")
    program = (sys.executable, "-P", str(HERE / "counted_sereno.py"), str(counts))
    with opened_files(place, without=[place / "state" / "prefect"]) as files:
        done = must(*fresh.command("run", tonight, "--json"), program=program)
    found = json.loads(counts.read_text(encoding="utf-8"))
    shutil.rmtree(place)
    return Cost(
        rows=found["rows of state.db"] + found["rows of the lake"],
        registry_rows=found["rows of mlflow.db"],
        steps=found["steps of state.db"],
        files=len(files),
        seconds=done.seconds,
    )
