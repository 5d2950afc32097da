"""What changed since the last night: only what differs, in words, and notable where nights do not usually differ so."""

from __future__ import annotations

import pytest

from schemas.results import (
    Change,
    DetectorDrift,
    Drift,
    ExpectationOutcome,
    ModelOutcome,
    NightReport,
    NightResult,
    RowCounts,
)
from tasks.night_changes import MOST_KEYS, changes_between, configuration_changes, is_unusual

BEFORE, TONIGHT = "2026-09-19", "2026-09-20"


def a_report(date, read=10_000, quarantined=10, alerts=20, held=0, version="3", status="done", **more):
    result = NightResult(
        dataset="flows",
        date=date,
        status=status,
        rows=RowCounts(read=read, accepted=read - quarantined - held, quarantined=quarantined, held=held),
        model=ModelOutcome(version=version, champion=version, family="denoising"),
        threshold=more.pop("threshold", 2.0),
        alerts=alerts,
    )
    return NightReport(result=result, generated_at="", **more)


def a_history(nights=7, **changes):
    points = [
        {"date": f"2026-09-{10 + at}", "read": 10_000 + 40 * (-1) ** at, "quarantined": 10 + at % 3, "alerts": 18 + at}
        for at in range(nights)
    ]
    return tuple({**point, "version": "3", **changes} for point in points)


def the_changes(before=None, tonight=None):
    history = (tonight or {}).pop("history", a_history())
    found = changes_between(a_report(BEFORE, **(before or {})), a_report(TONIGHT, history=history, **(tonight or {})))
    return {change.what: change for change in found}


def test_two_nights_alike_have_no_changes():
    assert the_changes() == {}


def test_rows_that_differ_as_they_usually_do_are_told_but_not_notable():
    found = the_changes(tonight={"read": 10_050})
    assert found["rows read"] == Change(what="rows read", before="10,000", tonight="10,050", notable=False)


def test_rows_beyond_what_nights_differ_by_are_notable():
    assert the_changes(tonight={"read": 4_000})["rows read"].notable
    assert the_changes(tonight={"read": 4_000, "history": a_history(2)})["rows read"].notable is False


def test_quarantined_rows_are_judged_by_their_share():
    few = the_changes(tonight={"quarantined": 12})["rows quarantined"]
    assert (few.before, few.tonight, few.notable) == (
        "10 (0.1\N{NO-BREAK SPACE}%)",
        "12 (0.1\N{NO-BREAK SPACE}%)",
        False,
    )
    assert the_changes(tonight={"quarantined": 300})["rows quarantined"].notable


def test_alerts_are_judged_against_nights_that_were_scored():
    assert not the_changes(tonight={"alerts": 27})["alerts"].notable
    assert the_changes(tonight={"alerts": 90})["alerts"].notable
    unscored = a_history(version=None)
    assert not the_changes(tonight={"alerts": 90, "history": unscored})["alerts"].notable
    assert "alerts" not in the_changes(tonight={"alerts": 0, "threshold": None})


def test_held_rows_and_another_outcome_are_notable():
    found = the_changes(tonight={"held": 9_990, "status": "blocked", "threshold": None})
    assert found["status"] == Change(what="status", before="done", tonight="blocked", notable=True)
    assert (found["rows held"].before, found["rows held"].tonight) == ("0", "9,990")


def test_another_version_and_threshold_are_told():
    found = the_changes(tonight={"version": "4", "threshold": 2.31})
    assert [found[what].tonight for what in ("version that scored", "champion", "threshold")] == ["4", "4", "2.31"]
    assert not any(change.notable for change in found.values())


def an_outcome(rule, success):
    return ExpectationOutcome(
        expect="median", column="sent", policy="warn", success=success, rule=rule, observed="7", expected="9"
    )


def test_expectations_that_fail_newly_or_hold_again_are_told():
    before = [an_outcome("a", True), an_outcome("b", False), an_outcome("c", True)]
    after = [an_outcome("a", False), an_outcome("b", True), an_outcome("c", True), an_outcome("d", False)]
    found = the_changes({"expectation_outcomes": tuple(before)}, {"expectation_outcomes": tuple(after)})
    assert found["a"] == Change(what="a", before="held", tonight="fails: 7", notable=True)
    assert found["b"] == Change(what="b", before="failed", tonight="holds again: 7", notable=False)
    assert set(found) == {"a", "b"}


