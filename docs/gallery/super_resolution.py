"""Super-resolution: digits of 4 x 4 become digits of 8 x 8, with a network that only ever learned to undo noise.

Two steps take turns: the network makes the picture more like a digit, then each square of four pixels is moved to the
mean that the small picture says. So any network that cleans can be asked other questions (Venkatakrishnan, Bouman and
Wohlberg, Plug-and-play priors, 2013). Ridge regression, which is taught on pairs of small and large, is the rival.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from scipy.ndimage import zoom
from sklearn.datasets import load_digits
from sklearn.linear_model import Ridge

from models.autoencoder import Autoencoder, Matrix

TURNS = 8
# Numbers within 0 and 1: each is a chance to be black.
GREY = {"loss": "binary_crossentropy", "scaling": "none", "learning_rate": 4e-3}


def psnr(found: Matrix, true: Matrix) -> float:
    """Peak signal to noise ratio in dB of values within 0 and 1."""
    return float(-10 * np.log10(np.square(np.clip(found, 0, 1) - true).mean()))


def small(pictures: Matrix) -> Matrix:
    """Means of squares of four pixels: [rows, 64] to [rows, 16]."""
    return pictures.reshape(-1, 4, 2, 4, 2).mean(axis=(2, 4)).reshape(-1, 16)


def large(pictures: Matrix, order: int) -> Matrix:
    """Interpolation with splines of an order, 0 for squares of one value: [rows, 16] to [rows, 64]."""
    grown = zoom(pictures.reshape(-1, 4, 4), (1, 2, 2), order=order, mode="nearest", grid_mode=True)
    return np.asarray(grown, dtype=np.float64).reshape(-1, 64)


def sheet(digits: Matrix, across: int) -> Matrix:
    """Digits beside and below each other as one picture, with white around each."""
    tiles = np.pad(digits.reshape(-1, across, 8, 8), ((0, 0), (0, 0), (1, 1), (1, 1)))
    return np.asarray(tiles.swapaxes(1, 2).reshape(-1, 10 * across))


def main(pictures: Path) -> dict[str, float]:
    """Enlarge, draw, and return the PSNR beside interpolation and regression."""
    digits = load_digits().data / 16
    old, new = digits[:1397], digits[1397:]
    given = small(new)
    network = Autoencoder("denoising", hidden=(256,), code=128, epochs=30, options={"noise": 0.3}, **GREY).fit(old)
    guess = large(given, 0)
    for _ in range(TURNS):
        guess = network.reconstruct(guess)
        guess = np.clip(guess + large(given - small(guess), 0), 0, 1)
    figure = Figure(figsize=(7.2, 2), layout="constrained")
    axes = figure.subplots()
    lines = np.stack([each[:16] for each in (large(given, 0), large(given, 3), guess, new)])
    axes.imshow(sheet(lines, 16), cmap="gray_r", vmin=0, vmax=1)
    axes.set_yticks([5, 15, 25, 35], ["given", "bicubic", "autoencoder", "true"])
    axes.set_xticks([])
    figure.savefig(pictures / "super_resolution.png", dpi=80)
    return {
        "bilinear, dB": psnr(large(given, 1), new),
        "bicubic, dB": psnr(large(given, 3), new),
        "ridge regression on pairs, dB": psnr(Ridge(0.1).fit(small(old), old).predict(given), new),
        "autoencoder, dB": psnr(guess, new),
    }


if __name__ == "__main__":
    print(main(Path(__file__).resolve().parents[1] / "pictures" / "gallery"))
