"""Whether a night survives `kill -9`: at each named point around a durable write, and at random moments."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from harness import Measure, NotMeasured
from project_setup import NAME, SERENO, Project, must, project
from what_counts import Facts, left_behind, processes_of, what_counts

MOMENTS = 30
SIDE_BY_SIDE = 2
GONE_S = 20.0
LIMIT_S = 600.0
KILLED = -signal.SIGKILL
SEEN = "SERENO_FAILPOINTS_SEEN"
ASKED = "SERENO_FAILPOINT"


@dataclass(frozen=True)
class Case:
    """One disturbed night.

    Args:
        name: What was done to it.
        point: The failpoint where it is killed; none: at a moment.
        after_s: The moment.
    """

    name: str
    point: str = ""
    after_s: float = 0.0


@dataclass
class Outcome:
    """What came of it: whether it was killed, what differs from the undisturbed night, and what was left."""

    case: Case
    killed: bool = False
    differences: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)


def measure() -> Iterator[Measure]:
    """A night killed at every failpoint and at 30 random moments, then asked again, beside an undisturbed one."""
    with project() as watched:
        first, second = list(watched.nights.files)[:2]
        must(*watched.command("run", first))
        undisturbed = watched.copy("undisturbed")
        seen = watched.folder.with_name("points")
        begun = time.perf_counter()
        if night(undisturbed, second, {SEEN: str(seen)}) != 0:
            raise NotMeasured("the undisturbed night did not end well")
        lasted = time.perf_counter() - begun
        reference = what_counts(undisturbed.folder, NAME)
        cases = [*at_points(seen.read_text(encoding="ascii").split()), *at_moments(lasted)]
        with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
            outcomes = list(pool.map(lambda case: disturbed(watched, second, case, reference), cases))
    yield from measures(outcomes)


def measures(outcomes: list[Outcome]) -> Iterator[Measure]:
    """What all disturbed nights came to; each difference is said on stderr."""
    for outcome in outcomes:
        for sentence in [*outcome.differences, *outcome.left]:
            print(f"{outcome.case.name}: {sentence}", file=sys.stderr)
    at_named = [outcome for outcome in outcomes if outcome.case.point]
    yield Measure("kills", [float(sum(outcome.killed for outcome in outcomes))], "", (">=", 40.0))
    yield Measure("failpoints", [float(sum(outcome.killed for outcome in at_named))], "", (">=", 10.0))
    yield Measure("differences", [float(len(outcome.differences)) for outcome in outcomes], "", ("==", 0.0), of="max")
    yield Measure("left_behind", [float(len(outcome.left)) for outcome in outcomes], "", ("==", 0.0), of="max")


def at_points(seen: list[str]) -> list[Case]:
    """A case for each point that the undisturbed night came to: the first time before it, the last time after it."""
    passed = Counter(seen)
    passing = {where: 1 if where.endswith("before") else passed[where] for where in dict.fromkeys(seen)}
    return [Case(f"at {where}, time {count}", point=f"{where}:{count}") for where, count in passing.items()]


def at_moments(lasted: float) -> list[Case]:
    """Random moments spread over the night: one in each of equal parts of it."""
    chance = random.Random(20)
    moments = [(part + chance.random()) * lasted / MOMENTS for part in range(MOMENTS)]
    return [Case(f"after {moment:.1f} s", after_s=moment) for moment in moments]


def disturbed(watched: Project, date: str, case: Case, reference: Facts) -> Outcome:
    """Kill a night of a copy of the project, ask for it again, and compare."""
    copy = watched.copy(case.name.replace(" ", "-").replace(":", "-").replace(",", ""))
    outcome = Outcome(case)
    at_point = {ASKED: case.point} if case.point else {}
    code = night(copy, date, at_point, kill_after_s=None if case.point else case.after_s)
    outcome.killed = code == KILLED or has_died_inside(copy)
    outcome.left += [f"after the kill: {line}" for line in remaining(copy)]
    if (again := night(copy, date, {})) != 0:
        outcome.differences.append(f"asked again it ended with {again}")
        return outcome
    found = what_counts(copy.folder, NAME)
    outcome.differences += [
        f"{what} differs" for what in sorted(reference.keys() | found.keys()) if reference.get(what) != found.get(what)
    ]
    outcome.left += [*[f"at the end: {line}" for line in remaining(copy)], *left_behind(copy.folder, NAME)]
    return outcome


def has_died_inside(watched: Project) -> bool:
    """Whether the training process was killed: the night itself goes on then."""
    logs = (watched.folder / "state" / "logs").glob("*.jsonl")
    return any("killed by signal 9" in log.read_text(encoding="utf-8") for log in logs)


def night(watched: Project, date: str, more: dict[str, str], kill_after_s: float | None = None) -> int:
    """Run a night in a process of its own; return its exit code, which of a killed one is the signal's, negative."""
    watched.arrive(date)
    env = {k: v for k, v in os.environ.items() if not k.startswith(("SERENO_", "PREFECT_", "MLFLOW_"))}
    log = watched.folder.with_name(f"{watched.folder.name}.log")
    with log.open("ab") as out:
        command = [str(SERENO), *watched.command("run", date)]
        process = subprocess.Popen(command, env=env | more, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        try:
            return process.wait(kill_after_s if kill_after_s is not None else LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()


def remaining(watched: Project) -> list[str]:
    """Processes of the project that do not end by themselves."""
    ends = time.monotonic() + GONE_S
    while found := list(processes_of(watched.folder)):
        if time.monotonic() > ends:
            return [f"process {line}" for line in found]
        time.sleep(0.2)
    return []
