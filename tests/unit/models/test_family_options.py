"""What the options of families change, and which are refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from models.families import family
from models.networks import Network
from models.trainer import Budget, train
from models.workshop import Workpiece
from schemas.errors import ConfigError

WIDTH = 12
BUDGET = Budget(epochs=6, patience=9, batch_size=32, learning_rate=1e-2, trim=0.0, seconds=600.0)


def made_rows(count, seed=0):
    """Rows that two hidden numbers decide."""
    random = np.random.default_rng(seed)
    rows = np.tanh(random.normal(size=(count, 2)) @ np.random.default_rng(9).normal(size=(2, WIDTH)))
    return (rows + random.normal(scale=0.05, size=rows.shape)).astype(np.float32)


def worded(value):
    """A parameter as part of a test's id; what the message says is none."""
    if isinstance(value, dict):
        return " ".join(f"{name}={given}" for name, given in value.items()) or "defaults"
    return value if isinstance(value, int) or str(value).isidentifier() else ""


FIT, STOP = made_rows(640, seed=1), made_rows(160, seed=2)


def built(name, width=WIDTH, **options) -> Network:
    chosen = family(name)
    return chosen.build(width, chosen.with_options({"hidden": (8,), "code": 3, **options}))


def trained(name, budget=BUDGET, **options):
    piece = Workpiece(built(name, **options), WIDTH)
    return piece.network, train(piece, FIT, STOP, budget, seed=1)


@pytest.mark.parametrize(
    ("name", "width", "options", "said"),
    [
        ("convolutional_1d", 12, {"shape": (5, 2)}, r"`shape` \[5, 2\] holds 10 numbers, and a row has 12"),
        ("recurrent", 12, {"shape": (5, 2)}, r"the family recurrent: `shape` \[5, 2\] holds 10 numbers"),
        ("convolutional_2d", 12, {"shape": (2, 2, 2)}, r"give \[height, width, channels\], whose product is 12"),
        ("convolutional_2d", 12, {}, "convolutional_2d needs to know the shape of a row: 12 numbers are no square"),
        ("convolutional_variational", 12, {}, "convolutional_variational needs to know the shape of a row"),
        ("convolutional_1d", 12, {"filters": ()}, "`filters` names no convolution"),
        ("convolutional_1d", 12, {"filters": (4, 4, 4), "kernels": (3, 3)}, "`kernels` has 2 numbers, and `filters`"),
        ("convolutional_2d", 16, {"filters": (4, 4, 4), "strides": (2, 1)}, "`strides` has 2 numbers, and `filters`"),
        ("stacked", 12, {"noises": (0.1, 0.2, 0.3)}, "`noises` has 3 numbers, and there are 2 layers"),
        ("adversarial", 12, {"classes": 12}, "`classes` is 12, and a row has 12 numbers"),
    ],
    ids=worded,
)
def test_options_that_do_not_fit_a_row_say_so_and_how_to_mend_it(name, width, options, said):
    with pytest.raises(ConfigError, match=said) as caught:
        built(name, width, **options)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("sparse", {"kind": "l2"}, "kind is 'l2': Input should be 'kl' or 'l1'"),
        ("sparse", {"wished": 1.0}, "wished is 1.0: Input should be less than 1"),
        ("robust", {"kernel_width": 0}, "kernel_width is 0: Input should be greater than 0"),
        ("recurrent", {"cell": "rnn"}, "cell is 'rnn': Input should be 'lstm' or 'gru'"),
        ("convolutional_2d", {"shape": [4, 4]}, r"shape is \[4, 4\]|shape.2"),
        ("convolutional_1d", {"strides": [0]}, "strides.0 is 0: Input should be greater than 0"),
        ("adversarial", {"classes": -1}, "classes is -1: Input should be greater than or equal to 0"),
        ("stacked", {"noises": [0.1, -1]}, "noises.1 is -1: Input should be greater than or equal to 0"),
    ],
    ids=worded,
)
def test_options_of_another_type_are_refused(name, options, said):
    with pytest.raises(ConfigError, match=said):
        family(name).with_options(options)


