"""Trees as plain arrays say what scikit-learn's trees say; arrays that are no trees are refused."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.ensemble import ExtraTreesClassifier

from models.forest import grow


@pytest.fixture(scope="module")
def rows():
    """Rows of two sorts that overlap."""
    random = np.random.default_rng(4)
    rows = random.normal(size=(300, 6)).astype(np.float32)
    return rows, rows[:, 0] * rows[:, 1] + 0.3 * random.normal(size=300) > 0


@pytest.fixture(scope="module")
def forest(rows):
    return grow(*rows, np.linspace(0.5, 2.0, 300), trees=20, seed=3)


def test_the_arrays_say_what_the_trees_said(rows, forest):
    grown = ExtraTreesClassifier(20, max_features=0.3, random_state=3)
    grown.fit(*rows, sample_weight=np.linspace(0.5, 2.0, 300))
    unseen = np.random.default_rng(5).normal(size=(500, 6)).astype(np.float32)
    np.testing.assert_allclose(forest(unseen), grown.predict_proba(unseen)[:, 1], atol=1e-12)


def test_a_row_alone_gets_what_it_gets_among_others(rows, forest):
    np.testing.assert_array_equal(forest(rows[0])[7:8], forest(rows[0][7:8]))
    assert forest(rows[0][:0]).shape == (0,)


def test_the_same_rows_grow_the_same_trees(rows, forest):
    again = grow(*rows, np.linspace(0.5, 2.0, 300), trees=20, seed=3)
    for name, array in vars(forest).items():
        np.testing.assert_array_equal(array, getattr(again, name))


def test_a_seed_may_be_larger_than_the_trees_take(rows):
    assert grow(*rows, np.ones(300), trees=2, seed=2**40 + 3).roots.shape == (2,)
