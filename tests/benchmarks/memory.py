"""Growth of the process over 200 trainings of a few shapes, each with its own seed and data."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator

from harness import Measure
from peers import QUIET
from simulated_rows import simulated_rows

TRAININGS, WARM_UP = 200, 24
FAMILIES = ("dense", "denoising", "variational", "sparse")
WIDTHS = (8, 24)
BYTES = 1e6


def measure() -> Iterator[Measure]:
    """Resident megabytes behind the last training over those behind the first few, of each shape three."""
    os.environ.update(QUIET)
    for at in range(WARM_UP):
        train_one(at)
    before = resident_mb()
    grown = []
    for at in range(WARM_UP, WARM_UP + TRAININGS):
        train_one(at)
        if (at + 1) % WARM_UP == 0 or at == WARM_UP + TRAININGS - 1:
            grown.append(resident_mb() - before)
    print(f"{before:.0f} MB behind {WARM_UP} trainings, {TRAININGS} more", file=sys.stderr)
    yield Measure("growth_mb", grown, "MB", ("<", 100.0), of="max")


def train_one(at: int) -> None:
    """A training whose shape, seed, rows and number of rows follow from its number."""
    from models.families import family
    from models.trainer import Budget, train
    from models.workshop import WORKSHOP

    name, width = FAMILIES[at % len(FAMILIES)], WIDTHS[at // len(FAMILIES) % len(WIDTHS)]
    rows = simulated_rows(3_000 + 7 * at, width, seed=at)
    config = family(name).with_options({"hidden": (32,), "code": 4})
    budget = Budget(3, 3, 64, 1e-3, trim=0.01, seconds=600.0)
    train(WORKSHOP.workpiece(name, width, config), rows[500:], rows[:500], budget, seed=at)


def resident_mb() -> float:
    """Memory that this process holds."""
    import psutil

    gc.collect()
    return float(psutil.Process().memory_info().rss) / BYTES
