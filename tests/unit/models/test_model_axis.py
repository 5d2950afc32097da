from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from models import model_axis
from models.families import family
from models.model_axis import Job, train_many
from models.networks import Stage
from models.program_of_many import room_for
from models.trainer import Budget, Trained, train
from models.workshop import Workpiece, Workshop
from schemas.errors import TrainingFailed

WIDTH = 6
BUDGET = Budget(epochs=5, patience=9, batch_size=16, learning_rate=1e-2, trim=0.0, seconds=600.0)
TOLERANCE = 1e-4


def made_rows(count, seed=0):
    """Rows that two hidden numbers decide, otherwise in each seed."""
    random = np.random.default_rng([seed, count])
    rows = np.tanh(random.normal(size=(count, 2)) @ np.random.default_rng(seed).normal(size=(2, WIDTH)))
    return (rows + random.normal(scale=0.05, size=rows.shape)).astype(np.float32)


def own_rows(*counts):
    """Jobs with rows of their own."""
    return [Job(made_rows(n, seed=at), made_rows(40 + at, seed=at), seed=10 + at) for at, n in enumerate(counts)]


@pytest.fixture(scope="module")
def workpiece():
    """Networks of this module by family and options, each built once."""
    workshop = Workshop()

    def of(name="dense", **options):
        options = {"hidden": (7,), "code": 2, **options}
        return workshop.workpiece(name, WIDTH, family(name).with_options(options))

    return of


def alone(piece, job, budget=BUDGET):
    rate = job.learning_rate or budget.learning_rate
    return train(piece, job.fit, job.stop, replace(budget, learning_rate=rate), seed=job.seed, start=job.start)


def assert_as_alone(piece, jobs, budget=BUDGET):
    """Train all together and each alone: the same; what came of them together."""
    together = train_many(piece, jobs, budget)
    for job, done in zip(jobs, together, strict=True):
        single = alone(piece, job, budget)
        np.testing.assert_allclose(done.weights, single.weights, atol=TOLERANCE)
        np.testing.assert_allclose(done.curve.loss, single.curve.loss, rtol=TOLERANCE)
        np.testing.assert_allclose(done.curve.held_out, single.curve.held_out, rtol=TOLERANCE)
        assert (done.curve.best, done.curve.ended, done.curve.trimmed) == (
            single.curve.best,
            single.curve.ended,
            single.curve.trimmed,
        )
        assert done.moved == pytest.approx(single.moved, rel=1e-3)
        for mine, its in zip(done.others, single.others, strict=True):
            np.testing.assert_allclose(mine, its, atol=TOLERANCE)
    return together


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("dense", {}),
        ("dense", {"batch_norm": True, "weight_decay": 0.01, "loss": "huber"}),
        ("dense", {"tied": True, "activation": "relu"}),
        ("dense", {"dropout": 0.2}),
        ("denoising", {}),
        ("denoising", {"corruption": "salt_and_pepper"}),
        ("variational", {}),
        ("sparse", {}),
        ("robust", {"dropout": 0.1}),
    ],
    ids=lambda value: " ".join(map(str, value.items())) if isinstance(value, dict) else value,
)
def test_models_with_rows_of_their_own_become_what_they_would_alone(workpiece, name, options):
    together = assert_as_alone(workpiece(name, **options), own_rows(190, 170, 163), replace(BUDGET, epochs=3))
    assert not np.array_equal(together[0].weights, together[1].weights)


@pytest.mark.parametrize("name", ["adversarial", "contractive", "denoising", "robust", "sparse", "variational"])
def test_no_operation_goes_from_model_to_model(workpiece, name, monkeypatch):
    import tensorflow as tf

    monkeypatch.setattr(tf, "vectorized_map", partial(tf.vectorized_map, fallback_to_while_loop=False))
    piece = workpiece(name, hidden=(3,), dropout=0.1)
    assert all(isinstance(done, Trained) for done in train_many(piece, own_rows(60, 60), replace(BUDGET, epochs=1)))


def test_members_of_an_ensemble_share_their_rows_and_differ_by_their_seed(workpiece):
    fit, stop = made_rows(150), made_rows(50)
    together = assert_as_alone(workpiece("denoising"), [Job(fit, stop, seed) for seed in (1, 2, 3)])
    assert len({done.weights.tobytes() for done in together}) == 3


def test_candidates_differ_by_their_rate_and_their_start(workpiece):
    piece, (job,) = workpiece(), own_rows(180)
    earlier = alone(piece, job)
    start = earlier.weights, earlier.others
    jobs = [job, replace(job, learning_rate=3e-3), replace(job, start=start), replace(job, fit=job.fit[:162])]
    together = assert_as_alone(piece, jobs)
    assert together[2].curve.loss[0] < together[0].curve.loss[0] / 2


def test_each_has_its_own_tail(workpiece):
    jobs = own_rows(160, 200)
    jobs[1].fit[:4] *= 30
    assert_as_alone(workpiece(), jobs, replace(BUDGET, epochs=8, trim=0.02))


@pytest.fixture
def early_stops():
    """Jobs and a budget with which some end soon, for a rate that helps nothing."""
    jobs = [replace(job, learning_rate=1e-12 if at % 3 else None) for at, job in enumerate(own_rows(*[160] * 7))]
    return jobs, replace(BUDGET, epochs=7, patience=2)


