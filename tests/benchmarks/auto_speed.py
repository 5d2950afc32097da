"""How long the default detector takes: 4,000 rows of 20 columns to learn from, many to score."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import pandas as pd
from harness import Measure
from simulated_rows import simulated_rows

ROWS, WIDTH, SCORED, ROUNDS = 4_000, 20, 100_000, 3


def measure() -> Iterator[Measure]:
    """Seconds of a training after the first of its shape, and rows scored a second, on the machine's cores."""
    from sklearn.neighbors import LocalOutlierFactor

    from models.autoencoder import Autoencoder
    from models.tensorflow_import import import_tensorflow

    import_tensorflow()
    rows = simulated_rows(ROWS + SCORED, WIDTH, seed=1)
    fit, others = rows[:ROWS], pd.DataFrame(rows[ROWS:], columns=[f"x{at}" for at in range(WIDTH)])
    trained, scored, peers = [], [], []
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        detector = Autoencoder("auto").fit(fit)
        trained.append(time.perf_counter() - begun)
        detector.score(others[:1_000])
        begun = time.perf_counter()
        detector.score(others)
        scored.append(SCORED / (time.perf_counter() - begun))
        neighbours = LocalOutlierFactor(novelty=True).fit(fit)
        begun = time.perf_counter()
        neighbours.score_samples(rows[ROWS:])
        peers.append(SCORED / (time.perf_counter() - begun))
    yield Measure("train_s", trained, "s", ("<", 10.0), of="max")
    yield Measure("rows_per_s", scored, "rows/s", (">=", 50_000.0), {"scikit-learn's LOF": float(np.median(peers))})
