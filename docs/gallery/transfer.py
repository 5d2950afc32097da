"""Transfer: a network that knows the digits 0 to 4 starts another that has to learn 5 to 9 from 300 rows.

`start_from` gives a training the weights of an earlier one of the same shape. What counts is how many epochs both need
to a held-out loss that the one that starts from nothing reaches at its end, less 2 %.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from sklearn.datasets import load_digits

from models.autoencoder import Autoencoder

ROWS = 300
# Numbers within 0 and 1: each is a chance to be black.
GREY = {"loss": "binary_crossentropy", "scaling": "none", "learning_rate": 4e-3}


def fresh() -> Autoencoder:
    """An autoencoder that knows nothing."""
    return Autoencoder("dense", hidden=(128, 64), code=16, epochs=20, options={"code_activation": "linear"}, **GREY)


def main(pictures: Path) -> dict[str, float]:
    """Train with and without a start, draw both, and return the epochs to the same loss."""
    digits, labels = load_digits(return_X_y=True)
    known, new = digits[labels < 5] / 16, digits[labels >= 5][:ROWS] / 16
    from_nothing = fresh().fit(new).curve_.held_out
    from_the_known = fresh().fit(new, start_from=fresh().fit(known)).curve_.held_out
    goal = 1.02 * min(from_nothing)
    figure = Figure(figsize=(4.8, 3), layout="constrained")
    axes = figure.subplots()
    for name, curve in (("from nothing", from_nothing), ("from the digits 0 to 4", from_the_known)):
        axes.plot(range(1, len(curve) + 1), curve, label=name)
    axes.axhline(goal, color="grey", linestyle=":")
    axes.set(xlabel="epoch", ylabel="held-out loss")
    axes.legend()
    figure.savefig(pictures / "transfer.png", dpi=80)
    return {
        "epochs from nothing": float(np.argmax(np.array(from_nothing) <= goal) + 1),
        "epochs from the digits 0 to 4": float(np.argmax(np.array(from_the_known) <= goal) + 1),
        "best loss from nothing": min(from_nothing),
        "best loss from the digits 0 to 4": min(from_the_known),
    }


if __name__ == "__main__":
    print(main(Path(__file__).resolve().parents[1] / "pictures" / "gallery"))
