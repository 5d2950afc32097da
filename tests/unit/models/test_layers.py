"""What each layer of our own does while training, against what its paper says; and that it rests otherwise."""

from __future__ import annotations

import numpy as np
import pytest

WIDTH, ROWS = 8, 4_000
ROWS_IN = np.random.default_rng(0).uniform(0.2, 0.8, size=(ROWS, WIDTH)).astype(np.float32)


def corrupted(kind, level, **bounds):
    from models.layers import Corruption

    return np.asarray(Corruption(kind, level, **bounds)(ROWS_IN, training=True)) - ROWS_IN


def share(mask):
    return pytest.approx(float(np.mean(mask)), abs=0.02)


def test_gaussian_noise_has_its_scale():
    noise = corrupted("gaussian", 0.3)
    assert np.mean(noise) == pytest.approx(0, abs=0.01)
    assert np.std(noise) == pytest.approx(0.3, rel=0.03)
    assert np.quantile(noise, 0.84) == pytest.approx(0.3, rel=0.06)


def test_cauchy_noise_has_its_quartiles_and_its_tail():
    noise = corrupted("cauchy", 0.3)
    np.testing.assert_allclose(np.quantile(noise, [0.25, 0.5, 0.75]), [-0.3, 0, 0.3], atol=0.03)
    # Of a normal distribution with these quartiles, none of 32,000 numbers would be so far out.
    assert np.mean(np.abs(noise) > 3) == pytest.approx(2 * np.arctan(0.1) / np.pi, rel=0.15)


@pytest.mark.parametrize(("kind", "value"), [("masking", 0.0), ("ones", 0.95)])
def test_a_share_of_values_becomes_another(kind, value):
    found = corrupted(kind, 0.3, high=0.95) + ROWS_IN
    replaced = np.isclose(found, value)
    assert share(replaced) == 0.3
    np.testing.assert_array_equal(found[~replaced], ROWS_IN[~replaced])


def test_salt_and_pepper_are_as_frequent_as_each_other():
    found = corrupted("salt_and_pepper", 0.3, low=-1.0, high=2.0) + ROWS_IN
    salt, pepper = np.isclose(found, 2.0, atol=1e-5), np.isclose(found, -1.0, atol=1e-5)
    assert (share(salt), share(pepper)) == (0.15, 0.15)
    np.testing.assert_allclose(found[~salt & ~pepper], ROWS_IN[~salt & ~pepper], atol=1e-6)


@pytest.mark.parametrize("kind", ["gaussian", "masking", "ones", "salt_and_pepper", "cauchy"])
def test_noise_is_another_each_time_and_none_without_training(kind):
    from models.layers import Corruption

    layer = Corruption(kind, 0.3)
    first, second = (np.asarray(layer(ROWS_IN, training=True)) for _ in range(2))
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(layer(ROWS_IN, training=False), ROWS_IN)
    np.testing.assert_array_equal(Corruption(kind, 0.0)(ROWS_IN, training=True), ROWS_IN)


def penalty(layer, given):
    """What a layer adds to the loss."""
    layer(given, training=False)
    assert not layer.losses
    layer(given, training=True)
    (value,) = layer.losses
    return float(value)


def test_sparsity_is_the_divergence_of_mean_activations():
    from models.penalties import Sparsity

    rate = ROWS_IN.mean(axis=0)
    divergence = 0.1 * np.log(0.1 / rate) + 0.9 * np.log(0.9 / (1 - rate))
    assert penalty(Sparsity("kl", 2.0, 0.1), ROWS_IN) == pytest.approx(2 * divergence.mean(), rel=1e-4)
    wished = np.full((50, 4), 0.1, np.float32)
    assert penalty(Sparsity("kl", 2.0, 0.1), wished) == pytest.approx(0, abs=1e-6)


def test_sparsity_may_count_what_codes_are():
    from models.penalties import Sparsity

    assert penalty(Sparsity("l1", 3.0), ROWS_IN - 0.5) == pytest.approx(3 * np.abs(ROWS_IN - 0.5).mean(), rel=1e-5)


def test_a_gaussian_code_costs_its_divergence_from_the_prior_and_draws_from_the_posterior():
    from models.penalties import GaussianCode

    code = GaussianCode(3, beta=2.0, width=WIDTH)
    mean = np.asarray(code(ROWS_IN, training=False))
    # Untrained, each variance is 1: what is left of the divergence is the mean's square.
    expected = 2.0 * 0.5 * np.square(mean).sum(axis=1).mean() / WIDTH
    assert penalty(code, ROWS_IN) == pytest.approx(expected, rel=1e-4)
    code.log_variance.bias.assign(np.log([0.25, 1.0, 4.0]))
    drawn = np.asarray(code(ROWS_IN, training=True)) - mean
    np.testing.assert_allclose(drawn.std(axis=0), [0.5, 1.0, 2.0], rtol=0.05)
    variance = np.array([0.25, 1.0, 4.0])
    expected += 2.0 * 0.5 * (variance - 1 - np.log(variance)).sum() / WIDTH
    assert penalty(code, ROWS_IN) == pytest.approx(expected, rel=1e-4)


@pytest.fixture
def encoder():
    """Two layers with dropout between them."""
    import keras

    rows = keras.Input((WIDTH,))
    hidden = keras.layers.Dense(6, activation="tanh")(rows)
    return keras.Model(rows, keras.layers.Dense(3)(keras.layers.Dropout(0.5, seed=1)(hidden)))


def test_contraction_is_the_squared_norm_of_the_jacobian_of_the_mean_path(encoder):
    from models.penalties import Contraction

    first, second = (np.asarray(layer.kernel) for layer in encoder.layers if layer.weights)
    slopes = 1 - np.tanh(ROWS_IN @ first) ** 2
    jacobians = np.einsum("wh,rh,hc->rwc", first, slopes, second)
    expected = np.square(jacobians).sum(axis=(1, 2)).mean()
    layer = Contraction(encoder, 0.5)
    found = np.mean([penalty(layer, ROWS_IN) for _ in range(5)])
    assert found == pytest.approx(0.5 * expected / WIDTH, rel=0.05)
    np.testing.assert_array_equal(layer(ROWS_IN, training=False), encoder(ROWS_IN, training=False))


def test_an_adversary_pushes_itself_and_the_codes_apart_in_what_they_want():
    import tensorflow as tf

    from models.penalties import Adversary

    layer = Adversary((16,), strength=0.5, smoothness=0.0)
    codes = tf.constant(np.random.default_rng(1).normal(3.0, 0.1, size=(500, 2)).astype(np.float32))
    layer(codes, training=True)
    rate = 0.1
    for _ in range(30):
        with tf.GradientTape() as tape:
            layer(codes, training=True)
            (told,) = layer.losses
        for weights, gradient in zip(
            layer.trainable_variables, tape.gradient(told, layer.trainable_variables), strict=True
        ):
            weights.assign_sub(rate * gradient)
    with tf.GradientTape() as tape:
        tape.watch(codes)
        np.testing.assert_array_equal(layer(codes, training=True), codes)
        (told,) = layer.losses
    # It learned to tell codes around 3 from the prior; a step down its gradient leads the codes back to the prior.
    assert float(told) < 0.7 * 2 * np.log(2)
    step = -np.asarray(tape.gradient(told, codes)).mean(axis=0)
    assert (step < 0).all()
