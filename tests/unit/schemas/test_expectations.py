"""Rules of the dataset file as Great Expectations' own."""

from __future__ import annotations

import subprocess
import sys

import pytest

from schemas.dataset import Dataset
from schemas.errors import ConfigError
from schemas.expectation_rules import Volume
from schemas.expectations import Compiled, compile_rules, compile_suite, needed_columns, volume_band

COLUMNS = {
    "dur": {"type": "number"},
    "proto": {"type": "category", "values": ["tcp", "udp"]},
    "at": {"type": "time"},
    "other": {"type": "text"},
}


def made(*expectations):
    return Dataset.model_validate(
        {"name": "d", "source": {"path": "a"}, "columns": COLUMNS, "expectations": list(expectations)}
    )


def core(expectation, **arguments):
    return {"expect": "core", "expectation": expectation, "arguments": arguments}


def compiled(*expectations, usual_rows=None, hours=24.0):
    return [(c.frame, c.name, c.arguments) for c in compile_rules(made(*expectations), usual_rows, hours)]


@pytest.mark.parametrize(
    ("usual", "band", "expected"),
    [(1650, (0.5, 2), (1650, 825, 3300)), (7, (0.5, 1.5), (7, 4, 10)), (10, (0.3, 1.1), (10, 3, 11))],
)
def test_the_allowed_volume_is_whole_rows(usual, band, expected):
    rule = Volume(expect="volume", usual=usual, between=band)
    assert volume_band(rule, None) == expected
    assert volume_band(rule, 2 * usual)[0] == 2 * usual


def test_each_rule_compiles():
    assert compiled(
        {"expect": "volume", "usual": 100},
        {"expect": "nulls", "column": "dur", "at_most": 0.7},
        {"expect": "median", "column": "dur", "between": [1, 2]},
        {"expect": "known_values", "column": "proto", "at_least": 0.9},
        {"expect": "freshness", "column": "at", "slack_hours": 2},
        core("expect_column_mean_to_be_between", column="dur", max_value=3),
        usual_rows=200,
        hours=23.0,
    ) == [
        ("read", "expect_table_row_count_to_be_between", {"min_value": 100, "max_value": 400}),
        ("accepted", "expect_column_values_to_not_be_null", {"column": "dur", "mostly": 0.3}),
        ("accepted", "expect_column_median_to_be_between", {"column": "dur", "min_value": 1, "max_value": 2}),
        (
            "accepted",
            "expect_column_values_to_be_in_set",
            {"column": "proto", "value_set": ["tcp", "udp"], "mostly": 0.9},
        ),
        (
            "accepted",
            "expect_column_values_to_be_between",
            {
                "column": "hours into the date: at",
                "min_value": -2.0,
                "max_value": 25.0,
                "strict_max": True,
                "mostly": 0.5,
            },
        ),
        ("accepted", "expect_column_mean_to_be_between", {"column": "dur", "max_value": 3}),
    ]


def test_only_columns_that_a_rule_names_are_needed():
    assert needed_columns(made({"expect": "volume", "usual": 1})) == []
    assert needed_columns(made({"expect": "freshness", "column": "at"})) == ["at"]
    pair = core("expect_column_pair_values_to_be_equal", column_A="other", column_B="dur")
    assert needed_columns(made(pair)) == ["dur", "other"]
    assert needed_columns(made(core("expect_table_columns_to_match_set", column_set=["dur"]))) == list(COLUMNS)


def suite_of(name, **arguments):
    return compile_suite("s", [Compiled(3, "accepted", name, arguments)])


def test_an_expectation_carries_its_rules_place():
    suite = suite_of("expect_column_mean_to_be_between", column="dur", max_value=3)
    assert [(e.expectation_type, e.meta) for e in suite.expectations] == [
        ("expect_column_mean_to_be_between", {"place": 3})
    ]


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("expect_column_mean_to_be_betwen", {}, "expect_column_mean_to_be_between"),
        ("expect_my_own_thing", {}, "not an expectation of Great Expectations' core"),
        ("expect_query_results_to_match_comparison", {}, "not an expectation"),
        ("expect_column_mean_to_be_between", {"column": "dur", "row_condition": "dur>1"}, "row_condition.*not allowed"),
        ("expect_column_mean_to_be_between", {"column": "dur", "max_value": 1, "colour": 1}, "does not take"),
        ("expect_column_mean_to_be_between", {}, "does not take"),
    ],
)
def test_what_is_not_of_the_core_or_would_be_evaluated_is_refused(name, arguments, words):
    with pytest.raises(ConfigError, match=words) as refused:
        suite_of(name, **arguments)
    assert "expectations[3]" in str(refused.value)


def test_great_expectations_is_not_imported_before_a_suite_is_asked_for():
    code = (
        "import sys, schemas.expectations, schemas.contract, tasks.check_batch, tasks.validate;"
        "print([m for m in ('great_expectations', 'pandera', 'tensorflow', 'prefect', 'dask') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
