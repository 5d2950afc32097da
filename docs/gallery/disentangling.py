"""Style and class: the same hand writes all ten digits.

The last ten numbers of a row say which digit it is. The decoder is given them, so the code need not hold them, and an
adversary that makes codes of all digits look like one normal distribution drives them out (Makhzani et al.,
Adversarial autoencoders, 2015). What stays is style.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.model_selection import cross_val_score
from sklearn.svm import SVC

from models.autoencoder import Autoencoder, Matrix

STYLE = 2
EACH = np.eye(10)
# Numbers within 0 and 1: each is a chance to be black. The last ten say the class.
ROWS = {"loss": "binary_crossentropy", "scaling": "none", "activation": "relu", "options": {"classes": 10}}


def sheet(digits: Matrix, across: int) -> Matrix:
    """Digits beside and below each other as one picture, with white around each."""
    tiles = np.pad(digits.reshape(-1, across, 8, 8), ((0, 0), (0, 0), (1, 1), (1, 1)))
    return np.asarray(tiles.swapaxes(1, 2).reshape(-1, 10 * across))


def main(pictures: Path) -> dict[str, float]:
    """Split digits into style and class, write each style as each digit, and return how well that went."""
    digits, labels = load_digits(return_X_y=True)
    rows = np.concatenate([digits / 16, EACH[labels]], axis=1)
    old, new, told = rows[:1397], rows[1397:], labels[1397:]
    # An adversary makes the loss of early epochs go up and down: patience is due.
    network = Autoencoder("adversarial", hidden=(128, 64), code=STYLE, epochs=30, patience=40, **ROWS).fit(old)
    styles = network.encode(new)[:, :STYLE]
    codes = np.concatenate([styles.repeat(10, axis=0), np.tile(EACH, (len(new), 1))], axis=1)
    written = network.decode(codes)[:, :64]
    reader = SVC(C=10).fit(old[:, :64], labels[:1397])
    means = np.stack([old[labels[:1397] == digit, :64].mean(axis=0) for digit in range(10)])
    figure = Figure(figsize=(4.4, 4.2), layout="constrained")
    axes = figure.subplots()
    shown = np.concatenate([new[:10, None, :64], written[:100].reshape(10, 10, 64)], axis=1)
    axes.imshow(sheet(shown, 11), cmap="gray_r", vmin=0, vmax=1)
    axes.axvline(9.5, color="tab:red")
    axes.set(title="a digit | its style as each digit", xticks=[], yticks=[])
    figure.savefig(pictures / "disentangling.png", dpi=70)
    return {
        "written digits that are read as asked": float(reader.score(written, np.tile(np.arange(10), len(new)))),
        "digits told by their style": float(cross_val_score(SVC(), styles, told).mean()),
        "digits told by two numbers of PCA": float(
            cross_val_score(SVC(), PCA(STYLE).fit(old[:, :64]).transform(new[:, :64]), told).mean()
        ),
        "error of style and class": float(np.square(network.reconstruct(new) - new)[:, :64].mean()),
        "error of the class alone": float(np.square(means[told] - new[:, :64]).mean()),
    }


if __name__ == "__main__":
    print(main(Path(__file__).resolve().parents[1] / "pictures" / "gallery"))
