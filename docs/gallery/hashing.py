"""Semantic hashing: each digit becomes 32 bits, and digits with bits in common are alike.

A sigmoid code learns with noise on the rows: to be of use in spite of it, its numbers go to 0 or 1, and rounding them
costs little (Salakhutdinov and Hinton, Semantic hashing, 2009). Four bytes and a count of different bits then stand
for 64 numbers and a Euclidean distance. The rival needs no training: signs of random projections.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from sklearn.datasets import load_digits
from sklearn.metrics import pairwise_distances

from models.autoencoder import Autoencoder, Matrix

BITS, NEAREST = 32, 10
# Numbers within 0 and 1: each is a chance to be black.
GREY = {"loss": "binary_crossentropy", "scaling": "none", "learning_rate": 4e-3}


def sheet(digits: Matrix, across: int) -> Matrix:
    """Digits beside and below each other as one picture, with white around each."""
    tiles = np.pad(digits.reshape(-1, across, 8, 8), ((0, 0), (0, 0), (1, 1), (1, 1)))
    return np.asarray(tiles.swapaxes(1, 2).reshape(-1, 10 * across))


def main(pictures: Path) -> dict[str, float]:
    """Hash, look up, draw, and return the share of the nearest that are the same digit."""
    digits, labels = load_digits(return_X_y=True)
    old, new = digits[:1397] / 16, digits[1397:] / 16
    network = Autoencoder(
        "denoising", hidden=(128,), code=BITS, epochs=40, options={"noise": 0.3, "code_activation": "sigmoid"}, **GREY
    ).fit(old)
    random = np.random.default_rng(0).normal(size=(64, BITS))

    def nearest(distances: Matrix) -> Matrix:
        return np.argsort(distances, axis=1, kind="stable")[:, :NEAREST]

    def bits_apart(asked: Matrix, kept: Matrix) -> Matrix:
        return np.asarray(pairwise_distances(asked > 0, kept > 0, metric="hamming"))

    found = {
        "64 numbers, Euclidean distance": nearest(pairwise_distances(new, old)),
        "32 bits of the autoencoder": nearest(bits_apart(network.encode(new) - 0.5, network.encode(old) - 0.5)),
        "32 random projections": nearest(bits_apart((new - old.mean(0)) @ random, (old - old.mean(0)) @ random)),
    }
    figure = Figure(figsize=(5.2, 2.8), layout="constrained")
    axes = figure.subplots()
    shown = np.concatenate([new[:5, None], old[found["32 bits of the autoencoder"][:5]]], axis=1)
    axes.imshow(sheet(shown, NEAREST + 1), cmap="gray_r")
    axes.axvline(9.5, color="tab:red")
    axes.set(title="asked for | the ten nearest by their bits", xticks=[], yticks=[])
    figure.savefig(pictures / "hashing.png", dpi=80)
    return {name: float((labels[:1397][at] == labels[1397:, None]).mean()) for name, at in found.items()}


if __name__ == "__main__":
    print(main(Path(__file__).resolve().parents[1] / "pictures" / "gallery"))
