"""What holds for each registered family: it learns, repeats itself, and can be taken elsewhere."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from models.families import family, names
from models.keras_archive import archive
from models.model_axis import Job, train_many
from models.onnx_export import export_network
from models.scoring import Reconstructor
from models.trainer import Budget, Trained, train
from models.workshop import Workpiece
from schemas.errors import TrainingFailed

WIDTH = 16
BUDGET = Budget(epochs=12, patience=12, batch_size=32, learning_rate=1e-2, trim=0.0, seconds=600.0)
SMALL = {"hidden": (24,), "code": 4}
OWN = {
    "adversarial": {"adversary": (8,), "strength": 0.01},
    "contractive": {"strength": 0.001},
    "convolutional_1d": {"filters": (8,), "hidden": ()},
    "convolutional_2d": {"filters": (8,), "hidden": ()},
    "convolutional_variational": {"filters": (8,), "hidden": (), "beta": 0.1},
    "denoising": {"noise": 0.05},
    "recurrent": {"hidden": (), "units": 16, "shape": (4, 4)},
    "robust": {"noise": 0.05},
    "sparse": {"strength": 0.001},
    "stacked": {"noises": (0.05,)},
    "variational": {"beta": 0.01},
}
ON_THE_AXIS = ["adversarial", "contractive", "robust", "sparse"]  # beside those of test_model_axis.py


def made_rows(count, seed=0):
    """Rows within 0 and 1 that two hidden numbers decide."""
    random = np.random.default_rng(seed)
    rows = 0.5 + 0.4 * np.tanh(random.normal(size=(count, 2)) @ np.random.default_rng(9).normal(size=(2, WIDTH)))
    return np.clip(rows + random.normal(scale=0.02, size=rows.shape), 0, 1).astype(np.float32)


FIT, STOP = made_rows(640, seed=1), made_rows(160, seed=2)


def workpiece(name):
    chosen = family(name)
    return Workpiece(chosen.build(WIDTH, chosen.with_options({**SMALL, **OWN.get(name, {})})), WIDTH)


@dataclass(frozen=True)
class Made:
    """A family's network after its training."""

    name: str
    piece: Workpiece
    result: Trained

    @property
    def network(self):
        return self.piece.network

    def of(self, part: str) -> tuple[Any, Any]:
        """A Keras model and what it is given."""
        network = self.network
        return {
            "model": (network.model, STOP),
            "encoder": (network.encoder, STOP),
            "decoder": (network.decoder, np.asarray(network.encoder(STOP, training=False))),
        }[part]


@pytest.fixture(scope="module", params=names())
def made(request):
    piece = workpiece(request.param)
    return Made(request.param, piece, train(piece, FIT, STOP, BUDGET, seed=1))


def test_it_reconstructs_rows_that_it_never_saw_better_than_their_mean(made):
    found = np.asarray(made.network.model(STOP, training=False))
    assert found.shape == STOP.shape
    assert np.mean(np.square(found - STOP)) < 0.5 * np.mean(np.square(FIT.mean(axis=0) - STOP))
    assert made.result.curve.held_out[-1] < made.result.curve.held_out[0]


def test_training_moves_each_weight_that_it_trains(made):
    before, _ = made.piece.first_weights(1)
    made.piece.load(made.result.weights, made.result.others)
    assert made.result.moved > 0
    sizes = np.cumsum([int(np.prod(v.shape)) for v in made.network.model.trainable_variables])[:-1]
    pairs = zip(np.split(before, sizes), np.split(made.result.weights, sizes), strict=True)
    moved = [bool(np.any(old != new)) for old, new in pairs]
    assert all(moved), [
        v.path for v, has_moved in zip(made.network.model.trainable_variables, moved, strict=True) if not has_moved
    ]


def test_the_same_seed_gives_the_same_weights_in_a_network_built_anew(made):
    again = train(workpiece(made.name), FIT, STOP, BUDGET, seed=1)
    assert np.array_equal(again.weights, made.result.weights)
    assert again.curve == made.result.curve


def test_each_random_first_weight_comes_from_the_seed(made):
    one, same, other = (workpiece(made.name).first_weights(seed)[0] for seed in (3, 3, 4))
    assert np.array_equal(one, same)
    sizes = np.cumsum([int(np.prod(v.shape)) for v in made.network.model.trainable_variables])[:-1]
    for variable, first, second in zip(
        made.network.model.trainable_variables, np.split(one, sizes), np.split(other, sizes), strict=True
    ):
        is_constant = np.ptp(first) == 0 or variable.name == "bias"
        assert is_constant or not np.isclose(first, second, atol=1e-9).any(), variable.path


def test_the_whole_is_its_encoder_and_its_decoder(made):
    decoder, codes = made.of("decoder")
    assert codes.shape == (len(STOP), made.network.code)
    np.testing.assert_array_equal(decoder(codes, training=False), made.network.model(STOP, training=False))


def test_its_three_graphs_give_what_keras_gives(made):
    for part, graph in zip(("model", "encoder", "decoder"), export_network(made.network, STOP), strict=True):
        model, given = made.of(part)
        expected = np.asarray(model(given, training=False))
        run = Reconstructor(graph)
        np.testing.assert_allclose(run(given), expected, rtol=1e-4, atol=2e-6)
        np.testing.assert_array_equal(run(given[:1]), run(given)[:1])


@pytest.mark.parametrize("part", ["model", "encoder", "decoder"])
def test_a_keras_archive_of_it_opens_in_safe_mode_and_gives_the_same(made, part, tmp_path):
    import keras

    model, given = made.of(part)
    path = tmp_path / "weights.keras"
    path.write_bytes(archive(model))
    opened = keras.saving.load_model(path, safe_mode=True)
    np.testing.assert_array_equal(opened(given, training=False), model(given, training=False))


@pytest.mark.parametrize("name", ON_THE_AXIS)
def test_trained_beside_others_it_becomes_what_it_would_alone(name):
    piece = workpiece(name)
    # An adversary in a tug of war doubles a rounding each few steps: after one epoch it still is a rounding.
    budget = replace(BUDGET, epochs=1)
    jobs = [Job(FIT[at::3], STOP, seed=at) for at in range(3)]
    for job, together in zip(jobs, train_many(piece, jobs, budget), strict=True):
        alone = train(piece, job.fit, job.stop, budget, seed=job.seed)
        np.testing.assert_allclose(together.weights, alone.weights, atol=1e-4)
        assert together.curve.held_out == pytest.approx(alone.curve.held_out, rel=1e-4)


def test_a_family_that_is_trained_in_parts_is_not_trained_beside_others():
    with pytest.raises(TrainingFailed, match="part by part has no model axis"):
        train_many(workpiece("stacked"), [Job(FIT, STOP, seed=1)], BUDGET)
