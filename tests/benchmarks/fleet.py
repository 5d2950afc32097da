"""A fleet of 1,000 small models trained together, against a Keras model an entity, and against each trained alone."""

from __future__ import annotations

import importlib
import os
import statistics
import sys
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from harness import Measure
from peers import QUIET
from simulated_rows import simulated_rows

ENTITIES, ROWS, WIDTH, EPOCHS = 1_000, 2_000, 16, 20
FIT = 1_800
BATCH = 32
RATE = 1e-2
OPTIONS = {"hidden": (), "code": 4, "activation": "relu"}
KERAS_ENTITIES = 20
ALONE = (0, 17, 250, 611, 999)


def measure() -> Iterator[Measure]:
    """Seconds of a Keras model an entity over ours, building and compiling included; largest difference to alone."""
    os.environ.update(QUIET)
    from models.model_axis import Job, train_many
    from models.tensorflow_import import import_tensorflow
    from models.trainer import Budget

    import_tensorflow()
    importlib.import_module("keras")  # no part of either's seconds
    entities = [simulated_rows(ROWS, WIDTH, world=at) for at in range(ENTITIES)]
    jobs = [Job(rows[:FIT], rows[FIT:], seed=at) for at, rows in enumerate(entities)]
    budget = Budget(EPOCHS, EPOCHS, BATCH, RATE, trim=0.0, seconds=3600.0)
    begun = time.perf_counter()
    together = train_many(workpiece(), jobs, budget)
    first = time.perf_counter() - begun
    begun = time.perf_counter()
    train_many(workpiece(), jobs, budget)
    again = time.perf_counter() - begun
    losses = statistics.fmean(done.curve.held_out[-1] for done in together)
    print(f"together: {first:.2f} s, again {again:.2f} s, held-out loss {losses:.5f}", file=sys.stderr)
    yield Measure(
        "max_abs_difference", [difference(jobs[at], together[at], budget) for at in ALONE], "", ("<=", 1e-4), of="max"
    )
    taken = [keras_entity(entities[at * (ENTITIES // KERAS_ENTITIES)]) for at in range(KERAS_ENTITIES)]
    each, held_out = [seconds for seconds, _ in taken], statistics.fmean(loss for _, loss in taken)
    print(f"keras: {statistics.median(each):.2f} s an entity, held-out loss {held_out:.5f}", file=sys.stderr)
    yield Measure("loss_ratio", [losses / held_out], "", ("<=", 1.02))
    yield Measure("train_s", [first], "s", peer={"a keras model an entity": ENTITIES * statistics.fmean(each)})
    yield Measure("model_per_entity_x", [ENTITIES * statistics.fmean(each) / first], "", (">=", 250.0))
    yield Measure("model_per_entity_without_compile_x", [ENTITIES * statistics.fmean(each) / again], "")


def workpiece() -> Any:
    """The fleet's network, built once in this process."""
    from models.families import family
    from models.workshop import WORKSHOP

    return WORKSHOP.workpiece("dense", WIDTH, family("dense").with_options(OPTIONS))


def difference(job: Any, together: Any, budget: Any) -> float:
    """Largest difference of what an entity's model gives, and of its losses, to the one trained alone."""
    from models.trainer import train

    piece = workpiece()
    alone = train(piece, job.fit, job.stop, budget, seed=job.seed)
    expected = np.asarray(piece.network.model(job.stop))
    piece.load(together.weights, together.others)
    outputs = np.abs(np.asarray(piece.network.model(job.stop)) - expected).max()
    losses = np.abs(np.subtract(alone.curve.held_out, together.curve.held_out)).max()
    return float(max(outputs, losses, np.abs(alone.weights - together.weights).max()))


def keras_entity(rows: np.ndarray) -> tuple[float, float]:
    """Seconds that a Keras model of one entity takes at `fit`'s defaults, and its held-out loss."""
    import keras

    begun = time.perf_counter()
    model = keras.Sequential(
        [
            keras.Input((WIDTH,)),
            keras.layers.Dense(OPTIONS["code"], OPTIONS["activation"]),
            keras.layers.Dense(WIDTH),
        ]
    )
    model.compile(keras.optimizers.Adam(RATE), "mse")
    fit, stop = rows[:FIT], rows[FIT:]
    history = model.fit(fit, fit, epochs=EPOCHS, batch_size=BATCH, validation_data=(stop, stop), verbose=0)
    return time.perf_counter() - begun, history.history["val_loss"][-1]