@pytest.mark.parametrize(
    ("name", "width", "options"),
    [
        ("convolutional_1d", 13, {"filters": (4, 6, 5), "strides": (2, 1, 3), "kernels": (3, 2, 4)}),
        ("convolutional_1d", 30, {"shape": (15, 2), "filters": (4, 4), "strides": (4,)}),
        ("convolutional_1d", 1, {}),
        ("convolutional_2d", 105, {"shape": (7, 5, 3), "filters": (4, 6), "strides": (2, 2), "kernels": (2, 3)}),
        ("convolutional_2d", 25, {"filters": (4,), "strides": (3,)}),
        ("convolutional_variational", 15, {"shape": (3, 5, 1), "filters": (4, 6)}),
        ("recurrent", 5, {"units": 4}),
        ("recurrent", 12, {"shape": (4, 3), "units": 4, "cell": "gru"}),
    ],
    ids=worded,
)
def test_rows_of_any_shape_come_back_in_it(name, width, options):
    network = built(name, width, **options)
    rows = np.random.default_rng(0).uniform(size=(3, width)).astype(np.float32)
    assert np.asarray(network.model(rows, training=False)).shape == (3, width)
    assert np.asarray(network.encoder(rows, training=False)).shape == (3, 3)


@pytest.mark.parametrize("options", [{}, {"cell": "gru"}], ids=["lstm", "gru"])
def test_a_series_is_the_same_to_a_recurrent_network_unrolled_or_in_a_loop(options, monkeypatch):
    from models import layers

    network = built("recurrent", shape=(4, 3), units=5, **options)
    monkeypatch.setattr(layers, "LONGEST_UNROLLED", 4)
    unrolled = network.model(FIT[:9], training=True)
    monkeypatch.setattr(layers, "LONGEST_UNROLLED", 3)
    np.testing.assert_allclose(network.model(FIT[:9], training=True), unrolled, atol=1e-6)
    np.testing.assert_allclose(network.model(FIT[:9], training=False), unrolled, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("denoising", {}),
        ("robust", {"noise": 0.2}),
        ("stacked", {"noise": 0.2}),
        ("variational", {}),
        ("dense", {"dropout": 0.3}),
        ("convolutional_1d", {"dropout": 0.3}),
        ("recurrent", {"dropout": 0.3, "units": 4, "shape": (4, 3)}),
    ],
    ids=worded,
)
def test_noise_acts_while_training_only(name, options):
    model = built(name, **options).model
    assert not np.array_equal(model(FIT, training=True), model(FIT, training=True))
    np.testing.assert_array_equal(model(FIT, training=False), model(FIT, training=False))


def test_a_tied_decoder_has_the_encoders_kernels_transposed_after_training():
    network, done = trained("dense", tied=True, hidden=(8, 6))
    sizes = [tuple(v.shape) for v in network.model.trainable_variables if v.name == "kernel"]
    assert sizes == [(12, 8), (8, 6), (6, 3)]
    free = sum(int(np.prod(v.shape)) for v in built("dense", hidden=(8, 6)).model.trainable_variables)
    assert len(done.weights) == free - (12 * 8 + 8 * 6 + 6 * 3)
    kernels = [np.asarray(v) for v in network.encoder.trainable_variables if v.name == "kernel"]
    biases = {v.shape[0]: np.asarray(v) for v in network.decoder.trainable_variables if v.name == "back_bias"}

    def silu(x):
        return x / (1 + np.exp(-x))

    codes = np.asarray(network.encoder(STOP, training=False))
    hidden = silu(silu(codes @ kernels[2].T + biases[6]) @ kernels[1].T + biases[8])
    np.testing.assert_allclose(
        network.decoder(codes, training=False), hidden @ kernels[0].T + biases[12], rtol=1e-4, atol=1e-5
    )


def test_a_code_wider_than_a_row_may_copy_it_unless_weight_decay_hinders_it():
    network, free = trained("dense", hidden=(), code=3 * WIDTH)
    decayed_network, decayed = trained("dense", hidden=(), code=3 * WIDTH, weight_decay=0.3)
    assert network.code == decayed_network.code == 3 * WIDTH
    mean = np.mean(np.square(FIT.mean(axis=0) - STOP))
    assert free.curve.held_out[-1] < 0.02 * mean
    assert free.curve.held_out[-1] < decayed.curve.held_out[-1] < 0.5 * mean
    assert np.square(decayed.weights).sum() < 0.7 * np.square(free.weights).sum()


def test_weight_decay_shrinks_kernels_and_spares_biases():
    norms = {}
    for decay in (0.0, 0.5):
        network, _ = trained("dense", weight_decay=decay)
        norms[decay] = [float(np.square(v).sum()) for v in network.model.trainable_variables if v.name == "kernel"]
    assert all(small < large for small, large in zip(norms[0.5], norms[0.0], strict=True))


