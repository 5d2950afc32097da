"""A generalised Pareto tail: what it was made of is found again, and it goes on where the scores end."""

from __future__ import annotations

import numpy as np
import pytest

from models.tails import FEW_DIFFERENT, SHAPES, Tail, fit_excesses, fit_tail, least_rows


def pareto(shape, scale, rows, seed=0):
    """Sorted draws of a generalised Pareto distribution, by its inverse."""
    uniform = np.random.default_rng(seed).random(rows)
    return np.sort(scale * (-np.log(uniform) if shape == 0 else np.expm1(-shape * np.log(uniform)) / shape))


@pytest.mark.parametrize(("shape", "scale"), [(0.0, 1.0), (0.0, 0.02), (0.2, 3.0), (0.4, 0.5)])
def test_scale_and_shape_are_found_again(shape, scale):
    found = [fit_excesses(pareto(shape, scale, 4_000, seed)) for seed in range(8)]
    assert np.mean([found_scale for found_scale, _ in found]) == pytest.approx(scale, rel=0.06)
    assert np.mean([found_shape for _, found_shape in found]) == pytest.approx(shape, abs=0.05)


@pytest.mark.parametrize(("shape", "bound"), [(-0.5, SHAPES[0]), (0.9, SHAPES[1])])
def test_a_shape_beyond_the_bounds_is_one_of_them_and_the_mean_still_holds(shape, bound):
    excesses = pareto(shape, 1.0, 4_000)
    scale, found = fit_excesses(excesses)
    assert found == bound
    assert scale / (1.0 - found) == pytest.approx(excesses.mean())


def test_too_few_excesses_or_ties_give_an_exponential_tail():
    for excesses in (pareto(0.4, 1.0, FEW_DIFFERENT - 1), np.repeat([1.0, 2.0], 500)):
        assert fit_excesses(excesses) == (excesses.mean(), 0.0)


@pytest.mark.parametrize("shape", [0.0, 0.3])
def test_a_risk_of_one_in_a_hundred_thousand_is_found_from_five_thousand_rows(shape):
    found = [fit_tail(pareto(shape, 1.0, 5_000, seed), 250).score_at(1e-5) for seed in range(40)]
    true = -np.log(1e-5) if shape == 0 else np.expm1(-shape * np.log(1e-5)) / shape
    assert np.median(found) == pytest.approx(true, rel=0.25)


def test_a_smaller_risk_lies_further_out():
    for tail in (Tail(1.0, 0.02, 0.5, 0.0), Tail(1.0, 0.02, 0.5, 0.3)):
        scores = [tail.score_at(risk) for risk in (0.02, 1e-2, 1e-3, 1e-6, 1e-12)]
        assert scores[0] == pytest.approx(1.0)
        assert (np.diff(scores) > 0).all()


@pytest.mark.parametrize("scores", [[1.0], [2.0] * 30, [0.0] * 20 + [3.0] * 10, [0.0] * 99 + [5.0]])
def test_few_or_tied_scores_have_a_tail_too(scores):
    tail = fit_tail(np.array(scores), least_rows(len(scores)))
    assert 0 < tail.share <= 1
    assert np.isfinite(tail.score_at(1e-9))
