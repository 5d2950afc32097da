from __future__ import annotations

import numpy as np
import pytest

from models.ranks import fit_ranks

HEAVY = np.exp(np.random.default_rng(0).normal(0, 2, 3_000)).astype(np.float32)
ROWS = np.column_stack([HEAVY, np.arange(3_000) % 2, np.linspace(-1, 1, 3_000)]).astype(np.float32)


def test_no_tail_leaves_the_usual_without_room():
    deviates = fit_ranks(ROWS).of(ROWS)
    assert deviates.mean(axis=0) == pytest.approx(0, abs=1e-4)
    assert deviates.std(axis=0) == pytest.approx(1, abs=1e-4)
    assert np.corrcoef(deviates[:, 0], np.log(HEAVY))[0, 1] > 0.94
    assert deviates[:, 0].max() < 3 < (HEAVY.max() - HEAVY.mean()) / HEAVY.std() / 5
    assert (np.diff(deviates[np.argsort(HEAVY), 0]) >= 0).all()


def test_what_never_varies_has_no_rank_and_a_rare_yes_a_high_one():
    rows = np.column_stack([HEAVY, np.ones(3_000), np.arange(3_000) % 100 == 0]).astype(np.float32)
    ranks = fit_ranks(rows)
    assert ranks.at.tolist() == [0, 2]
    rare, usual = ranks.of(rows)[0, 1], ranks.of(rows)[1, 1]
    assert rare > 5
    assert abs(usual) < 0.2


def test_beyond_the_sample_a_rank_still_grows():
    ranks = fit_ranks(ROWS)
    rows = np.zeros((3, 3), np.float32)
    rows[:, 0] = [HEAVY.max(), HEAVY.max() * 10, 1e12]
    rows[:, 2] = [-1e12, -50, -1]
    deviates = ranks.of(rows)[:, [0, 2]]
    assert (np.diff(deviates, axis=0) > 0).all()
    assert np.isfinite(deviates).all()


def test_equal_numbers_have_the_middle_of_their_ranks():
    ties = np.repeat([0.0, 1.0, 2.0], [800, 100, 100]).astype(np.float32)[:, None]
    ranks = fit_ranks(ties)
    deviates = ranks.of(ties)
    assert len(np.unique(deviates)) == 3
    assert deviates.std() == pytest.approx(1, abs=1e-4)


def test_rows_without_a_number_that_varies_have_no_ranks():
    ranks = fit_ranks(np.ones((50, 2), np.float32))
    assert ranks.of(np.ones((4, 2), np.float32)).shape == (4, 0)


def test_a_row_has_the_same_ranks_alone():
    ranks = fit_ranks(ROWS)
    assert np.array_equal(ranks.of(ROWS[7:8]), ranks.of(ROWS)[7:8])


def test_the_bent_scale_is_the_rank_and_a_quarter_of_the_scale():
    bent = fit_ranks(ROWS).bend(ROWS)
    assert bent == pytest.approx(fit_ranks(ROWS).of(ROWS) + ROWS / 4, rel=1e-5)
    assert bent.dtype == np.float32


def test_what_never_varied_is_seen_once_it_does():
    rows = np.column_stack([HEAVY, np.ones(3_000)]).astype(np.float32)
    ranks = fit_ranks(rows)
    assert np.unique(ranks.bend(rows)[:, 1]).tolist() == [0.25]
    assert ranks.bend(np.array([[1.0, 4.0]], np.float32))[0, 1] == 1.0
