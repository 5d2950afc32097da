"""One training in a process of its own: ours, or Keras `fit` of the same model. Prints one line of JSON.

    python tests/benchmarks/contender.py '{"who": "ours", "family": "dense", ...}'

It trains twice: what comes on top the first time is building and compiling. The import of TensorFlow counts for none.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from simulated_rows import simulated_rows

HELD_OUT = 20_000
RATE = 2e-3
LARGE = 8_192


@dataclass(frozen=True)
class Race:
    """What all contenders train.

    Args:
        rows: Fit rows.
        width: Numbers of a row.
        epochs: Passes over them.
        batch: Rows in a step.
        family: The network's family.
        options: The family's options.
        seed: Of first weights and orders; ours and Keras' start from the same weights.
    """

    rows: int
    width: int
    epochs: int
    batch: int = 256
    family: str = "dense"
    options: dict[str, Any] = field(default_factory=dict)
    seed: int = 1

    def data(self) -> tuple[np.ndarray, np.ndarray]:
        """Fit rows and held-out rows."""
        held_out = min(HELD_OUT, self.rows // 10)
        return simulated_rows(self.rows, self.width, seed=1), simulated_rows(held_out, self.width, seed=2)


@dataclass(frozen=True)
class Entry:
    """Who trains, and how.

    Args:
        who: ours, keras or pyod.
        how: What of it; for Keras a word for each thing that is tuned: steps, jit, data.
        threads: Threads within an operation; 0: the library's default.
        between: Operations at once; 0: the library's default.
    """

    who: str
    how: str = ""
    threads: int = 0
    between: int = 0

    def __str__(self) -> str:
        threads = f"{self.threads or 'default'}/{self.between or 'default'} threads"
        return f"{self.who} {self.how} {threads}".replace("  ", " ")


@dataclass(frozen=True)
class Result:
    """What a contender says.

    Args:
        first_s: Building, compiling and training.
        again_s: Training alone.
        scores_s: Scoring the fit rows, by which a detector finds its threshold; 0 where it is not asked.
        held_out: Held-out loss behind the first training.
    """

    first_s: float
    again_s: float
    scores_s: float
    held_out: float


def main(words: list[str]) -> int:
    """Do what the words say."""
    asked = json.loads(words[0])
    race, entry = Race(**asked["race"]), Entry(**asked["entry"])
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(entry.threads)
    tf.config.threading.set_inter_op_parallelism_threads(entry.between)
    train = {"ours": train_ours, "keras": train_keras}[entry.who]
    result = train(race, entry)
    print(json.dumps(asdict(result)))
    return 0


def train_ours(race: Race, _: Entry) -> Result:
    """The trainer, twice on one network, whose program the second time is there already."""
    from models.families import family
    from models.program import fresh
    from models.trainer import Budget, train
    from models.workshop import WORKSHOP

    fit, stop = race.data()
    budget = Budget(race.epochs, race.epochs, race.batch, RATE, trim=0.0, seconds=3600.0)
    config = family(race.family).with_options(race.options)
    taken, losses = [], []
    for seed in (race.seed, race.seed + 1):
        begun = time.perf_counter()
        piece = WORKSHOP.workpiece(race.family, race.width, config)
        done = train(piece, fit, stop, budget, seed=seed)
        taken.append(time.perf_counter() - begun)
        losses.append(done.curve.held_out[-1])
    begun = time.perf_counter()
    piece.program.row_losses(fresh(*piece.weights()), fit)
    return Result(taken[0], taken[1], time.perf_counter() - begun, losses[0])


def train_keras(race: Race, entry: Entry) -> Result:
    """Keras `fit` of the same model; what is tuned, `entry` says."""
    import keras

    from models.families import family
    from models.workshop import Workpiece

    fit, stop = race.data()
    config = family(race.family).with_options(race.options)
    keras.utils.set_random_seed(race.seed)
    begun = time.perf_counter()
    network = family(race.family).build(race.width, config)
    Workpiece(network, race.width).first_weights(race.seed)
    model, loss = network.model, network.loss
    steps = race.rows // race.batch if "steps" in entry.how else 1
    jit = "jit" in entry.how if entry.how else "auto"
    model.compile(keras.optimizers.Adam(RATE), loss=loss.of, steps_per_execution=steps, jit_compile=jit)
    given = fed(race, entry, fit, stop)
    taken, losses = [], []
    for _ in range(2):
        history = model.fit(epochs=race.epochs, verbose=0, **given)
        taken.append(time.perf_counter() - begun)
        losses.append(history.history["val_loss"][-1])
        begun = time.perf_counter()
    return Result(taken[0], taken[1], 0.0, losses[0])


def fed(race: Race, entry: Entry, fit: np.ndarray, stop: np.ndarray) -> dict[str, Any]:
    """The arguments by which `fit` gets its rows: arrays, or a `tf.data` pipeline where that is tuned."""
    if not entry.how:
        return {"x": fit, "y": fit, "batch_size": race.batch, "validation_data": (stop, stop)}
    if "data" not in entry.how:
        whole = fit[: len(fit) // race.batch * race.batch]
        given = {"x": whole, "y": whole, "batch_size": race.batch, "validation_data": (stop, stop)}
        return given | {"validation_batch_size": LARGE}
    import tensorflow as tf

    kept, others = tf.constant(fit), tf.constant(stop)
    steps = race.rows // race.batch

    def shuffled(_: Any) -> Any:
        order = tf.random.shuffle(tf.range(race.rows))[: steps * race.batch]
        return tf.data.Dataset.from_tensor_slices(tf.reshape(order, [steps, race.batch]))

    data = tf.data.Dataset.range(1).flat_map(shuffled).map(lambda at: tf.gather(kept, at))
    held_out = tf.data.Dataset.from_tensor_slices(others).batch(LARGE).cache()
    whole, part = (each.map(lambda x: (x, x)).prefetch(tf.data.AUTOTUNE) for each in (data, held_out))
    return {"x": whole, "validation_data": part}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
