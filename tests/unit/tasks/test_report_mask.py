"""Values of columns marked `sensitive` are in no report."""

from __future__ import annotations

import pytest

from schemas.results import Alert, Contribution, ExpectationOutcome, NightReport, NightResult, QuarantineSample
from tasks.report import write_report
from tasks.report_mask import masked, masked_key
from tasks.report_text import MASK

HIDDEN = "tell-nobody"
PLACE = {"source_file": "f.csv", "source_line": 3}
QUARANTINED = [("person", HIDDEN), ("(key)", f"F-1|{HIDDEN}"), ("(row)", f"F-1,{HIDDEN},3"), ("flow_id|person", HIDDEN)]


@pytest.fixture
def report() -> NightReport:
    return NightReport(
        result=NightResult(dataset="flows", date="2026-03-06", status="done", alerts=1),
        generated_at="",
        alerts=(
            Alert(
                rank=1,
                key=f"F-1|{HIDDEN}",
                entity=HIDDEN,
                event_time="2026-03-06T01:00:00Z",
                score=3.0,
                p_value=0.01,
                contributions=(
                    Contribution(column="person", share=0.8, actual=HIDDEN, expected=HIDDEN),
                    Contribution(column="bytes", share=0.2, actual="9", expected="1"),
                ),
                **PLACE,
            ),
        ),
        quarantine_sample=tuple(
            QuarantineSample(key=f"F-1|{HIDDEN}", column=column, rule="pattern", value=value, **PLACE)
            for column, value in QUARANTINED
        ),
        expectation_outcomes=(
            ExpectationOutcome(
                expect="core",
                column="person",
                policy="warn",
                success=False,
                rule="person is known",
                observed=HIDDEN,
                expected="known",
                message=f"person is {HIDDEN}",
            ),
        ),
        sensitive=("person",),
        key=("flow_id", "person"),
        entity="person",
        event_time="at",
    )


def test_values_of_sensitive_columns_appear_in_neither_file(report, tmp_path):
    paths = write_report(report, tmp_path)
    for path in (paths.html, paths.json):
        text = path.read_text(encoding="utf-8")
        assert HIDDEN not in text
        assert f"F-1|{MASK}" in text
        assert "01:00:00" in text


def test_values_of_other_columns_stay(report):
    assert masked(report).alerts[0].contributions[1] == report.alerts[0].contributions[1]
    assert masked(report.model_copy(update={"sensitive": ()})).alerts == report.alerts


def test_a_report_that_does_not_know_its_key_columns_masks_keys(report):
    alert = masked(report.model_copy(update={"key": None, "entity": None, "event_time": None})).alerts[0]
    assert (alert.key, alert.entity, alert.event_time) == (MASK, MASK, MASK)


@pytest.mark.parametrize(
    ("key", "columns", "shown"),
    [
        ("a|b", ("x", "y"), f"a|{MASK}"),
        ("a|b|c", ("x", "y"), MASK),
        ("a|b", ("x", "z"), "a|b"),
        ("0af3", (), "0af3"),
        ("a", None, MASK),
    ],
)
def test_only_the_sensitive_part_of_a_key_is_masked(key, columns, shown):
    assert masked_key(key, columns, frozenset({"y"})) == shown
