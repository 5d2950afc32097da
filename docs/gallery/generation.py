"""Generating: a variational autoencoder makes up digits from numbers drawn from its prior.

A judge finds the ten real digits next to a made-up one, and is sure what it is when nine of them agree; it is right on
97 in 100 real ones. All ten digits should come. Beside the network stands the simplest generator: a normal distribution
with the digits' covariances.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier

from models.autoencoder import Autoencoder, Matrix

COUNT = 500
# Numbers within 0 and 1: each is a chance to be black.
GREY = {"loss": "binary_crossentropy", "scaling": "none", "learning_rate": 4e-3}


def sheet(digits: Matrix, across: int) -> Matrix:
    """Digits beside and below each other as one picture, with white around each."""
    tiles = np.pad(digits.reshape(-1, across, 8, 8), ((0, 0), (0, 0), (1, 1), (1, 1)))
    return np.asarray(tiles.swapaxes(1, 2).reshape(-1, 10 * across))


def main(pictures: Path) -> dict[str, float]:
    """Generate, draw, and return how many the judge is sure of."""
    digits, labels = load_digits(return_X_y=True)
    old, new, told, asked = train_test_split(digits / 16, labels, test_size=0.25, stratify=labels, random_state=0)
    network = Autoencoder("variational", hidden=(128, 64), code=6, epochs=40, options={"beta": 0.5}, **GREY)
    made = network.fit(old).generate(COUNT, seed=1)
    normal = np.random.default_rng(0).multivariate_normal(old.mean(axis=0), np.cov(old.T), COUNT)
    judge = KNeighborsClassifier(10).fit(old, told)
    figure = Figure(figsize=(6.4, 3.2), layout="constrained")
    for axes, name, rows in zip(figure.subplots(1, 2), ("made up", "normal distribution"), (made, normal), strict=True):
        axes.imshow(sheet(rows[:64], 8), cmap="gray_r", vmin=0, vmax=1)
        axes.set(title=name, xticks=[], yticks=[])
    figure.savefig(pictures / "generation.png", dpi=65)
    sure = {
        name: float((judge.predict_proba(np.clip(rows, 0, 1)).max(axis=1) >= 0.9).mean())
        for name, rows in (("real digits", new), ("made-up digits", made), ("normal distribution", normal))
    }
    return {
        "the judge is right on real digits": float(judge.score(new, asked)),
        **{f"the judge is sure of {name}": share for name, share in sure.items()},
        "share of the rarest digit": float(np.bincount(judge.predict(made), minlength=10).min() / COUNT),
    }


if __name__ == "__main__":
    print(main(Path(__file__).resolve().parents[1] / "pictures" / "gallery"))
