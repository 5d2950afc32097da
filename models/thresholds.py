"""The threshold by each rule of `schemas.threshold`, from a bundle's sorted calibration scores."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from models.calibration import DIGITS, Matrix, threshold_for
from models.tails import fit_tail, least_rows
from schemas.threshold import (
    METHODS,
    BudgetRule,
    PValueRule,
    TailRule,
    ThresholdMethod,
    ThresholdRule,
    rule_for,
    wished_share,
)

HALF_DIGIT = 0.5 * 10.0**-DIGITS  # scores are rounded: no score lies between one of them and this much above it


@dataclass(frozen=True)
class Choice:
    """What one rule comes to.

    Args:
        rule: The rule.
        threshold: The score above which a row is an alert.
        alerts: Calibration rows above it.
    """

    rule: ThresholdRule
    threshold: float
    alerts: int


def threshold_by(rule: ThresholdRule, calibration: Matrix, share: float) -> float:
    """The score above which a row is an alert.

    Args:
        rule: How it comes about.
        calibration: Sorted calibration scores.
        share: Alerts over the rows of a usual night, as `wished_share` says it of the rule.
    """
    if isinstance(rule, PValueRule):
        return _where_p_values_end(calibration, share)
    if isinstance(rule, TailRule):
        return _in_tail(calibration, share, rule.level)
    return threshold_for(calibration, share)


def by_method(method: ThresholdMethod, calibration: Matrix, share: float) -> float:
    """The score above which a row is an alert, for methods that a share by itself decides.

    Raises:
        ConfigError: The share is not above 0 and below 1, or no method is called so.
    """
    return threshold_by(rule_for(method, share), calibration, share)


def choices(calibration: Matrix, share: float) -> Iterator[Choice]:
    """What each rule comes to for one wish, so that a person can choose.

    Args:
        calibration: Sorted calibration scores.
        share: The wish, above 0.
    """
    asked = min(share, 1.0 - 1e-9)
    for rule in (BudgetRule(method="budget"), *(rule_for(method, asked) for method in METHODS)):
        threshold = threshold_by(rule, calibration, wished_share(rule, share, 1.0))
        yield Choice(rule, threshold, int(np.sum(calibration > threshold)))


def _where_p_values_end(calibration: Matrix, at_most: float) -> float:
    """Where a score is above it, and nowhere else, its conformal p-value is at most so much.

    With fewer calibration rows than that needs no p-value is so small; the tail then stands in, as for a budget.
    """
    rows = len(calibration)
    above = math.floor(at_most * (rows + 1)) - 1
    above += (above + 2.0) / (rows + 1.0) <= at_most  # the product may round down
    if above < 0:
        return threshold_for(calibration, at_most)
    return float(calibration[rows - above - 1]) + HALF_DIGIT


def _in_tail(calibration: Matrix, risk: float, level: float) -> float:
    """Where the generalised Pareto tail leaves that risk; the quantile itself where it lies before the tail."""
    rows = len(calibration)
    tail = fit_tail(calibration, max(math.ceil((1.0 - level) * rows), least_rows(rows)))
    if risk >= tail.share:
        return min(threshold_for(calibration, risk), tail.start)
    least = float(calibration[-1]) + 10.0**-DIGITS if risk * rows < 1.0 else -math.inf
    return max(tail.score_at(risk), least)
