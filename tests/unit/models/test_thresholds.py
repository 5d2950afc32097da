"""The threshold by each rule: what it promises of exchangeable rows, and how it moves with the wish."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.calibration import DIGITS, p_values
from models.thresholds import choices, threshold_by
from schemas.threshold import METHODS, BudgetRule, rule_for

SHARES = st.floats(1e-9, 1.0, exclude_max=True)
ROUNDED = st.lists(st.integers(0, 10**4).map(lambda n: round(n / 997.0, DIGITS)), min_size=1, max_size=80)
UNEVEN = st.lists(st.floats(0, 20, allow_subnormal=False), min_size=1, max_size=80)
ASCENDING = (1e-9, 1e-6, 1e-4, 5e-4, 1e-3, 1.5e-3, 1e-2, 0.0199, 0.02, 0.0201, 0.05, 0.3, 0.9)


def exponential(rows, seed=0):
    return np.sort(np.round(np.random.default_rng(seed).exponential(1, rows), DIGITS))


@given(scores=ROUNDED, at_most=SHARES)
def test_by_p_value_a_row_is_an_alert_exactly_where_its_p_value_is_small_enough(scores, at_most):
    calibration = np.sort(np.array(scores))
    threshold = threshold_by(rule_for("p_value", at_most), calibration, at_most)
    asked = np.concatenate([calibration, calibration + 10.0**-DIGITS, calibration - 10.0**-DIGITS, [0.0, 99.0]])
    if at_most * (len(calibration) + 1) >= 1:
        assert np.array_equal(asked > threshold, p_values(asked, calibration) <= at_most)
    else:
        assert threshold > calibration[-1]


@given(scores=ROUNDED, share=SHARES)
def test_no_rule_alerts_on_more_calibration_rows_than_asked(scores, share):
    calibration = np.sort(np.array(scores))
    for method in ("quantile", "p_value"):
        threshold = threshold_by(rule_for(method, share), calibration, share)
        assert np.isfinite(threshold)
        assert np.sum(calibration > threshold) <= share * len(calibration) + 1e-9
    assert np.isfinite(threshold_by(rule_for("tail", share), calibration, share))


@given(
    scores=st.lists(st.floats(0, 20, allow_subnormal=False), min_size=1, max_size=80), shares=st.tuples(SHARES, SHARES)
)
def test_a_smaller_share_never_has_a_lower_threshold(scores, shares):
    calibration, (less, more) = np.sort(np.array(scores)), sorted(shares)
    for method in METHODS:
        found = [threshold_by(rule_for(method, share), calibration, share) for share in (less, more)]
        assert found[0] >= found[1] - 1e-9


@pytest.mark.parametrize("method", METHODS)
def test_the_threshold_falls_while_the_share_rises(method):
    found = [threshold_by(rule_for(method, share), exponential(1_000), share) for share in ASCENDING]
    assert (np.diff(found) <= 0).all()
    assert len(set(found)) > len(found) - 3


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("rows", [20, 300, 5_000])
def test_below_one_row_the_threshold_lies_above_all_of_them(method, rows):
    for seed in range(20):
        scores = exponential(rows, seed)
        assert threshold_by(rule_for(method, 0.5 / rows), scores, 0.5 / rows) > scores[-1]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("share", [0.05, 0.01, 0.002])
def test_of_exchangeable_rows_about_the_wished_share_are_alerts(method, share):
    random = np.random.default_rng(3)
    found = []
    for _ in range(60):
        calibration, night = np.sort(random.gamma(3, 1, 2_000)), random.gamma(3, 1, 2_000)
        found.append(np.mean(night > threshold_by(rule_for(method, share), calibration, share)))
    assert np.mean(found) == pytest.approx(share, rel=0.25 if method == "tail" else 0.15)


def test_p_values_of_exchangeable_rows_are_never_too_small_too_often():
    random = np.random.default_rng(4)
    levels = np.array([0.001, 0.01, 0.05, 0.2, 0.5, 0.9])
    for draw in (lambda n: random.gamma(2, 1, n), lambda n: random.integers(0, 5, n).astype(float)):
        found = np.mean([p_values(draw(1), np.sort(draw(99))) <= levels for _ in range(4_000)], axis=0)
        assert (found <= levels + 3 * np.sqrt(levels * (1 - levels) / 4_000)).all()


def test_far_beyond_the_rows_the_tail_keeps_the_risk():
    found = []
    for seed in range(40):
        threshold = threshold_by(rule_for("tail", 2e-5), exponential(5_000, seed), 2e-5)
        found.append(np.exp(-threshold) / 2e-5)  # the true risk there, over the wished one
    assert 0.3 < np.median(found) < 2


def test_all_rules_are_told_for_one_wish():
    scores = exponential(1_000)
    found = list(choices(scores, 0.01))
    assert [choice.rule.method for choice in found] == ["budget", *METHODS]
    assert [choice.alerts for choice in found] == [int(np.sum(scores > choice.threshold)) for choice in found]
    assert all(5 <= choice.alerts <= 15 for choice in found)
    assert found[0].threshold == threshold_by(BudgetRule(method="budget"), scores, 0.01)


def test_a_wish_beyond_all_rows_is_no_mistake():
    assert next(choices(exponential(100), 3.0)).alerts == 100
