"""Checks of a detector that take seconds: in another process, against Keras, and on rows that it should find.

python -m models.thorough_checks BUNDLE ROWS.parquet SCORES.npy       what the other process runs
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from models.bundle import open_bundle
from models.onnx_export import agrees
from models.scoring import Reconstructor, Scorer

EASY = 0.9


def scores_alike_elsewhere(scorer: Scorer, folder: Path, frame: pd.DataFrame) -> str | None:
    """A new process opens the bundle and gives the same scores, without TensorFlow."""
    with tempfile.TemporaryDirectory(prefix="sereno-") as name:
        rows, scores = Path(name) / "rows.parquet", Path(name) / "scores.npy"
        frame.to_parquet(rows)
        command = [sys.executable, "-P", "-m", "models.thorough_checks", str(folder.absolute()), str(rows), str(scores)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            return f"another process cannot score with it: {done.stderr.strip()[-300:]}"
        same = np.array_equal(np.load(scores, allow_pickle=False), scorer.score(frame, top=0).score)
    return None if same else "another process gives other scores"


def graphs_are_keras(scorer: Scorer, frame: pd.DataFrame) -> str | None:
    """The three graphs give what the archived Keras model gives."""
    from models.warm_start import load_model

    bundle = scorer.bundle
    if bundle.encoder is None or bundle.decoder is None:
        return None
    model = load_model(bundle.keras)
    rows = bundle.transform.apply(frame)
    codes = Reconstructor(bundle.encoder)(rows)
    pairs = [
        ("model.onnx", bundle.onnx, model, rows),
        ("encoder.onnx", bundle.encoder, model.get_layer("encoder"), rows),
        ("decoder.onnx", bundle.decoder, model.get_layer("decoder"), codes),
    ]
    for name, data, keras_model, given in pairs:
        if not agrees(Reconstructor(data)(given), np.asarray(keras_model(given, training=False))):
            return f"{name} is not the Keras model"
    return None


def finds_planted(scorer: Scorer, frame: pd.DataFrame) -> str | None:
    """Rows whose columns do not belong together score above rows as they came, nearly always."""
    from sklearn.metrics import roc_auc_score

    draws = np.random.default_rng(0)
    planted = pd.DataFrame({name: frame[name].to_numpy()[draws.permutation(len(frame))] for name in frame.columns})
    scores = [scorer.score(rows, top=0).score for rows in (frame, planted)]
    area = float(roc_auc_score(np.repeat([0, 1], len(frame)), np.concatenate(scores)))
    return None if area > EASY else f"rows whose columns were mixed up score no higher than others (AUROC {area:.3f})"


def main() -> int:
    """Score a file's rows; see the module's first lines."""
    folder, rows, scores = map(Path, sys.argv[1:])
    found = Scorer(open_bundle(folder)).score(pd.read_parquet(rows), top=0).score
    if "tensorflow" in sys.modules:
        sys.stderr.write("scoring imported TensorFlow\n")
        return 1
    np.save(scores, found, allow_pickle=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