def test_those_that_end_early_leave_the_others_as_they_are(workpiece, early_stops):
    together = assert_as_alone(workpiece("denoising", noise=0.01), *early_stops)
    assert [done.curve.ended for done in together].count("patience") == 4
    assert [len(done.curve.loss) for done in together].count(7) == 3


def test_a_program_gets_smaller_when_half_of_it_has_ended(workpiece, early_stops, monkeypatch):
    piece = workpiece()
    sizes, real = [], piece.program_of_many.epoch
    monkeypatch.setattr(
        piece.program_of_many, "epoch", lambda state, *rest: sizes.append(len(state.steps)) or real(state, *rest)
    )
    train_many(piece, *early_stops)
    assert sizes == [7, 7, 7, 3, 3, 3, 3]


def test_what_does_not_fit_into_memory_goes_in_blocks(workpiece, monkeypatch):
    jobs = own_rows(190, 170, 163, 180)
    monkeypatch.setattr(model_axis, "MOST_NUMBERS", 350 * WIDTH)
    assert model_axis._blocks(jobs, BUDGET) == [[2, 1], [3], [0]]
    assert_as_alone(workpiece(), jobs)


def test_samples_of_other_sizes_of_batch_train_by_themselves(workpiece):
    jobs = own_rows(700, 90)
    assert len(model_axis._blocks(jobs, BUDGET)) == 2
    assert_as_alone(workpiece(), jobs, replace(BUDGET, epochs=2))


def test_a_job_that_runs_away_fails_alone(workpiece):
    piece, jobs = workpiece(), own_rows(160, 160, 160)
    jobs[1] = replace(jobs[1], learning_rate=1e30)
    first, failed, third = train_many(piece, jobs, BUDGET)
    assert isinstance(failed, TrainingFailed)
    assert "not finite after epoch 1" in failed.message
    for job, done in ((jobs[0], first), (jobs[2], third)):
        np.testing.assert_allclose(done.weights, alone(piece, job).weights, atol=TOLERANCE)


def test_a_job_whose_rows_are_not_the_losses_fails_alone(workpiece):
    jobs = own_rows(160, 160)
    jobs[0] = replace(jobs[0], fit=(jobs[0].fit + 2) / 4, stop=(jobs[0].stop + 2) / 4)
    done, failed = train_many(workpiece(loss="binary_crossentropy"), jobs, BUDGET)
    assert isinstance(done, Trained)
    assert "needs values within 0 and 1" in failed.message


@pytest.mark.parametrize("late", ["fail", "stop"])
def test_late_all_end(workpiece, late):
    done = train_many(workpiece(), own_rows(160, 170), replace(BUDGET, seconds=0.0, late=late))
    if late == "fail":
        assert all("its safety stop of 0 s in epoch 1 of 5" in each.message for each in done)
    else:
        assert [(each.curve.ended, len(each.curve.loss)) for each in done] == [("seconds", 1)] * 2


def test_a_bound_on_rows_counts_for_each(workpiece):
    done = train_many(workpiece(), own_rows(160, 100), replace(BUDGET, rows=300))
    assert [(each.curve.ended, len(each.curve.loss)) for each in done] == [("rows", 2), ("rows", 3)]


def test_epochs_are_told_with_the_mean_of_all(workpiece):
    told = []
    done = train_many(workpiece(), own_rows(160, 170), BUDGET, progress=lambda *each: told.append(each))
    assert [each[0] for each in told] == [1, 2, 3, 4, 5]
    assert told[-1][2] == pytest.approx(np.mean([each.curve.held_out[-1] for each in done]))


def test_without_jobs_there_is_nothing(workpiece):
    assert train_many(workpiece(), [], BUDGET) == []


def test_a_network_trained_part_by_part_is_refused(workpiece):
    piece = workpiece()
    whole = replace(piece.network, pretraining=(Stage(None, piece.network),))
    with pytest.raises(TrainingFailed, match="has no model axis"):
        train_many(Workpiece(whole, WIDTH), own_rows(160), BUDGET)


def test_fleets_of_one_shape_share_one_trace(workpiece):
    piece = workpiece(hidden=(4,))
    for count in (9, 10, 10):
        train_many(piece, own_rows(*[150] * count), replace(BUDGET, epochs=2))
    assert piece.program_of_many.traces == 2  # an epoch, and row losses


def test_there_are_few_sizes_of_programs_and_little_idle_room():
    rooms = [room_for(models) for models in range(1, 1001)]
    assert rooms[:10] == [1, 2, 3, 4, 5, 6, 7, 8, 10, 10]
    assert all(models <= room <= 1.25 * models for models, room in enumerate(rooms, start=1))
    assert len(set(rooms)) < 40


@pytest.mark.parametrize("name", ["dense", "denoising", "variational"])
def test_first_weights_are_the_same_for_many_as_for_one(workpiece, name):
    piece = workpiece(name, batch_norm=True)
    weights, others = piece.first_weights_of([3, 8])
    for at, seed in enumerate((3, 8)):
        alone, its_others = piece.first_weights(seed)
        np.testing.assert_array_equal(weights[at], alone)
        assert all(np.array_equal(each[at], its) for each, its in zip(others, its_others, strict=True))
