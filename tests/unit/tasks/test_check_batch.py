"""Expectations on a batch, run by Great Expectations itself."""

from __future__ import annotations

import datetime as dt
import json
import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schemas.dataset import Dataset
from schemas.errors import ConfigError
from schemas.tables import accepted_schema
from tasks.check_batch import Day, batch_frame, check_batch, plain

DATE = dt.date(2026, 9, 20)
COLUMNS = {
    "sbytes": {"type": "integer"},
    "dur": {"type": "number"},
    "proto": {"type": "category", "values": ["tcp", "udp"]},
    "at": {"type": "time"},
    "on": {"type": "boolean"},
}
VOLUME = {"expect": "volume", "usual": 1650}


def made(*expectations, timezone="UTC", columns=COLUMNS):
    return Dataset.model_validate(
        {
            "name": "d",
            "source": {"path": "a"},
            "columns": columns,
            "expectations": list(expectations),
            "timezone": timezone,
        }
    )


def core(expectation, **arguments):
    return {"expect": "core", "expectation": expectation, "arguments": arguments}


@pytest.fixture
def batch(tmp_path):
    """Two parts of accepted rows; columns that are not given hold the same value in each row."""

    def write(rows=4, **columns):
        dataset = made()
        usual = {"sbytes": 1000, "dur": 1.0, "proto": "tcp", "at": moment("2026-09-20T12:00:00Z"), "on": True}
        own = {"sereno_file": "a.csv", "sereno_line": 2, "sereno_key": "k", "sereno_hash": 1}
        values = {name: [value] * rows for name, value in (usual | own).items()} | columns
        schema = accepted_schema(dataset)
        table = pa.table([pa.array(values[f.name], f.type) for f in schema], schema=schema)
        paths = [tmp_path / "0.parquet", tmp_path / "1.parquet"]
        pq.write_table(table.slice(0, 1), paths[0])
        pq.write_table(table.slice(1), paths[1])
        return paths

    return write


def moment(text):
    return dt.datetime.fromisoformat(text)


def check(dataset, paths, rows_read=1650, **more):
    return check_batch(dataset, DATE, paths, rows_read, **more)


def only(outcomes):
    (one,) = outcomes
    return one


@pytest.mark.parametrize(
    ("rows", "usual_rows", "message"),
    [
        (1650, None, ""),
        (40, None, "volume: 40 rows where about 1,650 are usual (825 to 3,300 allowed)"),
        (0, None, "volume: 0 rows where about 1,650 are usual (825 to 3,300 allowed)"),
        (1650, 100, "volume: 1,650 rows where about 100 are usual (50 to 200 allowed)"),
    ],
)
def test_volume_counts_rows_read_against_the_usual(batch, rows, usual_rows, message):
    outcome = only(check(made(VOLUME), batch(), rows, usual_rows=usual_rows))
    assert outcome.message == message
    assert outcome.success == (not message)


def test_a_median_that_moved_is_told_in_plain_numbers(batch):
    rule = {"expect": "median", "column": "sbytes", "between": [300, 9000], "policy": "block"}
    outcome = only(check(made(rule), batch(sbytes=[1_576_960, 1_576_960, 10, 2_000_000])))
    assert outcome.message == "median of sbytes is 1,576,960 where 300 to 9,000 is expected"
    assert (outcome.observed, outcome.expected) == ("1,576,960", "300 to 9,000")
    assert (outcome.expect, outcome.column, outcome.policy) == ("median", "sbytes", "block")


