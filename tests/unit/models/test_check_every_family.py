"""Every family, from rows to a bundle, against every check that ships with the product."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from models.autoencoder import Autoencoder
from models.bundle import open_bundle, write_bundle
from models.checks import check_detector
from models.families import names

WIDTH = 16
SMALL = {"hidden": (24,), "code": 3, "epochs": 25, "batch_size": 32, "learning_rate": 1e-2}
OWN = {
    "adversarial": {"adversary": (8,), "strength": 0.01},
    "contractive": {"strength": 0.001},
    "convolutional_1d": {"filters": (8,)},
    "convolutional_2d": {"filters": (8,)},
    "convolutional_variational": {"filters": (8,), "beta": 0.1},
    "denoising": {"noise": 0.1},
    "recurrent": {"units": 24, "shape": (4, 4)},
    "robust": {"noise": 0.1},
    "sparse": {"strength": 0.001},
    "stacked": {"noises": (0.1,)},
    "variational": {"beta": 0.05},
}
QUICK = ("dense", "variational")
"""The others take three minutes together."""


def made_rows(count, seed):
    """Easy rows: three hidden numbers decide sixteen, and some values are missing."""
    random = np.random.default_rng(seed)
    rows = np.tanh(random.normal(size=(count, 3)) @ np.random.default_rng(9).normal(size=(3, WIDTH)))
    rows += random.normal(scale=0.03, size=rows.shape)
    rows[random.random(rows.shape) < 0.01] = np.nan
    return pd.DataFrame(rows, columns=[f"sensor {at}" for at in range(WIDTH)])


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in names()]
)
def test_a_family_passes_every_check(name, tmp_path):
    detector = Autoencoder(name, **SMALL, loss="mse", options=OWN.get(name)).fit(made_rows(1500, seed=1))
    detector.save(tmp_path / "bundle")
    assert check_detector(tmp_path / "bundle", made_rows(400, seed=2), is_thorough=True) == []


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        pytest.param(
            {"epochs": 1, "learning_rate": 1e-9}, "rows whose columns were mixed up score no higher", id="untrained"
        ),
        pytest.param({}, "decoder.onnx is not the Keras model", id="another decoder"),
    ],
)
def test_a_detector_that_is_none_does_not_pass(spoil, said, tmp_path):
    detector = Autoencoder("dense", **{**SMALL, "epochs": 2, **spoil}).fit(made_rows(600, seed=1))
    detector.save(tmp_path / "bundle")
    if not spoil:
        other = Autoencoder("dense", **{**SMALL, "epochs": 1, "seed": 5}).fit(made_rows(600, seed=1))
        other.save(tmp_path / "other")
        bundle = open_bundle(tmp_path / "bundle")
        changed = replace(bundle, decoder=open_bundle(tmp_path / "other").decoder)
        write_bundle(tmp_path / "bundle", changed, replace=True)
    problems = check_detector(tmp_path / "bundle", made_rows(400, seed=2), is_thorough=True)
    assert any(said in problem for problem in problems), problems
