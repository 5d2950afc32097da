from __future__ import annotations

import numpy as np
import pytest

from models.calibration import ScoreMap, scores_of
from models.judge import Judge
from models.neighbours import fit_neighbours

ROWS = np.random.default_rng(0).normal(size=(400, 4)).astype(np.float32)
SCORE_MAP = ScoreMap((0.5, 0.5, 1.0, 1.0), (0, 2, 3))
NEIGHBOURS, _ = fit_neighbours(ROWS, 5, 400, seed=0)
JUDGE = Judge(SCORE_MAP, NEIGHBOURS)
FRESH = np.random.default_rng(1).normal(size=(50, 4)).astype(np.float32)


def test_without_neighbours_residuals_alone_count():
    assert np.array_equal(Judge(SCORE_MAP).parts(FRESH, FRESH * 0.5), SCORE_MAP.parts(FRESH, FRESH * 0.5))


def test_both_views_raise_the_score():
    usual = scores_of(JUDGE.parts(FRESH, FRESH * 0.9))
    badly_reconstructed = scores_of(JUDGE.parts(FRESH, FRESH * 0.9 + 2))
    farther = scores_of(JUDGE.parts(FRESH + 9, FRESH * 0.9 + 9))
    assert (badly_reconstructed > usual).all()
    assert (farther > usual).all()


def test_neither_view_excuses_the_other():
    perfect = JUDGE.parts(FRESH + 9, FRESH + 9)
    assert (scores_of(perfect) > 0).all()
    near = JUDGE.parts(NEIGHBOURS.reference[:1], NEIGHBOURS.reference[:1] + 3)
    assert scores_of(near)[0] > 0


def test_parts_stand_where_residuals_and_distance_do():
    rows = FRESH.copy()
    rows[:, 3] += 8  # the last number is the last column
    parts = JUDGE.parts(rows, FRESH)
    assert (parts >= 0).all()
    assert (parts.argmax(axis=1) == 2).all()


def test_a_row_that_equals_all_is_nobodys_fault():
    same = np.ones((30, 4), np.float32)
    judge = Judge(SCORE_MAP, fit_neighbours(same, 5, 30, seed=0)[0])
    parts = judge.parts(same, same)
    assert np.isfinite(parts).all()
    assert parts.std() == pytest.approx(0)
