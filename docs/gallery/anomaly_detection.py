"""Anomaly detection: an autoencoder that saw benign tumours alone tells malignant ones by their score.

569 real cases of 30 measures each. 257 of the benign ones teach; the other benign ones and all malignant ones are
scored. Nobody tells any method what malignant looks like.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from sklearn.datasets import load_breast_cancer
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score, roc_curve
from sklearn.preprocessing import StandardScaler

from models.autoencoder import Autoencoder, Matrix


def pca_errors(rows: Matrix, taught: Matrix, size: int) -> Matrix:
    """Squared error of each row as a PCA of some size reconstructs it."""
    scaler = StandardScaler().fit(taught)
    pca = PCA(size).fit(scaler.transform(taught))
    scaled = scaler.transform(rows)
    return np.asarray(np.square(scaled - pca.inverse_transform(pca.transform(scaled))).sum(axis=1))


def main(pictures: Path) -> dict[str, float]:
    """Score, draw, and return the area under each curve."""
    cases, is_benign = load_breast_cancer(return_X_y=True)
    benign = np.random.default_rng(0).permutation(cases[is_benign == 1])
    taught, rows = benign[:257], np.concatenate([benign[257:], cases[is_benign == 0]])
    is_odd = np.arange(len(rows)) >= len(benign) - 257
    scores = {
        "autoencoder": Autoencoder(epochs=40).fit(taught).score(rows),
        "PCA": pca_errors(rows, taught, 4),
        "isolation forest": -IsolationForest(random_state=0).fit(taught).score_samples(rows),
    }
    figure = Figure(figsize=(4, 3.4), layout="constrained")
    axes = figure.subplots()
    for name, score in scores.items():
        false, true, _ = roc_curve(is_odd, score)
        axes.plot(false, true, label=name)
    axes.set(xlabel="benign ones called odd", ylabel="malignant ones found", xlim=(-0.01, 0.5))
    axes.legend()
    figure.savefig(pictures / "anomaly_detection.png", dpi=80)
    return {f"{name}, AUROC": float(roc_auc_score(is_odd, score)) for name, score in scores.items()}


if __name__ == "__main__":
    print(main(Path(__file__).resolve().parents[1] / "pictures" / "gallery"))
