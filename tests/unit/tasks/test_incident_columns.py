"""Alerts that share columns and time are one cluster: whatever the order, however many, whatever the numbers."""

from __future__ import annotations

import numpy as np
import pytest

from tasks.incident_columns import MOST_PAIRED, NO_TIME, Vectors, clusters

HOUR = 3_600_000_000
GAP = 6 * HOUR


def vectors(rows, times=None):
    """Alerts of `{column: share}`, with hours of the day."""
    width = max(map(len, rows))
    codes, shares = np.full((len(rows), max(width, 1)), -1), np.zeros((len(rows), max(width, 1)))
    for at, row in enumerate(rows):
        codes[at, : len(row)] = list(row)
        shares[at, : len(row)] = list(row.values())
    hours = np.full(len(rows), NO_TIME) if times is None else (np.asarray(times, dtype=float) * HOUR).astype(np.int64)
    return Vectors(codes.astype(np.int64), shares, hours, np.ones(len(rows), dtype=np.int64))


def found(rows, times=None, agreement=0.5):
    """The clusters as sets of places."""
    labels = clusters(vectors(rows, times), agreement, GAP)
    return {frozenset(np.flatnonzero(labels == label).tolist()) for label in set(labels.tolist())}


def test_alerts_that_share_most_of_what_made_them_are_together():
    rows = [{0: 0.6, 1: 0.4}, {0: 0.5, 1: 0.3, 2: 0.2}, {2: 0.8, 3: 0.2}]
    assert found(rows) == {frozenset({0, 1}), frozenset({2})}
    assert found(rows, agreement=0.9) == {frozenset({0}), frozenset({1}), frozenset({2})}


def test_alerts_of_which_nothing_is_known_are_together():
    assert found([{}, {0: 1.0}, {}]) == {frozenset({0, 2}), frozenset({1})}
    assert found([{0: 0.0}, {1: 0.0}]) == {frozenset({0, 1})}


def test_a_long_pause_parts_them_and_a_short_one_does_not():
    rows = [{0: 1.0}] * 4
    assert found(rows, [0, 5, 10, 17]) == {frozenset({0, 1, 2}), frozenset({3})}


def test_an_alert_without_a_time_stays_with_the_first_ones():
    one = vectors([{0: 1.0}] * 3, [1, 2, 20])
    one.times[1] = NO_TIME
    assert clusters(one, 0.5, GAP)[1] == clusters(one, 0.5, GAP)[0]


def test_what_one_cause_blames_on_different_columns_is_together_where_it_happened_at_once():
    kinds = ({0: 0.6, 1: 0.2, 2: 0.2}, {2: 0.4, 1: 0.2, 3: 0.4})
    rows = [kinds[at % 2] for at in range(40)]
    at_once = np.linspace(10, 10.2, 40)
    assert len(found(rows, at_once)) == 1
    assert len(found(rows, np.where(np.arange(40) % 2, at_once, at_once + 4))) == 2
    assert len(found(rows)) == 2


def test_other_alerts_of_the_day_are_not_drawn_into_a_burst():
    chance = np.random.default_rng(0)
    burst = [{0: 0.5, 1: 0.5}] * 500
    others = [{1: 0.35, 2: 0.65}] * 10
    times = np.concatenate([chance.uniform(12, 12.3, 500), np.linspace(0, 24, 10)])
    assert frozenset(range(500)) in found(burst + others, times)


@pytest.mark.parametrize("seed", range(4))
def test_another_order_of_the_columns_names_changes_nothing(seed):
    chance = np.random.default_rng(seed)
    rows = [dict(zip(chance.permutation(9)[:4].tolist(), chance.dirichlet(np.ones(4)), strict=True)) for _ in range(80)]
    times = chance.uniform(0, 24, 80)
    turned = [dict(sorted(row.items(), key=lambda item: item[1])) for row in rows]
    assert found(rows, times) == found(turned, times)


def test_a_night_of_tens_of_thousands_of_alerts_without_any_order_is_clustered():
    chance = np.random.default_rng(0)
    rows = 30_000
    codes = chance.integers(0, 2_000, (rows, 5))
    alerts = Vectors(codes, chance.dirichlet(np.ones(5), rows), chance.integers(0, 24 * HOUR, rows), np.ones(rows, int))
    labels = clusters(alerts, 0.5, GAP)
    assert len(labels) == rows
    assert set(range(labels.max() + 1)) == set(labels.tolist())
    assert labels.max() < MOST_PAIRED * 5


@pytest.mark.parametrize("times", [[0, 2**62], [-(2**62), 2**62], [5, 5]])
def test_times_at_the_ends_of_time_are_only_far_apart(times):
    alerts = Vectors(np.zeros((2, 1), int), np.ones((2, 1)), np.array(times), np.ones(2, int))
    assert len(set(clusters(alerts, 0.5, GAP).tolist())) == (1 if times[0] == times[1] else 2)
