from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from models.checkpoint import Checkpoints
from models.families import family, names
from models.row_source import ParquetRows
from models.trainer import Budget, bounded_pull, train, trimmed_mean
from models.workshop import Workshop
from schemas.errors import TrainingFailed

WIDTH = 8
BUDGET = Budget(epochs=6, patience=9, batch_size=32, learning_rate=1e-2, trim=0.0, seconds=600.0)


def made_rows(count, seed=0):
    """Rows that two hidden numbers decide."""
    random = np.random.default_rng(seed)
    rows = np.tanh(random.normal(size=(count, 2)) @ np.random.default_rng(9).normal(size=(2, WIDTH)))
    return (rows + random.normal(scale=0.05, size=rows.shape)).astype(np.float32)


FIT, STOP = made_rows(640, seed=1), made_rows(200, seed=2)


@pytest.fixture(scope="module")
def workpiece():
    """Networks of this module by family and options, each built once."""
    workshop = Workshop()

    def of(name="dense", **options):
        options = {"hidden": (12,), "code": 2, **options}
        return workshop.workpiece(name, WIDTH, family(name).with_options(options))

    return of


@pytest.fixture(scope="module")
def piece(workpiece):
    return workpiece()


def trained(piece, budget=BUDGET, fit=FIT, stop=STOP, seed=1, **rest):
    return train(piece, fit, stop, budget, seed=seed, **rest)


class Stopped(Exception):
    pass


def stop_in(last):
    """Progress that ends a training in that epoch."""

    def progress(epoch, *_):
        if epoch == last:
            raise Stopped

    return progress


def assert_same(one, other):
    np.testing.assert_array_equal(one.weights, other.weights)
    assert one.curve.loss == other.curve.loss
    assert one.curve.held_out == other.curve.held_out


def test_it_learns_and_leaves_its_best_weights_in_the_network(piece):
    done = trained(piece)
    assert done.curve.held_out[-1] < done.curve.held_out[0] / 2
    assert done.moved > 0
    left = np.mean(np.square(STOP - np.asarray(piece.network.model(STOP))))
    assert left == pytest.approx(done.curve.held_out[done.curve.best], rel=1e-5)


def test_all_epochs_are_done_and_told(piece):
    told = []
    done = trained(piece, progress=lambda *each: told.append(each))
    assert done.curve.ended == "epochs"
    assert told == list(zip(range(1, 7), done.curve.loss, done.curve.held_out, strict=True))


def test_a_bound_on_rows_ends_it_behind_the_epoch_that_reaches_it(piece):
    done = trained(piece, replace(BUDGET, rows=3 * len(FIT) - 1))
    assert (len(done.curve.loss), done.curve.ended) == (3, "rows")


def test_late_it_fails_and_says_where(piece):
    with pytest.raises(TrainingFailed, match="its safety stop of 0 s in epoch 1 of 6"):
        trained(piece, replace(BUDGET, seconds=0.0))


def test_late_it_stops_with_the_best_so_far_where_that_is_asked_for(piece):
    done = trained(piece, replace(BUDGET, seconds=0.0, late="stop"))
    assert (len(done.curve.loss), done.curve.ended) == (1, "seconds")
    assert done.moved > 0


def test_without_a_better_epoch_it_stops_when_patience_ends(piece):
    done = trained(piece, replace(BUDGET, epochs=50, patience=3, learning_rate=0.0))
    assert (len(done.curve.loss), done.curve.best, done.curve.ended) == (4, 0, "patience")


def test_a_seed_repeats_exactly_and_another_differs(workpiece):
    for piece in (workpiece("denoising", dropout=0.1), workpiece("variational")):
        first, again, other = (trained(piece, replace(BUDGET, epochs=2), seed=seed) for seed in (1, 1, 2))
        assert_same(first, again)
        assert not np.array_equal(first.weights, other.weights)


def test_first_weights_follow_from_the_seed_in_a_network_that_trained_before(workpiece):
    piece = workpiece("denoising", batch_norm=True)
    before = piece.first_weights(5)
    trained(piece, replace(BUDGET, epochs=1))
    after = piece.first_weights(5)
    np.testing.assert_array_equal(before[0], after[0])
    assert all(np.array_equal(*pair) for pair in zip(before[1], after[1], strict=True))
    assert not np.array_equal(before[0], piece.first_weights(6)[0])


def test_a_warm_start_begins_lower(piece):
    earlier = trained(piece)
    start = earlier.weights, earlier.others
    warm = trained(piece, replace(BUDGET, epochs=2), seed=2, start=start)
    cold = trained(piece, replace(BUDGET, epochs=2), seed=2)
    assert warm.curve.loss[0] < cold.curve.loss[0] / 2
    assert warm.moved < cold.moved


def test_the_pull_of_the_worst_rows_is_bounded(piece):
    odd = FIT.copy()
    odd[:13] = 40.0 * np.random.default_rng(3).normal(size=(13, WIDTH))
    budget = replace(BUDGET, epochs=12, trim=0.02)
    bounded, free = (trained(piece, each, fit=odd) for each in (budget, replace(budget, trim=0.0)))
    assert (bounded.curve.trimmed, free.curve.trimmed) == (12, 0)
    assert bounded.curve.held_out[-1] < free.curve.held_out[-1]


