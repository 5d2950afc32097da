"""Compression: 64 numbers of a digit kept as 4, 8 or 16, and what comes back, beside PCA with as many numbers.

Both learn from 1,397 digits and are judged on the other 400. PCA is the best that a linear map can do; what the
network gains is what bends.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA

from models.autoencoder import Autoencoder, Matrix

SIZES = (4, 8, 16)
# Numbers within 0 and 1: each is a chance to be black.
GREY = {"loss": "binary_crossentropy", "scaling": "none", "learning_rate": 4e-3}


def psnr(found: Matrix, true: Matrix) -> float:
    """Peak signal to noise ratio in dB of values within 0 and 1."""
    return float(-10 * np.log10(np.square(np.clip(found, 0, 1) - true).mean()))


def main(pictures: Path) -> dict[str, float]:
    """Compress, draw, and return the PSNR for each code size."""
    digits = load_digits().data / 16
    old, new = digits[:1397], digits[1397:]
    figures: dict[str, float] = {}
    for size in SIZES:
        network = Autoencoder(
            "dense", hidden=(128,), code=size, epochs=25, options={"code_activation": "linear"}, **GREY
        )
        linear = PCA(size).fit(old)
        name = f"{64 // size} to 1"
        figures[f"{name}, autoencoder, dB"] = psnr(network.fit(old).reconstruct(new), new)
        figures[f"{name}, PCA, dB"] = psnr(linear.inverse_transform(linear.transform(new)), new)
    figure = Figure(figsize=(4.8, 3), layout="constrained")
    axes = figure.subplots()
    found = list(figures.values())
    axes.plot(SIZES, found[::2], "o-", label="autoencoder")
    axes.plot(SIZES, found[1::2], "s--", label="PCA")
    axes.set(xlabel="numbers kept of 64", ylabel="PSNR, dB", xscale="log", xticks=SIZES, xticklabels=SIZES)
    axes.minorticks_off()
    axes.legend()
    figure.savefig(pictures / "compression.png", dpi=80)
    return figures


if __name__ == "__main__":
    print(main(Path(__file__).resolve().parents[1] / "pictures" / "gallery"))
