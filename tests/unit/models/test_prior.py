from __future__ import annotations

import numpy as np
import pytest

from models.families import with_prior
from models.prior import code_batches


def drawn(rows, *shape, **options):
    return np.concatenate(list(code_batches(rows, *shape, **options)))


def test_codes_are_standard_normal_float32():
    codes = drawn(20_000, 3)
    assert codes.dtype == np.float32
    assert codes.shape == (20_000, 3)
    assert codes.mean(axis=0) == pytest.approx([0.0] * 3, abs=0.05)
    assert np.cov(codes.T) == pytest.approx(np.eye(3), abs=0.05)


def test_the_last_numbers_say_one_class_each_as_likely_as_the_others():
    codes = drawn(9_000, 5, 3)
    assert set(np.unique(codes[:, 2:])) == {0.0, 1.0}
    assert (codes[:, 2:].sum(axis=1) == 1.0).all()
    assert codes[:, 2:].mean(axis=0) == pytest.approx([1 / 3] * 3, abs=0.02)


@pytest.mark.parametrize("classes", [0, 2])
def test_the_seed_alone_decides_neither_the_batch_nor_what_follows(classes):
    whole = drawn(100, 4, classes, seed=5)
    assert np.array_equal(drawn(100, 4, classes, seed=5, most=7), whole)
    assert np.array_equal(drawn(30, 4, classes, seed=5), whole[:30])
    assert not np.array_equal(drawn(100, 4, classes, seed=6), whole)


def test_batches_are_bounded():
    assert [len(batch) for batch in code_batches(10, 2, most=4)] == [4, 4, 2]


def test_families_with_a_prior_are_known_by_name():
    assert "variational" in with_prior()
    assert "denoising" not in with_prior()
