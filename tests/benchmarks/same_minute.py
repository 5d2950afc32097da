"""Whether twenty datasets that are due at the same minute are all done, once, within this machine's means."""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from harness import Measure
from service_at_work import Service, up, wait_until, watched

DATASETS = 20
# The last one that is due: an older one would be one of many that were missed.
NIGHT = datetime.now(UTC).date() - timedelta(days=1)
RUNS = 2
LIMIT_S = 3_600.0
MEMORY_GB = 8.0


def measure() -> Iterator[Measure]:
    """Twenty datasets scheduled at the same minute: how many nights are done, how many twice, and the memory."""
    names = [f"dataset{number:02d}" for number in range(DATASETS)]
    with watched(names, NIGHT, 1, family="denoising") as project:
        project.settings(service={"port": 0, "prefect_port": 0, "mlflow_port": 0, "runs": RUNS})
        for name in names:
            project.change(name, schedule={"timezone": "UTC", "at": "00:00"})
        begun = time.monotonic()
        with up(project) as service:
            for name in names:
                project.json("schedule", "enable", name, "--from", str(NIGHT))
            memory = Highest(service)
            wait_until(lambda: all_over(service), LIMIT_S, "the last night", look_s=2.0)
            seconds = time.monotonic() - begun
            most = memory.stop()
            done = Counter(row["dataset"] for row in project.json("status") if row["status"] == "done")
            asked = Counter((row["dataset"], row["night"]) for row in service.requests() if row["night"] == str(NIGHT))
            runs = Counter(run_of(line) for line in service.lines if "report took" in line)
    print(f"{DATASETS} nights, {RUNS} at once: {seconds:.0f} s, {seconds / DATASETS:.1f} s each", file=sys.stderr)
    yield Measure("done", [float(sum(done[name] == 1 for name in names))], "datasets", ("==", float(DATASETS)))
    twice = sum(count > 1 for count in asked.values()) + sum(count > 1 for count in runs.values())
    yield Measure("doubled", [float(twice)], "datasets", ("==", 0.0))
    yield Measure("memory_gb", [most / 1e9], "GB", ("<=", MEMORY_GB), of="max")
    yield Measure("seconds_each", [seconds / DATASETS], "s")


def all_over(service: Service) -> bool:
    """Whether the night of each dataset has its outcome; the service may have asked for later ones, too."""
    rows = [row for row in service.requests() if row["night"] == str(NIGHT)]
    return len(rows) == DATASETS and all(row["status"] in ("done", "failed", "cancelled") for row in rows)


def run_of(line: str) -> str:
    """Dataset and night of a line that says that a report was written."""
    return " ".join(line.partition("dataset")[2].split()[:2])


class Highest:
    """The most memory that the service held, looked at each second.

    Args:
        service: Which one.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._end = threading.Event()
        self._most = 0
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        while not self._end.wait(1.0):
            self._most = max(self._most, self._service.memory())

    def stop(self) -> int:
        """End looking, and say it in bytes."""
        self._end.set()
        self._thread.join()
        return self._most
