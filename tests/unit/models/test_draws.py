from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from models import draws


@pytest.fixture
def seeds():
    return keras.random.SeedGenerator(7)


def state_of(seed, count):
    return tf.constant([seed, count], tf.int64)


def test_normal_numbers_are_normal_and_uniform_ones_uniform(seeds):
    normal, uniform = (draw((2_000, 30), seeds).numpy().ravel() for draw in (draws.normal, draws.uniform))
    assert (normal.mean(), normal.std()) == (pytest.approx(0, abs=0.02), pytest.approx(1, abs=0.02))
    assert np.mean(np.abs(normal) < 1.96) == pytest.approx(0.95, abs=0.005)
    assert (uniform.min(), uniform.max()) == (pytest.approx(0, abs=1e-3), pytest.approx(1, abs=1e-3))
    assert np.histogram(uniform, bins=10)[0] == pytest.approx(len(uniform) / 10, rel=0.05)


@pytest.mark.parametrize("shape", [(64, 5), (64, 6, 7), (64, 4, 5, 2), (64,), (3, 5_000)], ids=str)
def test_draws_follow_from_the_seed_and_go_on(shape):
    first, again, other = (keras.random.SeedGenerator(seed) for seed in (1, 1, 2))
    drawn = draws.normal(shape, first).numpy()
    assert drawn.shape == shape
    np.testing.assert_array_equal(drawn, draws.normal(shape, again))
    assert not np.array_equal(drawn, draws.normal(shape, first))
    assert not np.array_equal(drawn, draws.normal(shape, other))


def test_rows_of_a_draw_have_nothing_to_do_with_each_other(seeds):
    drawn = draws.normal((500, 400), seeds).numpy()
    correlations = np.corrcoef(drawn)[np.triu_indices(500, 1)]
    assert np.mean(np.abs(correlations) > 0.35) < 1e-3  # some pairs are the same row of the table


def test_hashes_of_seeds_counts_and_places_are_spread_evenly():
    hashed = [draws._hashed(state_of(*each), 100_000).numpy() for each in ((3, 0), (4, 0), (3, 1), (2**31 - 2, 9))]
    for each in hashed:
        assert len(np.unique(each)) == 100_000
        counts = np.bincount(each % 1_009, minlength=1_009)
        assert np.sum(np.square(counts - counts.mean())) / counts.mean() == pytest.approx(1_008, rel=0.15)
    assert np.abs(np.corrcoef(hashed) - np.eye(4)).max() < 0.02


def test_many_models_draw_at_once_what_each_draws_alone():
    states = tf.constant([[3, 0], [4, 0], [3, 1]], tf.int64)
    at_once = tf.vectorized_map(lambda state: draws._hashed(state, 50), states, fallback_to_while_loop=False)
    np.testing.assert_array_equal(at_once, [draws._hashed(state, 50) for state in states])