@pytest.mark.parametrize(
    ("rule", "columns", "success", "observed"),
    [
        ({"expect": "nulls", "column": "dur", "at_most": 0.25}, {"dur": [1.0, None, 1.0, 1.0]}, True, "25 %"),
        ({"expect": "nulls", "column": "proto", "at_most": 0.2}, {"proto": ["tcp", None, "tcp", "x"]}, False, "25 %"),
        ({"expect": "nulls", "column": "at", "at_most": 0}, {"at": [None] * 4}, False, "100 %"),
        ({"expect": "nulls", "column": "on", "at_most": 0}, {"on": [True, None, False, True]}, False, "25 %"),
        ({"expect": "median", "column": "dur", "between": [1, 2]}, {"dur": [None] * 4}, False, "no value"),
        (
            {"expect": "known_values", "column": "proto", "at_least": 0.6},
            {"proto": ["tcp", "udp", "x", None]},
            True,
            "66.7 %",
        ),
        (
            {"expect": "known_values", "column": "proto", "at_least": 0.7},
            {"proto": ["tcp", "udp", "x", None]},
            False,
            "66.7 %",
        ),
    ],
)
def test_shares(batch, rule, columns, success, observed):
    outcome = only(check(made(rule), batch(**columns)))
    assert (outcome.success, outcome.observed) == (success, observed)
    assert bool(outcome.message) != success


def test_freshness_is_the_share_of_rows_of_the_date_in_the_datasets_zone(batch):
    at = [moment(t) for t in ("2026-09-19T22:00:00Z", "2026-09-20T21:59:59Z", "2026-09-20T22:00:00Z")] + [None]
    rule = {"expect": "freshness", "column": "at", "at_least": 0.6}
    outcome = only(check(made(rule, timezone="Europe/Berlin"), batch(at=at)))
    assert not outcome.success
    assert outcome.observed == "50 %"
    assert outcome.message == "share of rows whose at lies on 2026-09-20 is 50 % where at least 60 % is expected"
    assert only(check(made(rule | {"slack_hours": 1}, timezone="Europe/Berlin"), batch(at=at))).observed == "75 %"


@pytest.mark.parametrize(("date", "hours"), [("2026-03-29", 23), ("2026-10-25", 25), ("2026-09-20", 24)])
def test_a_date_has_the_hours_that_its_zone_gives_it(date, hours):
    assert Day.of(dt.date.fromisoformat(date), "Europe/Berlin").hours == hours


def test_blocking_failures_come_first_then_warnings_then_what_held(batch):
    median = {"expect": "median", "column": "dur"}
    rules = [
        VOLUME,
        median | {"between": [5, 6]},
        median | {"between": [7, 8], "policy": "block"},
        median | {"between": [9, 10], "policy": "block"},
    ]
    outcomes = check(made(*rules), batch())
    assert [(o.policy, o.success, o.expected) for o in outcomes] == [
        ("block", False, "7 to 8"),
        ("block", False, "9 to 10"),
        ("warn", False, "5 to 6"),
        ("warn", True, "about 1,650 are usual (825 to 3,300 allowed)"),
    ]


def test_no_accepted_rows_fail_every_rule_about_them_in_words():
    rules = [VOLUME, {"expect": "nulls", "column": "dur", "at_most": 1}, {"expect": "freshness", "column": "at"}]
    outcomes = check(made(*rules, {"expect": "median", "column": "dur", "between": [1, 2]}), [], 0)
    assert [o.success for o in outcomes] == [False] * 4
    assert {o.observed for o in outcomes} == {"0 rows", "no accepted rows"}


@pytest.mark.parametrize(
    ("rule", "success", "observed"),
    [
        (core("expect_column_mean_to_be_between", column="dur", max_value=3), True, "1"),
        (
            core("expect_column_values_to_be_between", column="sbytes", max_value=3),
            False,
            "4 unexpected values (100 %)",
        ),
        (core("expect_table_column_count_to_equal", value=5), True, "5"),
        (core("expect_table_row_count_to_be_between", min_value=9), False, "4"),
        (
            core(
                "expect_column_quantile_values_to_be_between",
                column="dur",
                quantile_ranges={"quantiles": [0.5], "value_ranges": [[5, 6]]},
            ),
            False,
            "{'quantiles': [0.5], 'values': [1.0]}",
        ),
    ],
)
def test_core_expectations(batch, rule, success, observed):
    outcome = only(check(made(rule), batch()))
    assert (outcome.success, outcome.observed) == (success, observed)
    json.dumps(outcome.model_dump(mode="json"))