@pytest.mark.parametrize(
    ("expect", "column", "rules"),
    [
        ("volume", None, ("volume: about 1,001 are usual", "volume: about 1,003 are usual")),
        ("freshness", "at", ("share of rows whose at lies on 2026-01-01", "share of rows whose at lies on 2026-01-02")),
    ],
)
def test_an_expectation_whose_words_name_the_night_is_known_again(expect, column, rules):
    def one(rule, success):
        return an_outcome(rule, success).model_copy(update={"expect": expect, "column": column})

    found = the_changes(
        {"expectation_outcomes": (one(rules[0], True),)}, {"expectation_outcomes": (one(rules[1], False),)}
    )
    assert found[rules[1]].tonight == "fails: 7"


def test_drift_that_sets_in_is_notable():
    found = the_changes({"drift": Drift(verdict="steady")}, {"drift": Drift(verdict="moved far")})
    assert found["drift of the columns"].notable
    assert the_changes({"drift": Drift()}, {"drift": Drift(verdict="moved")}) == {}


def test_another_verdict_of_the_detector_is_told_and_notable_where_a_person_has_something_to_do():
    before, stale, copes = (
        {"drift": Drift(verdict="steady", detector=DetectorDrift(verdict=verdict))}
        for verdict in ("steady", "stale", "columns moved")
    )
    found = the_changes(before, stale)["drift as the detector sees it"]
    assert (found.before, found.tonight, found.notable) == ("steady", "stale", True)
    assert not the_changes(before, copes)["drift as the detector sees it"].notable
    assert the_changes({"drift": Drift(verdict="steady")}, stale) == {}


FILE = {
    "timezone": "UTC",
    "key": ["id"],
    "columns": {"a": {"type": "number", "min": None, "values": ["x"]}, "b": {"type": "text", "min": 0.0}},
    "expectations": [{"expect": "nulls", "column": "a", "at_most": 0.1}, {"expect": "median", "column": "b"}],
    "detector": {"alert_budget": 20.0, "hidden": [256]},
}


def changed_file(**changes):
    return [(c.what, c.before, c.tonight) for c in configuration_changes(FILE, {**FILE, **changes})]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, []),
        ({"detector": {"alert_budget": 40.0, "hidden": [256]}}, [("detector.alert_budget", "20", "40")]),
        ({"detector": {"alert_budget": 20.0, "hidden": [64, 16]}}, [("detector.hidden", "[256]", "[64, 16]")]),
        ({"columns": {"a": FILE["columns"]["a"]}}, [("columns.b", '{"type": "text", "min": 0.0}', "not there")]),
        (
            {"columns": {**FILE["columns"], "c": {"type": "time", "min": None}}},
            [("columns.c", "not there", '{"type": "time"}')],
        ),
        ({"columns": {**FILE["columns"], "b": {"type": "text", "min": None}}}, [("columns.b.min", "0", "none")]),
        (
            {"expectations": [{"expect": "volume"}, *FILE["expectations"]]},
            [("expectations", "not there", '{"expect": "volume"}')],
        ),
        ({"key": ["id", "a"]}, [("key", '["id"]', '["id", "a"]')]),
    ],
)
def test_keys_of_the_dataset_file_that_changed_are_named_by_path(changes, said):
    assert changed_file(**changes) == said


def test_a_dataset_file_of_which_nothing_is_known_says_nothing():
    assert configuration_changes({}, FILE) == ()
    assert configuration_changes(FILE, {}) == ()


def test_a_file_that_changed_altogether_is_told_in_bounds():
    before = {"columns": {f"c{at}": {"type": "text"} for at in range(500)}}
    found = configuration_changes(before, {"columns": {f"d{at}": {"type": "text" * 999} for at in range(500)}})
    assert len(found) == MOST_KEYS + 1
    assert found[-1].tonight == "960 more keys changed"
    assert all(len(change.before) <= 170 and len(change.tonight) <= 170 for change in found)


def test_a_value_is_unusual_beyond_what_the_values_before_differ_by():
    assert not is_unusual(500, [1, 2], 1)
    assert is_unusual(500, [1, 2, 3], 1)
    assert not is_unusual(13, [10, 10, 10], 1)
    assert is_unusual(14, [10, 10, 10], 1)
