from __future__ import annotations

import numpy as np

from models.members import Folds

ROWS = np.random.default_rng(0).normal(size=(5_000, 12)).astype(np.float32)


def test_each_member_is_not_taught_about_its_share():
    found = Folds(5, 12).of(ROWS)
    assert set(np.unique(found)) == {0, 1, 2, 3, 4}
    assert np.bincount(found.astype(int)).min() > 850


def test_equal_rows_do_not_teach_the_same_member():
    folds = Folds(5, 12)
    twice = np.concatenate([ROWS[:100], ROWS[:100]])
    found = folds.of(twice)
    assert np.array_equal(found[:100], found[100:])


def test_rows_of_yes_and_no_are_shared_out_too():
    rows = (np.random.default_rng(1).random((2_000, 8)) < 0.3).astype(np.float32)
    assert np.bincount(Folds(5, 8).of(rows).astype(int), minlength=5).min() > 100


def test_keras_finds_the_same_member():
    from models.tensorflow_import import import_tensorflow

    import_tensorflow()
    from keras import ops

    folds = Folds(5, 12)
    assert np.mean(np.asarray(folds.of(ROWS, ops)) == folds.of(ROWS)) > 0.999