def test_a_bounded_row_pulls_no_more_than_the_row_at_the_edge():
    losses = np.array([1.0, 2.0, 3.0, 4.0, 40.0], np.float32)
    pulls = bounded_pull(losses, 0.2)
    np.testing.assert_allclose(pulls, [1, 1, 1, 1, 0.1])
    np.testing.assert_array_equal(bounded_pull(np.zeros(5, np.float32), 0.2), np.ones(5))
    assert trimmed_mean(losses, 0.2) == 2.5


@pytest.mark.parametrize(("rows", "batch"), [(10_000, 32), (640, 16), (50, 1), (1, 1)])
def test_a_small_sample_gets_small_batches(rows, batch):
    assert BUDGET.batch(rows) == batch


def test_a_loss_that_is_not_finite_fails(piece):
    with pytest.raises(TrainingFailed, match="not finite after epoch 1"):
        trained(piece, replace(BUDGET, learning_rate=1e30))


@pytest.mark.parametrize("part", ["fit", "stop"])
def test_rows_that_are_not_the_losses_are_refused(workpiece, part):
    rows = {"fit": (FIT + 2) / 4, "stop": (STOP + 2) / 4, part: FIT + 2}
    with pytest.raises(TrainingFailed, match="binary_crossentropy needs values within 0 and 1"):
        trained(workpiece(loss="binary_crossentropy"), **rows)


def test_weight_decay_makes_weights_smaller(workpiece, piece):
    decayed = trained(workpiece(weight_decay=0.3))
    assert np.linalg.norm(decayed.weights) < 0.9 * np.linalg.norm(trained(piece).weights)


def test_trainings_of_one_shape_share_one_trace(workpiece):
    piece = workpiece(hidden=(5,))
    for seed in range(4):
        trained(piece, replace(BUDGET, epochs=2, learning_rate=1e-3 * (seed + 1)), seed=seed)
    assert piece.program.traces == 2  # an epoch, and row losses


def test_a_shape_is_built_once(workpiece):
    assert workpiece() is workpiece()
    assert workpiece() is not workpiece(code=3)


def test_a_workshop_forgets_what_was_not_used_for_longest():
    workshop = Workshop(most=2)
    configs = [family("dense").with_options({"hidden": (3,), "code": code}) for code in (1, 2, 3)]
    first, second = (workshop.workpiece("dense", 4, config) for config in configs[:2])
    assert workshop.workpiece("dense", 4, configs[0]) is first
    workshop.workpiece("dense", 4, configs[2])
    assert workshop.workpiece("dense", 4, configs[0]) is first
    assert workshop.workpiece("dense", 4, configs[1]) is not second


@pytest.fixture
def checkpoints(tmp_path):
    return lambda: Checkpoints(tmp_path / "checkpoints", "this training", 0)


def test_a_stopped_training_goes_on_to_the_same_weights(workpiece, checkpoints):
    piece, budget = workpiece("denoising", batch_norm=True), replace(BUDGET, trim=0.02)
    undisturbed = trained(piece, budget)
    for last in (2, 5):
        with pytest.raises(Stopped):
            trained(piece, budget, checkpoints=checkpoints(), progress=stop_in(last))
        trained(piece, budget, seed=7)  # what the networks hold meanwhile does not matter
    told = []
    again = trained(piece, budget, checkpoints=checkpoints(), progress=lambda epoch, *_: told.append(epoch))
    assert told == [5, 6]
    assert_same(again, undisturbed)
    assert again.curve.seconds_before > 0


@pytest.fixture
def parquet(tmp_path):
    """The fit rows in two files."""
    names = [f"x{at}" for at in range(WIDTH)]
    for at, part in enumerate(np.split(FIT, 2)):
        table = pa.table({name: part[:, column] for column, name in enumerate(names)})
        pq.write_table(table, tmp_path / f"{at}.parquet", row_group_size=40)
    return ParquetRows([tmp_path / "0.parquet", tmp_path / "1.parquet"], names, chunk_rows=160)


def test_rows_in_chunks_from_parquet_train_as_well_as_in_memory(piece, parquet):
    budget = replace(BUDGET, epochs=15, trim=0.02)
    streamed, in_memory = trained(piece, budget, fit=parquet), trained(piece, budget)
    assert streamed.curve.held_out[-1] == pytest.approx(in_memory.curve.held_out[-1], rel=0.1)
    assert streamed.curve.trimmed == in_memory.curve.trimmed == 12
    assert_same(streamed, trained(piece, budget, fit=parquet))


def test_a_streamed_training_that_was_stopped_goes_on_to_the_same_weights(piece, parquet, checkpoints):
    undisturbed = trained(piece, fit=parquet)
    with pytest.raises(Stopped):
        trained(piece, fit=parquet, checkpoints=checkpoints(), progress=stop_in(4))
    assert_same(trained(piece, fit=parquet, checkpoints=checkpoints()), undisturbed)


@pytest.mark.parametrize("name", names())
def test_a_family_says_of_its_networks_whether_they_have_a_prior(name):
    network = Workshop().workpiece(name, 64, family(name).config()).network
    assert network.has_prior == family(name).prior
