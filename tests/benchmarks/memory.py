"""Growth of the process over 200 trainings of a few shapes, each with its own seed and data."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Iterator

from harness import Measure
from peers import QUIET
from simulated_rows import simulated_rows

TRAININGS, WARM_UP = 200, 24
FAMILIES = ("dense", "denoising", "variational", "sparse")
WIDTHS = (8, 24)
BYTES = 1e6


def measure() -> Iterator[Measure]:
    """Resident megabytes more than behind the first few, of the trainer alone and of all that a fit does."""
    os.environ.update(QUIET)
    yield Measure("growth_mb", growth(train_one), "MB", ("<", 100.0), of="max")
    yield Measure("fit_growth_mb", growth(fit_one), "MB", ("<", 100.0), of="max")


def growth(train: Callable[[int], None]) -> list[float]:
    """Megabytes more than behind the first trainings, now and then until the last."""
    for at in range(WARM_UP):
        train(at)
    before = resident_mb()
    grown = []
    for at in range(WARM_UP, WARM_UP + TRAININGS):
        train(at)
        if (at + 1) % WARM_UP == 0 or at == WARM_UP + TRAININGS - 1:
            grown.append(resident_mb() - before)
    print(f"  {before:.0f} MB behind {WARM_UP} trainings", file=sys.stderr)
    return grown


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


def fit_one(at: int) -> None:
    """An autoencoder as a user fits it: the training, the export and what scores."""
    from models.autoencoder import Autoencoder

    rows = simulated_rows(1_000 + 7 * at, WIDTHS[at % len(WIDTHS)], seed=at)
    Autoencoder(FAMILIES[at % len(FAMILIES)], hidden=(32,), code=4, epochs=2, seed=at).fit(rows)


def resident_mb() -> float:
    """Memory that this process holds."""
    import psutil

    gc.collect()
    return float(psutil.Process().memory_info().rss) / BYTES
