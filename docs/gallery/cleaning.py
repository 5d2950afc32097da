"""Cleaning noise: a network that learned to undo noise on clean digits takes it off digits that it never saw.

Beside it stand what costs less: a Gaussian blur, and PCA, which keeps the directions in which digits differ most. Each
is given the setting that does best on these very digits.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from scipy.ndimage import gaussian_filter
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA

from models.autoencoder import Autoencoder, Matrix

NOISE = 0.4  # standard deviation, where black is 0 and white is 1
# Numbers within 0 and 1: each is a chance to be black.
GREY = {"loss": "binary_crossentropy", "scaling": "none", "learning_rate": 4e-3}


def psnr(found: Matrix, true: Matrix) -> float:
    """Peak signal to noise ratio in dB of values within 0 and 1."""
    return float(-10 * np.log10(np.square(np.clip(found, 0, 1) - true).mean()))


def sheet(digits: Matrix, across: int) -> Matrix:
    """Digits beside and below each other as one picture, with white around each."""
    tiles = np.pad(digits.reshape(-1, across, 8, 8), ((0, 0), (0, 0), (1, 1), (1, 1)))
    return np.asarray(tiles.swapaxes(1, 2).reshape(-1, 10 * across))


def main(pictures: Path) -> dict[str, float]:
    """Clean, draw, and return the PSNR before and after."""
    digits = load_digits().data / 16
    old, new = digits[:1397], digits[1397:]
    noisy = new + NOISE * np.random.default_rng(0).normal(size=new.shape)
    network = Autoencoder("denoising", hidden=(256,), code=128, epochs=30, options={"noise": NOISE}, **GREY)
    cleaned = network.fit(old).reconstruct(noisy)
    kept = [PCA(size).fit(old) for size in (8, 12, 16, 20)]
    blurred = [gaussian_filter(noisy.reshape(-1, 8, 8), (0, width, width)) for width in (0.5, 0.6, 0.7, 0.8)]
    figure = Figure(figsize=(7.2, 1.5), layout="constrained")
    axes = figure.subplots()
    axes.imshow(sheet(np.stack([new[:16], noisy[:16], cleaned[:16]]), 16), cmap="gray_r", vmin=0, vmax=1)
    axes.set_yticks([5, 15, 25], ["digit", "with noise", "cleaned"])
    axes.set_xticks([])
    figure.savefig(pictures / "cleaning.png", dpi=80)
    return {
        "PSNR with noise, dB": psnr(noisy, new),
        "cleaned by the autoencoder": psnr(cleaned, new),
        "by PCA": max(psnr(pca.inverse_transform(pca.transform(noisy)), new) for pca in kept),
        "by a blur": max(psnr(each.reshape(-1, 64), new) for each in blurred),
    }


if __name__ == "__main__":
    print(main(Path(__file__).resolve().parents[1] / "pictures" / "gallery"))
