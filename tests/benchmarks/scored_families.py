"""Each family's network as an ONNX graph, and how long Keras `predict` takes, in a process of its own.

    python tests/benchmarks/scored_families.py FOLDER THREADS BETWEEN

Writes FAMILY.onnx into the folder where it is not there yet, and prints one line of JSON: seconds by family.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np
from simulated_rows import simulated_rows

WIDTH = 64
TIMES = 3
PLAIN = {"dense", "sparse", "contractive", "denoising", "robust", "stacked", "variational", "adversarial"}


def rows_for(family: str) -> np.ndarray:
    """Rows that a family reconstructs: fewer where each costs more."""
    return simulated_rows(20_000 if family in PLAIN else 2_000, WIDTH)


def main(words: list[str]) -> int:
    """Do what the words say."""
    folder, threads, between = Path(words[0]), *map(int, words[1:])
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(between)
    from models.families import names

    print(json.dumps({name: predict_s(name, folder / f"{name}.onnx") for name in names()}))
    return 0


def predict_s(name: str, path: Path) -> float:
    """Fewest seconds of `predict` at its default batch, compiled already."""
    from models.families import family
    from models.onnx_export import export

    rows = rows_for(name)
    model = family(name).build(WIDTH, family(name).with_options({})).model
    if not path.is_file():
        path.write_bytes(export(model, rows[:1_000]))
    model.predict(rows[:64], verbose=0)
    taken = []
    for _ in range(TIMES):
        begun = time.perf_counter()
        model.predict(rows, verbose=0)
        taken.append(time.perf_counter() - begun)
    return min(taken)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
