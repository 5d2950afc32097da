"""How a dataset file says where the threshold comes from."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from schemas.detector import DetectorSettings
from schemas.threshold import RULES, in_words, wished_share

RULES_OF_FILES = [
    ({"method": "quantile", "share": 0.002}, 0.002, "by a share of 0.002 of usual rows"),
    ({"method": "p_value", "at_most": 0.001}, 0.001, "by p-values up to 0.001"),
    ({"method": "tail", "risk": 0.0001}, 0.0001, "by the tail at a risk of 0.0001"),
]


def settings(rule=None, **more):
    return DetectorSettings.model_validate({**more, **({} if rule is None else {"threshold": rule})})


@pytest.mark.parametrize("rule", [None, {"method": "budget"}])
def test_the_budget_decides_where_nothing_else_is_said(rule):
    found = settings(rule, alert_budget=5)
    assert found.threshold.method == "budget"
    assert found.wished_alerts(1_000) == 5
    assert wished_share(found.threshold, 5, 1_000) == 0.005
    assert in_words(found.threshold.model_dump()) == "by the alert budget"


@pytest.mark.parametrize(("rule", "share", "words"), RULES_OF_FILES, ids=lambda value: str(value)[:24])
def test_any_other_rule_is_a_share_of_usual_rows(rule, share, words):
    found = settings(rule, alert_budget=5)
    assert wished_share(found.threshold, 5, 1_000) == share
    assert found.wished_alerts(10_000) == pytest.approx(share * 10_000)
    assert in_words(found.threshold.model_dump()) == words
    assert RULES.validate_python(found.threshold.model_dump()) == found.threshold
    assert settings(found.model_dump(mode="json")["threshold"]) == settings(rule)


@pytest.mark.parametrize(
    "rule",
    [
        {"method": "tail"},
        {"method": "tail", "risk": 0},
        {"method": "tail", "risk": 1},
        {"method": "tail", "risk": 0.1, "level": 1.0},
        {"method": "tail", "risk": 0.1, "level": 0.4},
        {"method": "quantile", "share": 1.0},
        {"method": "quantile", "at_most": 0.1},
        {"method": "p_value", "at_most": -0.1},
        {"method": "budget", "share": 0.1},
        {"method": "score"},
        {"share": 0.1},
        "tail",
    ],
    ids=str,
)
def test_a_rule_that_makes_no_sense_is_refused(rule):
    with pytest.raises(ValidationError):
        settings(rule)


def test_a_rule_does_not_change_after_it_was_read():
    with pytest.raises(ValidationError):
        settings({"method": "tail", "risk": 0.1}).threshold.risk = 0.2
