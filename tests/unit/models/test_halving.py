"""Successive halving: all candidates together use what one training may."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.halving import Rung, rungs
from schemas.errors import ConfigError


def test_one_candidate_has_all_epochs():
    assert rungs(1, 80) == (Rung(1, 80),)


def test_three_candidates_share_eighty_epochs():
    assert rungs(3, 80) == (Rung(3, 8), Rung(2, 21), Rung(1, 51))


@given(st.integers(1, 16), st.integers(80, 400))
def test_the_epochs_of_all_are_those_of_one_training(candidates, epochs):
    found = rungs(candidates, epochs)
    before = [0, *(rung.epochs for rung in found)]
    used = sum(rung.candidates * (rung.epochs - at) for rung, at in zip(found, before, strict=False))
    assert used == epochs
    assert found[0].candidates == candidates
    assert found[-1].candidates == 1
    assert all(after.candidates == (rung.candidates + 1) // 2 for rung, after in itertools.pairwise(found))


def test_too_few_epochs_say_how_many_are_needed():
    with pytest.raises(ConfigError, match="4 candidates on 3 rungs need at least 12 epochs together, and 11 are there"):
        rungs(4, 11)
