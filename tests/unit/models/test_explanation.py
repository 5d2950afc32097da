from __future__ import annotations

import numpy as np
import pytest

from models.calibration import ScoreMap
from models.explanation import Explainer, shares_of

WIDTH = 8
GROUPS = (slice(0, 1), slice(1, 2), slice(2, 3), slice(3, 4), slice(4, 8))
NEUTRAL = np.zeros(WIDTH, dtype=np.float32)


def smeared(rows):
    """A network that expects each number to be the mean of all: one far out bends what is expected of every other."""
    return np.broadcast_to(rows.mean(axis=1, keepdims=True), rows.shape).astype(np.float32)


@pytest.fixture
def explainer():
    return Explainer(
        smeared, ScoreMap((1.0,) * 4 + (0.25,) * 4, tuple(group.start for group in GROUPS)), GROUPS, NEUTRAL
    )


def explained(explainer, rows):
    rows = np.asarray(rows, dtype=np.float32)
    return explainer.explain(rows, smeared(rows))


def test_shares_are_not_negative_and_add_up_to_one(explainer):
    rows = np.random.default_rng(0).normal(size=(3000, WIDTH)) ** 3
    shares = explained(explainer, rows).shares
    assert shares.shape == (3000, len(GROUPS))
    assert shares.min() >= 0
    assert shares.sum(axis=1) == pytest.approx(1.0)


def test_the_blame_does_not_smear(explainer):
    row = np.zeros((1, WIDTH))
    row[0, 2] = 10
    plain = shares_of(explainer.judge.parts(row, smeared(row)))
    mended = explained(explainer, row).shares
    assert mended[0, 2] > 0.98 > plain[0, 2]


def test_two_guilty_columns_are_both_named(explainer):
    row = np.zeros((1, WIDTH))
    row[0, [0, 3]] = 10, 8
    assert set(np.argsort(-explained(explainer, row).shares[0])[:2]) == {0, 3}


def test_a_value_that_the_network_copies_is_found_by_what_it_does_to_others():
    def copying(rows):
        bent = rows.copy()
        bent[:, 1:4] += np.maximum(np.abs(rows[:, :1]) - 3.0, 0.0)
        return bent

    explainer = Explainer(copying, ScoreMap((1.0,) * WIDTH, (0, 1, 2, 3, 4)), GROUPS, NEUTRAL)
    row = np.full((1, WIDTH), 0.5, dtype=np.float32)
    row[0, 0] = 8
    found = explainer.explain(row, copying(row))
    assert found.shares[0, 0] == pytest.approx(1.0)


def test_what_was_expected_is_what_the_mended_row_has(explainer):
    row = np.zeros((1, WIDTH))
    row[0, 2] = 10
    assert np.abs(explained(explainer, row).expected).max() < 0.6
    assert smeared(row)[0, 2] > 1


def test_a_row_that_fits_has_no_shares(explainer):
    assert explained(explainer, np.ones((3, WIDTH))).shares.tolist() == [[0.0] * len(GROUPS)] * 3


def test_a_row_is_explained_by_itself(explainer):
    rows = np.random.default_rng(1).normal(size=(2500, WIDTH)) ** 3
    whole = explained(explainer, rows)
    for at in (0, 1023, 1024, 2499):
        alone = explained(explainer, rows[at : at + 1])
        assert np.array_equal(alone.shares[0], whole.shares[at])
        assert np.array_equal(alone.expected[0], whole.expected[at])


def test_no_rows_and_a_single_column_are_explained():
    one = Explainer(smeared, ScoreMap((1.0,) * 2, (0,)), (slice(0, 2),), NEUTRAL[:2])
    assert explained(one, np.empty((0, 2))).shares.shape == (0, 1)
    assert explained(one, [[1.0, 5.0]]).shares.tolist() == [[1.0]]


def test_residuals_out_of_all_measure_are_explained(explainer):
    rows = np.zeros((1, WIDTH))
    rows[0, 1] = 700.0
    found = explained(explainer, rows)
    assert np.isfinite(found.shares).all()
    assert np.isfinite(found.expected).all()
