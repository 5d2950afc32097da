"""Values of columns marked `sensitive` are in no report."""

from __future__ import annotations

import pytest

from schemas.results import (
    Alert,
    Change,
    ColumnDrift,
    Contribution,
    Drift,
    ExpectationOutcome,
    LikeRow,
    NightReport,
    NightResult,
    QuarantineSample,
)
from tasks.report import write_report
from tasks.report_mask import masked, masked_configuration, masked_key
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


COLUMN = {"type": "category", "values": [HIDDEN], "min": None, "pattern": HIDDEN, "sensitive": True}
CONFIGURATION = {
    "columns": {"person": COLUMN, "bytes": {"type": "integer", "min": 5.0}},
    "expectations": [
        {"expect": "median", "policy": "warn", "column": "person", "between": [4711, 4712]},
        {"expect": "core", "policy": "warn", "expectation": "e", "arguments": {"column_set": ["person", HIDDEN]}},
        {"expect": "nulls", "policy": "warn", "column": "bytes", "at_most": 0.25},
    ],
}


@pytest.fixture
def described(report) -> NightReport:
    """The report with what describes a night, each part quoting the value that nobody may see."""
    like = LikeRow(
        key=f"F-2|{HIDDEN}", night="2026-03-05", score=0.1, values={"person": f"not {HIDDEN}", "bytes": "12"}
    )
    quoting = f"'{HIDDEN}' in 9 % of the rows"
    columns = (
        ColumnDrift(column="person", measure="m", value=0.5, usual=0.1, verdict="moved", message=quoting),
        ColumnDrift(column="bytes", measure="m", value=0.4, usual=0.1, verdict="moved", message="median 9"),
    )
    changes = (
        Change(what="columns.person.values", before="none", tonight=f'["{HIDDEN}"]'),
        Change(what="columns.person", before=f'{{"values": ["{HIDDEN}"]}}', tonight="not there"),
        Change(what="columns.bytes.min", before="1", tonight="5"),
        Change(what="expectations", before="not there", tonight=f'{{"column": "person", "x": "{HIDDEN}"}}'),
        Change(what="person is known", before="held", tonight=f"fails: {HIDDEN}"),
    )
    return report.model_copy(
        update={
            "alerts": tuple(alert.model_copy(update={"like": like}) for alert in report.alerts),
            "drift": Drift(columns=columns, verdict="moved", message=f"2 columns moved. person: {quoting}.", nights=4),
            "changes": changes,
            "configuration": CONFIGURATION,
        }
    )


def test_like_rows_drift_changes_and_the_dataset_file_tell_nothing_of_a_sensitive_column(described, tmp_path):
    paths = write_report(described, tmp_path)
    for path in (paths.html, paths.json):
        text = path.read_text(encoding="utf-8")
        assert HIDDEN not in text
        assert "4711" not in text


def test_what_is_said_of_other_columns_stays(described):
    shown = masked(described)
    like = shown.alerts[0].like
    assert (like.key, like.values) == (f"F-2|{MASK}", {"person": MASK, "bytes": "12"})
    assert [column.message for column in shown.drift.columns] == [MASK, "median 9"]
    assert shown.drift.message == f"2 columns moved. person: {MASK}."
    assert [(change.before, change.tonight) for change in shown.changes] == [
        ("none", MASK),
        (MASK, "not there"),
        ("1", "5"),
        ("not there", MASK),
        ("held", "fails"),
    ]
    assert shown.configuration["columns"]["bytes"] == CONFIGURATION["columns"]["bytes"]
    assert shown.configuration["expectations"][2] == CONFIGURATION["expectations"][2]


def test_masking_twice_changes_nothing(described):
    once = masked(described)
    assert masked(once) == once
    assert masked_configuration(once.configuration, frozenset({"person"})) == once.configuration


def test_a_report_without_sensitive_columns_stays_as_it_is(described):
    plain = described.model_copy(update={"sensitive": ()})
    assert masked(plain) == plain
