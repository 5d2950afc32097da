from __future__ import annotations

import numpy as np
import pytest

from models.calibration import ScoreMap, scores_of
from models.judge import NEAR_FLOOR, RESIDUAL_FLOOR, Judge, fit_judge, fit_level
from models.neighbours import fit_neighbours

ROWS = np.random.default_rng(0).normal(size=(400, 4)).astype(np.float32)
SCORE_MAP = ScoreMap((0.5, 0.5, 1.0, 1.0), (0, 2, 3))
NEIGHBOURS, PLACES = fit_neighbours(ROWS, 5, 400, seed=0)
JUDGE = fit_judge(SCORE_MAP, NEIGHBOURS, ROWS, ROWS * 0.9, PLACES, share=1.0)
FRESH = np.random.default_rng(1).normal(size=(50, 4)).astype(np.float32)


def test_without_neighbours_residuals_alone_count():
    assert np.array_equal(Judge(SCORE_MAP).parts(FRESH, FRESH * 0.5), SCORE_MAP.parts(FRESH, FRESH * 0.5))


def test_both_raise_the_score():
    usual = scores_of(JUDGE.parts(FRESH, FRESH * 0.9))
    badly_reconstructed = scores_of(JUDGE.parts(FRESH, FRESH * 0.9 + 2))
    farther = scores_of(JUDGE.parts(FRESH + 9, FRESH * 0.9 + 9))
    assert (badly_reconstructed > usual).all()
    assert (farther > usual).all()


def test_neither_excuses_the_other():
    usual = np.quantile(scores_of(JUDGE.parts(FRESH, FRESH * 0.9)), 0.95)
    perfect = JUDGE.parts(FRESH + 9, FRESH + 9)
    assert (scores_of(perfect) > usual).all()
    near = JUDGE.parts(ROWS[:1], ROWS[:1] + 3)
    assert scores_of(near)[0] > usual


def test_a_usual_row_is_at_level_nought_and_a_quantity_enters_by_its_power():
    values = np.exp(np.random.default_rng(3).normal(2.0, 0.5, 20_000))
    level = fit_level(values, NEAR_FLOOR)
    assert np.median(level.of(values)) == pytest.approx(0.0, abs=1e-9)
    assert level.of(np.exp(np.array([4.0])))[0] == pytest.approx(2.0, abs=0.1)
    assert fit_level(values, NEAR_FLOOR, 0.5).of(values) == pytest.approx(level.of(values) / 2)


def test_a_quantity_that_most_usual_rows_have_none_of_has_a_floor():
    values = np.zeros(1_000)
    values[:100] = 1.0
    assert fit_level(values, NEAR_FLOOR).of(np.array([1.0]))[0] < 6


def test_a_small_residual_says_little_and_a_large_one_much():
    values = np.exp(np.random.default_rng(3).normal(2.0, 0.5, 20_000))
    near, residuals = fit_level(values, NEAR_FLOOR), fit_level(values, RESIDUAL_FLOOR)
    none, much = np.zeros(1), np.full(1, 1e6)
    assert near.of(none)[0] < -2 < -1 < residuals.of(none)[0] < 0
    assert residuals.of(much)[0] > 10


def test_values_that_never_differ_have_a_level():
    assert np.isfinite(fit_level(np.zeros(30), NEAR_FLOOR).of(np.array([0.0, 1e9]))).all()


def test_the_less_of_the_rows_a_reference_has_the_more_residuals_weigh():
    of_few = fit_judge(SCORE_MAP, NEIGHBOURS, ROWS, ROWS * 0.9, PLACES, share=0.1)
    assert JUDGE.near.residuals.weight == 0.75
    assert of_few.near.residuals.weight == pytest.approx(0.975)
    fresh, badly = FRESH * 0.9, FRESH * 0.9 + 2
    rise = [
        np.log(np.expm1(scores_of(j.parts(FRESH, badly))) / np.expm1(scores_of(j.parts(FRESH, fresh))))
        for j in (JUDGE, of_few)
    ]
    assert (rise[1] > rise[0]).all()


def test_parts_stand_where_residuals_and_distance_do():
    rows = FRESH.copy()
    rows[:, 3] += 8  # the last number is the last column
    parts = JUDGE.parts(rows, FRESH)
    assert (parts >= 0).all()
    assert (parts.argmax(axis=1) == 2).all()


def test_a_residual_that_says_nothing_blames_no_column():
    rows = FRESH.copy()
    rows[:, 3] += 30
    hardly = rows.copy()
    hardly[:, 2] += 1e-3  # all that the reconstruction is off by stands in another column
    parts = JUDGE.parts(rows, hardly)
    assert (parts[:, 2] > parts[:, 1] * 10).all()


def test_a_row_that_equals_all_is_nobodys_fault():
    same = np.ones((30, 4), np.float32)
    judge = fit_judge(SCORE_MAP, *_among(same), share=1.0)
    parts = judge.parts(same, same)
    assert np.isfinite(parts).all()
    assert parts.std() == pytest.approx(0)


def _among(rows):
    neighbours, places = fit_neighbours(rows, 5, len(rows), seed=0)
    return neighbours, rows, rows, places
