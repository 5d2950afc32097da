"""Recommendation: 1,500 people rated four in ten of 60 films; what would they say of the others?

A row is a person. What is missing is 0, a loss of one's own leaves it out (Sedhain et al., AutoRec, 2015), and masking
hides further ratings while training, so that the network has to guess them (Wu et al., Collaborative denoising
auto-encoders, 2016). The rival is a singular value decomposition whose gaps are filled anew thirty times.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from models.autoencoder import Autoencoder, Matrix
from models.losses import register_loss

PEOPLE, FILMS = 1_500, 60
MASKED = {"corruption": "masking", "noise": 0.3, "code_activation": "linear"}
GAPS = {"loss": "mse_of_what_is_there", "scaling": "none", "options": MASKED}


@register_loss("mse_of_what_is_there")
def mse_of_what_is_there(target: Any, output: Any) -> Any:
    """Mean squared error over the numbers of a row that are not 0."""
    from keras import ops

    there = ops.cast(target != 0, output.dtype)
    return ops.sum(there * ops.square(target - output), axis=-1) / ops.maximum(ops.sum(there, axis=-1), 1.0)


def simulated(random: np.random.Generator) -> Matrix:
    """Ratings from 1 to 5 that three tastes decide, [people, films]."""
    tastes, films = random.normal(size=(PEOPLE, 3)), random.normal(size=(3, FILMS))
    liked = 3 + random.normal(scale=0.5, size=FILMS) + 1.3 * np.tanh(tastes @ films)
    return np.clip(np.round(liked + 0.3 * random.normal(size=liked.shape)), 1, 5)


def filled_by_svd(ratings: Matrix, is_rated: Matrix, size: int) -> Matrix:
    """Ratings as a decomposition of some size expects them."""
    filled = ratings
    for _ in range(30):
        left, values, right = np.linalg.svd(filled, full_matrices=False)
        expected = (left[:, :size] * values[:size]) @ right[:size]
        filled = np.where(is_rated, ratings, expected)
    return expected


def main(pictures: Path) -> dict[str, float]:
    """Predict held-out ratings, draw the errors, and return their root mean squares."""
    random = np.random.default_rng(0)
    truth, draws = simulated(random), random.random((PEOPLE, FILMS))
    is_rated, is_asked = draws < 0.4, draws > 0.9
    means = np.nanmean(np.where(is_rated, truth, np.nan), axis=0)
    ratings = np.where(is_rated, truth - means, 0.0)
    network = Autoencoder("denoising", hidden=(128,), code=4, activation="tanh", epochs=30, **GAPS)
    expected = {
        "mean of the film": np.zeros_like(ratings),
        "decomposition": filled_by_svd(ratings, is_rated, 3),
        "autoencoder": network.fit(ratings).reconstruct(ratings),
    }
    errors = {name: (means + each - truth)[is_asked] for name, each in expected.items()}
    figure = Figure(figsize=(4.8, 3), layout="constrained")
    axes = figure.subplots()
    for name, error in errors.items():
        axes.hist(error, bins=np.linspace(-3, 3, 61).tolist(), histtype="step", label=name)
    axes.set(xlabel="predicted less true rating", ylabel="held-out ratings")
    axes.legend()
    figure.savefig(pictures / "recommendation.png", dpi=80)
    return {f"{name}, RMSE": float(np.sqrt(np.square(error).mean())) for name, error in errors.items()}


if __name__ == "__main__":
    print(main(Path(__file__).resolve().parents[1] / "pictures" / "gallery"))
