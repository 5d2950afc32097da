"""What a loss says of residuals, against the formula in numpy."""

from __future__ import annotations

import numpy as np
import pytest

from models.families import family
from models.losses import correntropy_of, loss, loss_names, register_loss
from schemas.errors import ConfigError, TrainingFailed

RANDOM = np.random.default_rng(0)
TARGET = RANDOM.uniform(size=(7, 5)).astype(np.float32)
OUTPUT = RANDOM.uniform(0.01, 0.99, size=(7, 5)).astype(np.float32)
FAR = (TARGET + RANDOM.normal(scale=4, size=(7, 5))).astype(np.float32)


def huber(target, output):
    size = np.abs(target - output)
    return np.mean(np.where(size <= 1, size**2 / 2, size - 0.5), axis=1)


def crossentropy(target, output):
    return -np.mean(target * np.log(output) + (1 - target) * np.log(1 - output), axis=1)


def correntropy(width):
    return lambda target, output: np.mean(
        2 * width**2 * (1 - np.exp(-((target - output) ** 2) / (2 * width**2))), axis=1
    )


EXPECTED = {
    "mse": lambda target, output: np.mean((target - output) ** 2, axis=1),
    "mae": lambda target, output: np.mean(np.abs(target - output), axis=1),
    "huber": huber,
    "binary_crossentropy": crossentropy,
    "correntropy": correntropy(1.0),
}


@pytest.mark.parametrize("name", loss_names())
def test_a_row_costs_what_the_formula_says(name):
    output = OUTPUT if loss(name).output == "sigmoid" else FAR
    np.testing.assert_allclose(loss(name).of(TARGET, output), EXPECTED[name](TARGET, output), rtol=1e-5)


def test_correntropy_counts_small_residuals_as_squares_and_large_ones_alike():
    of, zeros = correntropy_of(0.5), np.zeros((1, 4), np.float32)
    np.testing.assert_allclose(of(zeros, zeros + 0.01), 0.01**2, rtol=1e-2)
    np.testing.assert_allclose([of(zeros, zeros + 5)[0], of(zeros, zeros + 50)[0]], 2 * 0.5**2, rtol=1e-6)


def test_a_robust_network_weighs_by_its_kernels_width():
    def of(**options):
        robust = family("robust")
        return robust.build(5, robust.with_options({"hidden": (3,), "code": 2, **options})).loss.of(TARGET, FAR)

    np.testing.assert_allclose(of(kernel_width=0.3), correntropy(0.3)(TARGET, FAR), rtol=1e-5)
    np.testing.assert_allclose(of(kernel_width=0.3, loss="mae"), np.mean(np.abs(TARGET - FAR), axis=1), rtol=1e-5)


@pytest.mark.parametrize("value", [-0.01, 1.01])
def test_values_that_a_sigmoid_cannot_give_are_refused(value):
    rows = TARGET.copy()
    rows[3, 2] = value
    with pytest.raises(TrainingFailed, match=f"needs values within 0 and 1, and these reach .*{value}"):
        loss("binary_crossentropy").check(rows)
    loss("binary_crossentropy").check(TARGET)
    loss("mse").check(rows)


def test_a_loss_is_known_by_one_name():
    with pytest.raises(ConfigError, match=r"there is no loss 'hubre' .did you mean `huber`"):
        loss("hubre")
    with pytest.raises(TypeError, match="registered twice"):
        register_loss("mse")(lambda target, output: target - output)
