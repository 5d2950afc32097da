"""What each rule would make of a detector's threshold, on its calibration rows: for the report."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from schemas.results import ScoreDistribution, ThresholdChoice
from schemas.threshold import in_words

if TYPE_CHECKING:
    from models.bundle import Bundle


def with_rule(distribution: ScoreDistribution, bundle: Bundle) -> ScoreDistribution:
    """The same distribution, with how the threshold came about and what else it could be."""
    return distribution.model_copy(
        update={"rule": in_words(bundle.threshold_rule), "choices": threshold_choices(bundle)}
    )


def threshold_choices(bundle: Bundle) -> tuple[ThresholdChoice, ...]:
    """The threshold by each rule for the same wished share of alerts; the one in force as it is in the bundle.

    None where the bundle has no wish: one that was made outside of nights, or a threshold that nothing is above.
    """
    from models.thresholds import choices

    alerts, scores, in_force = bundle.detector.get("alerts", {}), bundle.calibration, bundle.threshold_rule
    share = float(alerts.get("share", 0.0))
    if share <= 0.0:
        return ()
    rules = {choice.rule.method: (choice.rule.model_dump(), choice.threshold) for choice in choices(scores, share)}
    rules[in_force["method"]] = (in_force, bundle.threshold)
    return tuple(
        ThresholdChoice(
            method=method,
            words=in_words(rule),
            share=share,
            threshold=threshold,
            calibration_alerts=int(np.sum(scores > threshold)),
            calibration_rows=len(scores),
            usual_night=float(np.mean(scores > threshold)) * float(alerts["expected_rows"]),
            in_force=method == in_force["method"],
        )
        for method, (rule, threshold) in rules.items()
    )
