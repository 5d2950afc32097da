"""The distance of codes: nothing between nights of one source, something where their codes differ."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.code_distance import code_distances


def nights(count, rows=200, width=4, seed=0):
    random = np.random.default_rng(seed)
    return [random.normal(size=(rows, width)).astype(np.float32) for _ in range(count)]


def distances(codes):
    return code_distances([half for night in codes for half in (night[::2], night[1::2])])


def test_it_is_the_energy_distance_over_twice_the_mean_distance_across():
    first, second = nights(2, rows=40)
    second = second + np.float32(0.7)
    found = distances([first, second]).between([0], [1])
    both = np.concatenate([first, second]).astype(np.float64)
    low, middle, high = np.quantile(both, [0.25, 0.5, 0.75], axis=0)
    a, b = ((part - middle) / ((high - low) / 1.349) for part in (first, second))

    def mean(x, y, pairs):
        return np.sqrt(np.square(x[:, None] - y[None]).sum(axis=2)).sum() / pairs

    across, within = mean(a, b, 1600), (mean(a, a, 40 * 39), mean(b, b, 40 * 39))
    assert found == pytest.approx((2 * across - sum(within)) / (2 * across), abs=1e-4)


def test_nights_of_one_source_lie_at_no_distance_beyond_chance():
    found = distances(nights(12))
    rest = [[other for other in range(12) if other != at] for at in range(12)]
    apart = [found.between([at], others) for at, others in enumerate(rest)]
    assert max(apart) < 4 * found.noise([0], rest[0])


def test_a_night_whose_codes_moved_lies_apart_and_the_others_do_not():
    codes = nights(8)
    codes[5] = codes[5] + np.float32(1.0)
    found = distances(codes)
    assert found.between([5], [0, 1, 2, 3, 4, 6, 7]) > 20 * found.between([2], [0, 1, 3, 4, 6, 7])
    assert found.between([0, 1, 2], [3, 4, 6]) < 0.01


def test_relations_count_though_each_number_is_as_it_was():
    codes = nights(6, width=2)
    tied = [np.column_stack([night[:, 0], night[:, 0] + 0.1 * night[:, 1]]).astype(np.float32) for night in codes]
    loose = np.column_stack([tied[5][:, 0], np.random.default_rng(1).permutation(tied[5][:, 1])])
    found = distances([*tied[:5], loose])
    assert found.between([5], [0, 1, 2, 3, 4]) > 10 * found.noise([5], [0, 1, 2, 3, 4])


def test_a_number_that_never_varies_and_one_far_out_say_nothing():
    codes = [np.column_stack([night, np.full(len(night), 7.0)]).astype(np.float32) for night in nights(4)]
    found = distances(codes)
    codes[3][0, 0] = 1e30
    assert distances(codes).between([3], [0, 1, 2]) == pytest.approx(found.between([3], [0, 1, 2]), abs=0.01)


@given(st.lists(st.integers(0, 3), min_size=4, max_size=8))
def test_nights_of_hardly_any_rows_have_a_number_all_the_same(sizes):
    codes = [np.arange(2 * size, dtype=np.float32).reshape(size, 2) for size in sizes]
    found = distances(codes)
    rest = list(range(1, len(sizes)))
    assert 0.0 <= found.between([0], rest) <= 1.0
    assert np.isfinite(found.noise([0], rest))


def test_the_order_of_rows_changes_nothing_that_shows():
    codes = nights(3)
    halves = [half for night in codes for half in (night[::2], night[1::2])]
    turned = [half[::-1] for half in halves]
    assert code_distances(turned).between([0], [1, 2]) == pytest.approx(
        code_distances(halves).between([0], [1, 2]), abs=1e-5
    )
