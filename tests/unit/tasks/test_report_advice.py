"""What a person reads first: why the night ended so, what to do, and by how much an expectation was missed."""

from __future__ import annotations

import pytest

from schemas.results import DetectorDrift, Drift, ExpectationOutcome, NightReport, NightResult
from tasks.report_advice import note, off_by, subject, verdict


def night(status, **changes) -> NightReport:
    result = NightResult(**{"dataset": "flows", "date": "2026-03-06", "status": status, **changes})
    return NightReport(result=result, generated_at="")


def an_outcome(observed, expected, **changes) -> ExpectationOutcome:
    given = {"expect": "median", "column": "x", "policy": "block", "success": False, "rule": f"median of x: {expected}"}
    return ExpectationOutcome(observed=observed, expected=expected, **{**given, **changes})


def test_a_hint_in_the_reason_becomes_a_step():
    told = verdict(night("failed", reason="The disk is full.\nIt holds 3 nights.\nHint: free some space"))
    assert [reason.text for reason in told.reasons] == ["The disk is full.", "It holds 3 nights."]
    assert told.steps[0].text == "Free some space."


@pytest.mark.parametrize(("judged", "is_told"), [("stale", True), ("relations moved", True), ("columns moved", False)])
def test_what_the_detector_makes_of_drift_is_told_where_a_person_has_something_to_do(judged, is_told):
    seen = DetectorDrift(verdict=judged, message="Why.", advice="Train.", command="sereno train flows")
    told = verdict(night("done").model_copy(update={"drift": Drift(verdict="steady", detector=seen)}))
    assert ("Why." in [reason.text for reason in told.reasons]) == is_told
    assert ("sereno train flows" in [step.command for step in told.steps]) == is_told


def test_an_unreadable_night_cannot_be_accepted():
    assert [step.command for step in verdict(night("blocked")).steps] == ["sereno run flows --date 2026-03-06"]


def test_a_hostile_dataset_name_is_quoted_in_commands():
    assert verdict(night("missing", dataset="a; rm -rf x")).steps[-1].command.startswith("sereno run 'a; rm -rf x' ")


def test_a_blocked_night_gives_each_reason_once():
    outcome = an_outcome("500", "1 to 9", message="median of x is 500 where 1 to 9 is expected")
    report = night("blocked", reason=f"{outcome.message}\n60 % of the rows are quarantined")
    told = verdict(report.model_copy(update={"expectation_outcomes": (outcome,)}))
    assert [(reason.rule, reason.text) for reason in told.reasons] == [
        ("median of x", "500; allowed: 1 to 9; 55.6 times too high"),
        ("", "60 % of the rows are quarantined"),
    ]


def test_a_quiet_night_asks_for_nothing():
    told = verdict(night("done", model={"version": "3"}))
    assert (told.tone, told.word, [step.text for step in told.steps]) == ("done", "Quiet night", ["Nothing to do."])


def test_what_is_allowed_is_said_once():
    outcome = an_outcome("500", "1 to 9", message="median of x is 500 where 1 to 9 is expected")
    assert (subject(outcome), note(outcome)) == ("median of x", "")
    assert note(outcome.model_copy(update={"message": "ask the owner"})) == "ask the owner"


@pytest.mark.parametrize(
    ("observed", "expected", "said"),
    [
        ("251 rows", "about 2,498 are usual (1,249 to 4,996 allowed)", "4.98 times too low"),
        ("1,232,896", "300 to 9,000", "137 times too high"),
        ("9,500", "300 to 9,000", "500 too high"),
        ("14.1 %", "at most 12 %", "2.1 points too high"),
        ("40 %", "at least 50 %", "10 points too low"),
        ("0", "300 to 9,000", "300 too low"),
        ("-5", "-2 to 2", "3 too low"),
        ("no accepted rows", "300 to 9,000", ""),
        ("3 of 9", "at most 2", ""),
        ("0.14", "at most 12 %", ""),
        ("5", "to hold", ""),
    ],
)
def test_a_failed_expectation_says_by_how_much(observed, expected, said):
    assert off_by(an_outcome(observed, expected)) == said
