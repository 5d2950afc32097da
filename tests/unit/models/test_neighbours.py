from __future__ import annotations

import numpy as np
import pytest

from models.neighbours import Neighbours, fit_neighbours
from models.ranks import fit_ranks

ROWS = np.random.default_rng(0).normal(size=(700, 6)).astype(np.float32)
OTHERS = np.random.default_rng(1).normal(size=(1_500, 6)).astype(np.float32) * 2


def plainly(reference, rows, count, *, without_itself=False):
    """Distances to the nearest reference rows, and which these are, the slow way."""
    distances = np.sqrt(np.square(rows[:, None].astype(np.float64) - reference[None]).sum(axis=2))
    if without_itself:
        np.fill_diagonal(distances, np.inf)
    nearest = np.argsort(distances, axis=1)[:, :count]
    return np.take_along_axis(distances, nearest, axis=1), nearest


@pytest.mark.parametrize("most", [700, 90, 7], ids=["many", "some", "hardly more than counted"])
def test_the_nearest_rows_are_found_as_by_looking_at_all(most):
    neighbours, _ = fit_neighbours(ROWS, 5, most, seed=3)
    spread = plainly(neighbours.reference, neighbours.reference, 5, without_itself=True)[0].mean(axis=1)
    assert neighbours.spread[:, 0] == pytest.approx(spread, rel=1e-6)
    distances, nearest = plainly(neighbours.reference, OTHERS, 5)
    floor = np.median(spread) * 0.1
    expected = distances.mean(axis=1) ** 1.5 / np.sqrt(spread[nearest].mean(axis=1) + floor)
    far, parts = neighbours.terms(OTHERS)
    assert far.shape == (1, 1_500)
    assert far[0] == pytest.approx(expected, rel=1e-5)
    assert parts.sum(axis=1) == pytest.approx(1.0)


def test_a_strange_row_is_farther_than_all_usual_ones():
    neighbours, _ = fit_neighbours(ROWS, 5, 700, seed=3)
    fresh = np.random.default_rng(5).normal(size=(500, 6)).astype(np.float32)
    far, _ = neighbours.terms(fresh)
    assert neighbours.terms(fresh + 8)[0].min() > far.max()


def test_what_is_far_in_one_column_has_its_part_there():
    neighbours, _ = fit_neighbours(ROWS, 5, 700, seed=3)
    odd = ROWS[:20].copy()
    odd[:, 2] += 9
    _, parts = neighbours.terms(odd)
    assert (parts.argmax(axis=1) == 2).all()
    assert parts[:, 2].min() > 0.5


def test_a_row_of_the_reference_is_no_neighbour_of_itself():
    neighbours, places = fit_neighbours(ROWS, 5, 400, seed=3)
    assert (places >= 0).sum() == 400
    with_itself = neighbours.terms(ROWS)[0][0]
    without = neighbours.terms(ROWS, of=places)[0][0]
    among, left = places >= 0, places < 0
    assert (without[among] > with_itself[among]).all()
    assert (without[left] == with_itself[left]).all()
    # What a row of the reference gets without itself is what a fresh one gets.
    assert np.median(without[among]) == pytest.approx(np.median(without[left]), rel=0.15)


def test_a_row_gets_the_same_alone_and_among_many():
    neighbours, _ = fit_neighbours(ROWS, 5, 400, seed=3)
    whole, parts = neighbours.terms(OTHERS)
    assert np.array_equal(neighbours.terms(OTHERS[1_100:1_101])[0], whole[:, 1_100:1_101])
    assert np.array_equal(neighbours.terms(OTHERS[::3])[1], parts[::3])


def test_centroids_are_no_rows():
    neighbours, places = fit_neighbours(ROWS, 5, 400, seed=3, kind="centroids")
    assert (places == -1).all()
    assert 5 < len(neighbours.reference) <= 140
    alike = (neighbours.reference[:, None] == ROWS[None]).all(axis=2)
    assert not alike.any()


@pytest.mark.parametrize("times", [1, 3], ids=["one", "its equals"])
def test_a_row_far_from_all_is_no_centroid_either(times):
    alone = np.repeat(np.diag([50.0] * 6).astype(np.float32), times, axis=0)
    rows = np.concatenate([ROWS, alone])
    neighbours, _ = fit_neighbours(rows, 5, 400, seed=3, kind="centroids")
    nearest = np.sqrt(np.square(neighbours.reference[:, None] - rows[None]).sum(axis=2)).min(axis=1)
    assert nearest.min() > 1e-3


def test_equal_rows_are_no_distance_and_no_error():
    same = np.ones((40, 3), np.float32)
    neighbours, _ = fit_neighbours(same, 5, 40, seed=0)
    far, parts = neighbours.terms(np.concatenate([same, same + 1]))
    assert np.isfinite(far).all()
    assert far[0, :40].max() == 0
    assert far[0, 40:].min() > 1
    assert parts[:40].sum() == 0


def test_few_rows_have_fewer_neighbours():
    neighbours, _ = fit_neighbours(ROWS[:3], 5, 400, seed=0)
    assert neighbours.count == 2
    assert isinstance(neighbours, Neighbours)
    assert np.isfinite(neighbours.terms(OTHERS[:10])[0]).all()


def test_ranks_are_a_view_of_their_own_and_their_part_is_the_columns():
    rows = np.exp(2 * ROWS)
    ranks = fit_ranks(rows)
    neighbours, _ = fit_neighbours(rows, 5, 400, seed=3, ranks=ranks)
    assert neighbours.reference.shape == (400, 12)
    odd = rows[:50].copy()
    odd[:, 4] = -odd[:, 4]  # below all, and near to many on the scale
    far, parts = neighbours.terms(odd)
    usual, _ = neighbours.terms(rows)
    assert parts.shape == (50, 6)
    assert parts.sum(axis=1) == pytest.approx(2.0)
    rises = np.median(far, axis=1) / np.median(usual, axis=1)
    assert rises[1] > rises[0]


def test_without_a_number_that_varies_there_is_no_view_by_rank():
    same = np.ones((40, 3), np.float32)
    neighbours, _ = fit_neighbours(same, 5, 40, seed=0, ranks=fit_ranks(same))
    assert neighbours.ranks is None
    assert neighbours.spread.shape == (40, 1)


def test_a_seed_may_be_larger_than_centroids_take():
    neighbours, _ = fit_neighbours(ROWS, 5, 400, seed=2**40 + 3, kind="centroids")
    assert np.isfinite(neighbours.reference).all()
