"""How much faster a bundle's graph reconstructs in ONNX Runtime than Keras `predict` does at its default batch."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from json import loads
from pathlib import Path

from harness import Measure, NotMeasured
from peers import QUIET
from scored_families import TIMES, rows_for

HERE = Path(__file__).resolve().parent
DENSE = "dense"
LIMIT_S = 1_800
SETTINGS = ((0, 0), (1, 1))


def measure() -> Iterator[Measure]:
    """Rows a second over those of `predict` at its fastest number of threads; ours has one thread, as in a worker."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        settings = [predict(folder, *threads) for threads in SETTINGS]
        keras = {family: min(each[family] for each in settings) for family in settings[0]}
        ours = {family: reconstruct(family, folder / f"{family}.onnx") for family in keras}
    ratios = {family: keras[family] / min(taken) for family, taken in ours.items()}
    for family, ratio in ratios.items():
        print(f"  {ratio:6.1f} x  {family}: {min(ours[family]):.3f} s, keras {keras[family]:.3f} s", file=sys.stderr)
    yield Measure("dense_predict_x", [keras[DENSE] / taken for taken in ours[DENSE]], "", (">=", 10.0))
    others = {family: ratio for family, ratio in ratios.items() if family != DENSE}
    yield Measure("worst_family_x", list(others.values()), "", (">=", 1.0), peer=ratios, of="min")


def predict(folder: Path, threads: int, between: int) -> dict[str, float]:
    """Seconds of `predict` for each family."""
    command = [sys.executable, str(HERE / "scored_families.py"), str(folder), str(threads), str(between)]
    environment = {**os.environ, **QUIET}
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=LIMIT_S, env=environment)
    if done.returncode != 0:
        raise NotMeasured(f"predict failed: {done.stderr.strip()[-600:]}")
    return dict(loads(done.stdout.splitlines()[-1]))


def reconstruct(family: str, path: Path) -> list[float]:
    """Seconds of ONNX Runtime, each time."""
    from models.scoring import Reconstructor

    of, rows = Reconstructor(path.read_bytes()), rows_for(family)
    of(rows[:64])
    taken = []
    for _ in range(TIMES):
        begun = time.perf_counter()
        of(rows)
        taken.append(time.perf_counter() - begun)
    return taken