@pytest.mark.parametrize("column", ["proto", "no_such_column"])
def test_what_great_expectations_cannot_evaluate_is_a_failure_in_its_words(batch, column):
    outcome = only(check(made(core("expect_column_mean_to_be_between", column=column, max_value=3)), batch()))
    assert not outcome.success
    assert outcome.observed.startswith("could not be checked: ")
    assert "Traceback" not in outcome.message


def test_an_unknown_core_name_is_a_mistake_in_the_dataset_file(batch):
    with pytest.raises(ConfigError, match="expect_column_mean_to_be_between"):
        check(made(core("expect_column_mean_to_be_betwen", column="dur")), batch())


def test_only_named_columns_are_read(batch):
    frame = batch_frame(made({"expect": "freshness", "column": "at"}), Day.of(DATE, "UTC"), batch())
    assert list(frame.columns) == ["at", "hours into the date: at"]
    assert frame["hours into the date: at"].tolist() == [12.0] * 4


def test_a_dataset_without_expectations_has_no_outcomes():
    assert check(made(), [], 0) == ()


def test_the_page_is_written_and_holds_no_sensitive_value(batch, tmp_path):
    rules = [
        VOLUME,
        {"expect": "known_values", "column": "proto", "at_least": 0.9},
        core("expect_column_mean_to_be_between", column="dur", max_value=0),
    ]
    columns = COLUMNS | {"proto": {"type": "category", "values": ["tcp"], "sensitive": True}}
    check(made(*rules, columns=columns), batch(proto=["hush-hush"] * 4), data_docs=tmp_path / "docs")
    page = (tmp_path / "docs" / "index.html").read_text()
    assert "proto" in page
    assert "hush-hush" not in page
    check(made(*rules), batch(proto=["not-hidden"] * 4), data_docs=tmp_path / "docs")
    assert "not-hidden" in (tmp_path / "docs" / "index.html").read_text()


@pytest.mark.parametrize(
    "rule",
    [
        core("expect_column_max_to_be_between", column="sbytes", max_value=9),
        core("expect_column_pair_values_a_to_be_greater_than_b", column_A="dur", column_B="sbytes"),
        {"expect": "median", "column": "sbytes", "between": [1, 2]},
    ],
)
def test_an_expectation_about_a_sensitive_column_says_only_whether_it_held(batch, rule):
    columns = COLUMNS | {"sbytes": {**COLUMNS["sbytes"], "sensitive": True}}
    outcome = only(check(made(rule, columns=columns), batch(sbytes=[250_123] * 4)))
    assert not outcome.success
    said = json.dumps(outcome.model_dump(mode="json"))
    assert "sbytes" in outcome.message
    assert not re.search(r"250|max_value|1 to 2", said)


def test_numpys_scalars_become_pythons_own():
    value = plain({"a": np.float64(1.5), "b": [np.bool_(True), (np.int64(2),)], "c": "x", "d": np.array([1, 2])[0]})
    assert json.dumps(value) == '{"a": 1.5, "b": [true, [2]], "c": "x", "d": 1}'


def test_hundreds_of_columns_are_read_without_a_warning(tmp_path):
    names = [f"c{i}" for i in range(150)]
    dataset = made(
        *({"expect": "median", "column": name, "between": [0, 2]} for name in names),
        columns={name: {"type": "number"} for name in names},
    )
    path = tmp_path / "0.parquet"
    pq.write_table(pa.table({name: [1.0, 1.0] for name in names}), path)
    frame = batch_frame(dataset, Day.of(DATE, "UTC"), [path])
    assert list(frame.columns) == names
    assert len(frame) == 2