@pytest.mark.parametrize(
    ("name", "options"),
    [("dense", {}), ("dense", {"tied": True}), ("convolutional_1d", {"filters": (4,)}), ("stacked", {})],
    ids=worded,
)
def test_batches_are_normalised_by_their_own_numbers_in_training_and_by_what_was_seen_else(name, options):
    network, _ = trained(name, batch_norm=True, **options)
    moving = [v for v in network.model.non_trainable_variables if v.name == "moving_mean"]
    assert moving
    assert all(np.abs(v).max() > 1e-3 for v in moving)
    shifted = STOP + 3
    alone = np.concatenate([network.model(row[None], training=False) for row in shifted[:3]])
    np.testing.assert_allclose(alone, network.model(shifted, training=False)[:3], atol=1e-4)
    assert not np.allclose(network.model(shifted, training=True)[:3], alone, atol=0.1)


def test_a_stronger_wish_for_sparsity_makes_fewer_units_answer():
    def active(strength):
        network, _ = trained("sparse", code=24, strength=strength, wished=0.05)
        return float(np.mean(network.encoder(STOP, training=False)))

    assert active(1.0) < 0.15
    assert active(0.0) > 0.3


def test_a_stronger_contraction_makes_codes_change_less_with_the_row():
    def change(strength):
        network, _ = trained("contractive", strength=strength)
        near = STOP + 0.01 * np.random.default_rng(0).normal(size=STOP.shape).astype(np.float32)
        here, there = (np.asarray(network.encoder(rows, training=False)) for rows in (STOP, near))
        return float(np.mean(np.square((there - here) / 0.01)))

    assert change(0.3) < 0.3 * change(0.0)


def test_the_class_passes_by_the_adversary_and_the_decoder_gets_it():
    network = built("adversarial", classes=4)
    rows = np.concatenate([FIT[:40, :8], np.eye(4, dtype=np.float32)[np.arange(40) % 4]], axis=1)
    other = np.concatenate([rows[:, :8], np.roll(rows[:, 8:], 1, axis=1)], axis=1)
    codes, other_codes = (np.asarray(network.encoder(each, training=False)) for each in (rows, other))
    assert (network.classes, network.code, network.has_prior) == (4, 3 + 4, True)
    np.testing.assert_array_equal(codes[:, 3:], rows[:, 8:])
    np.testing.assert_array_equal(codes[:, :3], other_codes[:, :3])
    given, other_given = (np.asarray(network.decoder(each, training=False)) for each in (codes, other_codes))
    np.testing.assert_array_equal(given[:, 8:], rows[:, 8:])
    assert not np.allclose(given[:, :8], other_given[:, :8])
    (layer,) = [each for each in network.encoder.layers if each.name == "adversary"]
    assert layer.parts[0].kernel.shape[0] == 3


def test_an_adversary_leads_codes_to_the_prior():
    budget = replace(BUDGET, epochs=40, patience=40, learning_rate=3e-3)
    network, _ = trained("adversarial", budget, code=2, strength=0.3)
    codes = np.asarray(network.encoder(STOP, training=False))
    np.testing.assert_allclose(codes.mean(axis=0), 0, atol=0.35)
    np.testing.assert_allclose(codes.std(axis=0), 1, atol=0.35)


def test_stacked_layers_are_trained_one_by_one_on_what_those_before_give():
    network = built("stacked", hidden=(8, 5), noises=(0.1, 0.2, 0.3))
    assert [stage.network.model.input_shape[-1] for stage in network.pretraining] == [12, 8, 5]
    assert network.pretraining[0].before is None
    for at, stage in enumerate(network.pretraining):
        noise = next(each for each in stage.network.model.layers if each.name == f"noise_{at}")
        assert noise.level == pytest.approx(0.1 * (at + 1))
        own = {id(v) for v in stage.network.model.trainable_variables}
        assert own <= {id(v) for v in network.model.trainable_variables}
    codes = network.pretraining[2].network.encoder(network.pretraining[2].before(STOP))
    np.testing.assert_allclose(codes, network.encoder(STOP), atol=1e-6)


def test_what_the_layers_learned_is_where_the_whole_starts():
    piece = Workpiece(built("stacked"), WIDTH)
    budget = replace(BUDGET, epochs=1)
    stacked = train(piece, FIT, STOP, budget, seed=1)
    plain = Workpiece(replace(piece.network, pretraining=()), WIDTH)
    assert stacked.curve.held_out[0] < 0.9 * train(plain, FIT, STOP, budget, seed=1).curve.held_out[0]
