"""Named points before and after each durable write, at which a test can stop the process.

`SERENO_FAILPOINT=lake.commit:before` kills the process, as a power cut would, when it first comes there; `:2` behind it
waits for the second time (`lake.commit:before:2`). Without the variable a point costs a look at the environment.
"""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, TypeAlias

VARIABLE = "SERENO_FAILPOINT"
LOG_VARIABLE = "SERENO_FAILPOINTS_SEEN"

Point: TypeAlias = Literal[
    "state.start",
    "state.note",
    "state.record",
    "state.finish",
    "notice.sent",
    "state.gone",
    "state.forget",
    "lake.create",
    "lake.rows",
    "lake.commit",
    "lake.delete",
    "lake.remove",
    "checkpoint.write",
    "bundle.write",
    "registry.run",
    "registry.files",
    "registry.version",
    "registry.alias",
    "registry.delete",
    "stage.record",
    "report.draft",
    "report.page",
]
"""What is written there: rows of the state database, a table, files of a training, MLflow's parts of a version, ..."""

_passed: Counter[str] = Counter()


@contextmanager
def durable(point: Point) -> Iterator[None]:
    """Stand around one durable write: a point before it, and one after it where it succeeded."""
    _reach(f"{point}:before")
    yield
    _reach(f"{point}:after")


def _reach(where: str) -> None:
    if (log := os.environ.get(LOG_VARIABLE)) is not None:
        with open(log, "a", encoding="ascii") as seen:  # noqa: PTH123 -- appended to by several processes
            seen.write(f"{where}\n")
    asked = os.environ.get(VARIABLE)
    if asked is None:
        return
    _passed[where] += 1
    name, _, count = asked.rpartition(":") if asked.rpartition(":")[2].isdigit() else (asked, "", "1")
    if (name, int(count)) == (where, _passed[where]):
        os.kill(os.getpid(), signal.SIGKILL)
