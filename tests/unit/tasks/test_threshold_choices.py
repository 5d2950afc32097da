"""What the report says of how the threshold came about, and of what else it could be."""

from __future__ import annotations

from dataclasses import replace

import pytest

from models.bundle import open_bundle
from schemas.results import ScoreDistribution
from tasks.threshold_choices import threshold_choices, with_rule


@pytest.fixture(scope="module")
def bundle(detector):
    return open_bundle(detector.folder, detector.hash)


def changed(bundle, **facts):
    return replace(bundle, detector={**bundle.detector, **facts})


def test_each_rule_is_told_with_the_calibration_rows_that_it_would_raise(bundle):
    found = threshold_choices(bundle)
    assert [choice.method for choice in found] == ["budget", "quantile", "p_value", "tail"]
    assert [choice.in_force for choice in found] == [True, False, False, False]
    for choice in found:
        assert choice.calibration_alerts == int((bundle.calibration > choice.threshold).sum())
        assert choice.calibration_rows == len(bundle.calibration)
        assert choice.usual_night == pytest.approx(choice.calibration_alerts / choice.calibration_rows * 1000)
        assert choice.usual_night == pytest.approx(20, abs=12)


def test_the_rule_in_force_has_the_threshold_of_the_bundle(bundle):
    rule = {"method": "tail", "risk": 0.001, "level": 0.98}
    by_tail = changed(bundle, threshold=9.5, threshold_rule=rule, alerts={**bundle.detector["alerts"], "share": 0.001})
    (in_force,) = [choice for choice in threshold_choices(by_tail) if choice.in_force]
    assert (in_force.method, in_force.threshold, in_force.words) == ("tail", 9.5, "by the tail at a risk of 0.001")
    assert with_rule(ScoreDistribution(), by_tail).rule == "by the tail at a risk of 0.001"


def test_a_threshold_by_hand_stands_beside_the_others(bundle):
    by_hand = changed(bundle, threshold=1.0, threshold_rule={"method": "score"})
    assert [choice.method for choice in threshold_choices(by_hand) if choice.in_force] == ["score"]
    assert len(threshold_choices(by_hand)) == 5


@pytest.mark.parametrize("alerts", [{}, {"share": 0.0, "expected_rows": 10.0}], ids=["no wish", "none above"])
def test_without_a_wish_there_is_nothing_to_compare(bundle, alerts):
    assert threshold_choices(changed(bundle, alerts=alerts)) == ()
