from __future__ import annotations

import numpy as np
import pytest

from models.neighbours import Neighbours, fit_neighbours
from models.ranks import SCALE, fit_ranks

ROWS = np.random.default_rng(0).normal(size=(700, 6)).astype(np.float32)
OTHERS = np.random.default_rng(1).normal(size=(1_500, 6)).astype(np.float32) * 2


def plainly(reference, rows, count):
    """Mean distance to the nearest reference rows, the slow way."""
    distances = np.sqrt(np.square(rows[:, None].astype(np.float64) - reference[None]).sum(axis=2))
    return np.sort(distances, axis=1)[:, :count].mean(axis=1)


@pytest.mark.parametrize("most", [700, 90, 7], ids=["many", "some", "hardly more than counted"])
def test_the_nearest_rows_are_found_as_by_looking_at_all(most):
    neighbours, places = fit_neighbours(ROWS, 5, most, seed=3)
    bend = fit_ranks(ROWS).bend
    assert np.array_equal(neighbours.reference, bend(ROWS[places >= 0]))
    far, parts = neighbours.terms(OTHERS)
    assert far == pytest.approx(plainly(neighbours.reference, bend(OTHERS), 5), rel=1e-5)
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
    with_itself, _ = neighbours.terms(ROWS)
    without, _ = neighbours.terms(ROWS, of=places)
    among, left = places >= 0, places < 0
    assert (without[among] > with_itself[among]).all()
    assert (without[left] == with_itself[left]).all()
    # What a row of the reference gets without itself is what a fresh one gets.
    assert np.median(without[among]) == pytest.approx(np.median(without[left]), rel=0.15)


def test_a_row_gets_the_same_alone_and_among_many():
    neighbours, _ = fit_neighbours(ROWS, 5, 400, seed=3)
    whole, parts = neighbours.terms(OTHERS)
    assert np.array_equal(neighbours.terms(OTHERS[1_100:1_101])[0], whole[1_100:1_101])
    assert np.array_equal(neighbours.terms(OTHERS[::3])[1], parts[::3])


def test_centroids_are_no_rows():
    neighbours, places = fit_neighbours(ROWS, 5, 400, seed=3, kind="centroids")
    assert (places == -1).all()
    assert 5 < len(neighbours.reference) <= 140
    alike = (neighbours.reference[:, None] == neighbours.ranks.bend(ROWS)[None]).all(axis=2)
    assert not alike.any()


@pytest.mark.parametrize("times", [1, 3], ids=["one", "its equals"])
def test_a_row_far_from_all_is_no_centroid_either(times):
    alone = np.repeat(np.diag([50.0] * 6).astype(np.float32), times, axis=0)
    rows = np.concatenate([ROWS, alone])
    neighbours, _ = fit_neighbours(rows, 5, 400, seed=3, kind="centroids")
    bent = neighbours.ranks.bend(rows)
    nearest = np.sqrt(np.square(neighbours.reference[:, None] - bent[None]).sum(axis=2)).min(axis=1)
    assert nearest.min() > 1e-3


def test_equal_rows_are_no_distance_and_no_error():
    same = np.ones((40, 3), np.float32)
    neighbours, _ = fit_neighbours(same, 5, 40, seed=0)
    far, parts = neighbours.terms(np.concatenate([same, same + 1]))
    assert np.isfinite(far).all()
    assert far[:40].max() == 0
    assert far[40:] == pytest.approx(SCALE * np.sqrt(3))
    assert parts[:40].sum() == 0


def test_few_rows_have_fewer_neighbours():
    neighbours, _ = fit_neighbours(ROWS[:3], 5, 400, seed=0)
    assert neighbours.count == 2
    assert isinstance(neighbours, Neighbours)
    assert np.isfinite(neighbours.terms(OTHERS[:10])[0]).all()


def test_a_tail_does_not_hide_what_is_below_all():
    rows = np.exp(2 * ROWS)
    rows /= rows.std(axis=0)
    neighbours, _ = fit_neighbours(rows, 5, 400, seed=3)
    below = rows[:50].copy()
    below[:, 4] = -below[:, 4]  # near to many on the scale
    far, _ = neighbours.terms(below)
    plain = plainly(rows[:400], below, 5) / np.median(plainly(rows[:400], rows[400:], 5))
    assert np.median(plain) < 1.1
    assert np.median(far) > 1.25 * np.median(neighbours.terms(rows[400:])[0])


def test_a_seed_may_be_larger_than_centroids_take():
    neighbours, _ = fit_neighbours(ROWS, 5, 400, seed=2**40 + 3, kind="centroids")
    assert np.isfinite(neighbours.reference).all()
