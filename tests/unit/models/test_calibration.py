from __future__ import annotations

import numpy as np
import pytest

from models.calibration import fit_score_map, p_values, scores_of, threshold_for

SCORES = np.sort(np.random.default_rng(0).exponential(1, 1000))


def test_a_score_is_the_log_of_its_parts_mean():
    rows = np.random.default_rng(0).normal(size=(50, 5)).astype(np.float32)
    score_map = fit_score_map(rows, np.zeros_like(rows), np.array([1, 0.5, 0.5, 1, 1.0]), [0, 1, 3])
    parts = score_map.parts(rows, np.zeros_like(rows))
    assert parts.shape == (50, 3)
    assert np.expm1(scores_of(parts)) == pytest.approx(parts.sum(axis=1), rel=1e-6)
    assert scores_of(parts).mean() > 0


def test_a_number_that_always_fits_does_not_divide_by_nothing():
    zeros = np.zeros((50, 2), dtype=np.float32)
    parts = fit_score_map(zeros, zeros, np.ones(2), [0, 1]).parts(zeros + 1, zeros)
    assert np.isfinite(scores_of(parts)).all()


def test_p_values_are_conformal():
    assert p_values(np.array([-1.0, SCORES[-1], SCORES[-1] + 1]), SCORES).tolist() == [1.0, 2 / 1001, 1 / 1001]


@pytest.mark.parametrize("share", [0.5, 0.02, 0.001])
def test_the_threshold_leaves_the_wished_share_and_no_score_equals_it(share):
    threshold = threshold_for(SCORES, share)
    assert (threshold < SCORES).sum() == int(share * 1000)
    assert not (threshold == SCORES).any()


def test_a_budget_beyond_the_calibration_rows_is_further_out():
    thresholds = [threshold_for(SCORES, share) for share in (1e-3, 3e-4, 1e-4, 1e-5)]
    assert (np.diff(thresholds) > 0).all()
    assert thresholds[1] > SCORES[-1]
    # The true 1 - 1e-5 quantile of the exponential is 11.5.
    assert 8 < thresholds[-1] < 16


def test_a_budget_above_all_rows_alerts_on_all():
    assert (threshold_for(SCORES, 5.0) < SCORES).all()


@pytest.mark.parametrize("scores", [[1.0], [2.0] * 30, [0.0] * 20 + [3.0] * 10])
def test_few_or_tied_scores_have_a_threshold_of_their_own(scores):
    scores = np.array(scores)
    for share in (1e-6, 0.01, 0.2, 0.9):
        assert threshold_for(scores, share) not in scores
