"""AUROC of weighted rows, and the paired bootstrap: its standard error is checked against the truth."""

from __future__ import annotations

import numpy as np
import pytest

from models.comparison import Difference, auroc, compare


def test_auroc_counts_pairs_and_half_of_ties():
    random = np.random.default_rng(1)
    usual, planted = random.integers(0, 9, 60).astype(float), random.integers(3, 12, 60).astype(float)
    pairs = planted[:, None] - usual[None, :]
    expected = ((pairs > 0) + 0.5 * (pairs == 0)).mean()
    assert auroc(usual, planted, np.ones((1, 60)))[0] == pytest.approx(expected)
    twice = np.repeat([1, 2], 30)[None, :].astype(float)
    again = [np.repeat(a, twice[0].astype(int)) for a in (usual, planted)]
    assert auroc(usual, planted, twice)[0] == pytest.approx(auroc(*again, np.ones((1, 90)))[0])


def test_a_detector_is_not_worse_than_itself():
    scores = (np.arange(50.0), np.arange(50.0) + 10)
    found = compare(scores, scores, seed=1)
    assert (found.first == found.second, found.error, found.is_worse()) == (True, 0.0, False)


def two_detectors(random, rows, shared, lift=1.0):
    """Scores of two detectors that see the same rows: `shared` of their noise is the rows' own."""

    def scores(own, up):
        return own * np.sqrt(shared) + random.normal(size=rows) * np.sqrt(1.0 - shared) + up

    usual, planted = random.normal(size=rows), random.normal(size=rows)
    return (scores(usual, 0.0), scores(planted, lift)), (scores(usual, 0.0), scores(planted, lift))


@pytest.mark.parametrize("shared", [0.0, 0.9])
def test_the_standard_error_is_that_of_many_samples(shared):
    random = np.random.default_rng(5)
    found = [compare(*two_detectors(random, 300, shared), seed=at, replicates=100) for at in range(200)]
    truth = np.std([one.first - one.second for one in found])
    assert np.mean([one.error for one in found]) == pytest.approx(truth, rel=0.15)


def test_both_detectors_see_the_same_resample():
    random = np.random.default_rng(5)
    one, other = two_detectors(random, 400, shared=0.95)
    draws = np.random.default_rng(1).multinomial(400, np.full(400, 1 / 400), size=200).astype(float)
    paired = np.std(auroc(*one, draws) - auroc(*other, draws))
    assert compare(one, other, seed=1).error == pytest.approx(paired)
    alone = np.hypot(np.std(auroc(*one, draws)), np.std(auroc(*other, draws)))
    assert paired < 0.5 * alone


def test_equal_detectors_are_called_worse_by_one_error_about_one_time_in_six():
    random = np.random.default_rng(9)
    worse = [compare(*two_detectors(random, 200, 0.5), seed=at, replicates=100).is_worse() for at in range(300)]
    assert np.mean(worse) == pytest.approx(0.159, abs=0.06)


def test_a_margin_counts_where_it_is_more_than_the_error():
    found = Difference(first=0.90, second=0.915, error=0.004)
    assert found.is_worse()
    assert not found.is_worse(0.02)
    assert found.at_least(0.02) == pytest.approx(0.895)
    assert Difference(0.90, 0.95, error=0.06).is_worse(0.02) is False
