"""Digits that were never written look like digits: in small what the generation benchmark measures on MNIST."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.neural_network import MLPClassifier

from models.autoencoder import Autoencoder

MADE_UP = 500
SURE = 0.9


@pytest.fixture(scope="module")
def digits():
    """Pictures of 8 x 8 within 0 and 1, and their labels."""
    found = load_digits()
    order = np.random.default_rng(0).permutation(len(found.target))
    return (found.data[order] / 16).astype(np.float32), found.target[order]


@pytest.fixture(scope="module")
def classify(digits):
    """What gives each picture's classes, [pictures, 10]."""
    pictures, labels = digits
    settings = {"max_iter": 80, "batch_size": 64, "learning_rate_init": 3e-3, "early_stopping": True}
    network = MLPClassifier((64,), random_state=0, n_iter_no_change=20, **settings).fit(pictures[:1400], labels[:1400])
    assert network.score(pictures[1400:], labels[1400:]) >= 0.95
    return network.predict_proba


@pytest.fixture(scope="module")
def made_up(digits, classify):
    """The classes of made-up digits."""
    shape = {"hidden": (128, 32), "options": {"beta": 0.25, "kernels": (3,)}}
    budget = {"epochs": 30, "batch_size": 64, "seed": 1}
    family = Autoencoder("convolutional_variational", scaling="none", **shape, **budget)
    return classify(family.fit(digits[0]).generate(MADE_UP, seed=1))


def test_a_classifier_is_sure_of_what_most_made_up_digits_are(made_up):
    assert np.mean(made_up.max(axis=1) >= SURE) >= 0.5


def test_each_digit_is_among_those_made_up(made_up):
    assert np.bincount(made_up.argmax(axis=1), minlength=10).min() >= 0.02 * MADE_UP


def test_the_classifier_is_less_sure_of_pixels_in_disorder(digits, classify, made_up):
    pictures, _ = digits
    noise = classify(np.random.default_rng(0).permuted(pictures, axis=0))
    assert np.mean(noise.max(axis=1) >= SURE) < np.mean(made_up.max(axis=1) >= SURE) - 0.1
