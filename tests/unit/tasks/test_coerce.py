"""Loose reading: what a text or a native value becomes, and which rule a value that cannot be read fails."""

from __future__ import annotations

from decimal import Decimal

import hypothesis.strategies as st
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings

from schemas.dataset import Column, Dataset, Source
from schemas.tables import arrow_type
from tasks.coerce import coerce_column, coerce_table


def read(values, kind, **source):
    """(values, {rule: rows}) of one column; `values` are texts, or an Arrow array."""
    staged = values if isinstance(values, pa.Array | pa.ChunkedArray) else pa.array(values, pa.string())
    column = Column(type=kind)
    coerced = coerce_column(staged, column, Source(path="a.csv", **source), "UTC")
    assert coerced.values.type == arrow_type(column.type)
    assert len(coerced.values) == len(staged)
    return coerced.values.to_pylist(), {rule: np.flatnonzero(mask).tolist() for rule, mask in coerced.failures}


@pytest.mark.parametrize("token", ["", " ", "NA", "  NA ", "nan", "null", "None"])
@pytest.mark.parametrize("kind", ["integer", "number", "boolean", "time", "category", "text"])
def test_a_word_for_missing_is_missing_in_every_type_also_between_blanks(kind, token):
    assert read([token], kind) == ([None], {})


def test_own_words_for_missing_replace_the_usual_ones_and_an_empty_field_of_a_number_is_still_missing():
    assert read(["-", "NA", ""], "category", null_values=("-",)) == ([None, "NA", ""], {})
    assert read(["-", ""], "number", null_values=("-",)) == ([None, None], {})


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("12", 12),
        ("+7", 7),
        ("007", 7),
        ("12.0", 12),
        ("12.", 12),
        ("-3", -3),
        ("1e3", 1000),
        (" 5 ", 5),
        ("9223372036854775807", 2**63 - 1),
        ("-9223372036854775808", -(2**63)),
        ("00000000000000000000012", 12),
    ],
)
def test_integers_are_read_as_people_write_them(text, value):
    assert read([text], "integer") == ([value], {})
    assert read([text, "x"], "integer") == ([value, None], {"type: not a number": [1]})


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("12.5", "type: not an integer"),
        ("inf", "type: not an integer"),
        ("9223372036854775808", "type: beyond 64 bits"),
        ("1e30", "type: beyond 64 bits"),
        ("n/a?", "type: not a number"),
        ("0x1F", "type: not a number"),
        ("1_000", "type: not a number"),
        ("1,000", "type: not a number"),
        ("--1", "type: not a number"),
    ],
)
def test_an_integer_that_cannot_be_read_fails_for_its_reason(text, rule):
    assert read(["1", text], "integer") == ([1, None], {rule: [1]})


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1.5", 1.5),
        (".5", 0.5),
        ("1.", 1.0),
        ("1e-7", 1e-07),
        ("+2", 2.0),
        (" 3 ", 3.0),
        ("inf", float("inf")),
        ("-Infinity", float("-inf")),
        ("NAN", None),
    ],
)
def test_numbers_are_read_as_programs_write_them(text, value):
    assert read([text], "number") == ([value], {})
    assert read([text, "n/a?"], "number") == ([value, None], {"type: not a number": [1]})


def test_minus_zero_is_zero():
    assert str(read(["-0.0"], "number")[0][0]) == "0.0"
    assert str(read(pa.array([-0.0]), "number")[0][0]) == "0.0"


@pytest.mark.parametrize(
    ("text", "source", "value"),
    [
        ("1.234,5", {"decimal": ",", "thousands": "."}, 1234.5),
        ("1234,5", {"decimal": ","}, 1234.5),
        ("1,234,567.5", {"thousands": ","}, 1234567.5),
        ("-1 234,5", {"decimal": ",", "thousands": " "}, -1234.5),
        ("1\u00a0234,5", {"decimal": ",", "thousands": " "}, 1234.5),
        ("1\u202f234", {"decimal": ",", "thousands": " "}, 1234.0),
        ("1'234.5", {"thousands": "'"}, 1234.5),
        ("12.5", {"thousands": ","}, 12.5),
    ],
)
def test_decimal_and_thousands_marks(text, source, value):
    assert read([text], "number", **source) == ([value], {})


@pytest.mark.parametrize(
    ("text", "source"),
    [("1.5", {"decimal": ","}), ("1,2,3", {"thousands": ","}), ("12,34", {"thousands": ","}), ("1,5", {})],
)
def test_a_mark_in_the_wrong_place_is_not_guessed_at(text, source):
    assert read([text], "number", **source) == ([None], {"type: not a number": [0]})


def test_integers_take_the_dataset_files_marks():
    assert read(["1.234", "12,0", "1,5"], "integer", decimal=",", thousands=".") == (
        [1234, 12, None],
        {"type: not an integer": [2]},
    )


def test_booleans_are_the_dataset_files_words():
    assert read(["true", "Y", "1", "1.0", "no", "0", "", "maybe"], "boolean") == (
        [True, True, True, True, False, False, None, None],
        {"type: not true or false": [7]},
    )
    assert read(["ja", "nein"], "boolean", true_values=("ja",), false_values=("nein",)) == ([True, False], {})


def test_text_and_category_lose_blanks_around_them_and_nothing_else():
    for kind in ("text", "category"):
        assert read([" a b ", "x\ty", "ñ"], kind) == (["a b", "x\ty", "ñ"], {})


@pytest.mark.parametrize(
    ("native", "kind", "values", "failures"),
    [
        (pa.array([1, None], pa.int8()), "integer", [1, None], {}),
        (pa.array([1, 2**63], pa.uint64()), "integer", [1, None], {"type: beyond 64 bits": [1]}),
        (pa.array([1.0, float("nan"), 1.5]), "integer", [1, None, None], {"type: not an integer": [2]}),
        (pa.array([True, None]), "integer", [None, None], {"type: not a number": [0]}),
        (pa.array([Decimal("1.50"), None]), "number", [1.5, None], {}),
        (pa.array([1.5, float("nan")]), "number", [1.5, None], {}),
        (pa.array([2**53 + 1]), "integer", [2**53 + 1], {}),
        (pa.array([1, 0, 2]), "boolean", [True, False, None], {"type: not true or false": [2]}),
        (pa.array([1.0, 0.0]), "boolean", [True, False], {}),
        (pa.array(["a", None, "a"]).dictionary_encode(), "category", ["a", None, "a"], {}),
        (pa.array(["a"], pa.large_string()), "text", ["a"], {}),
        (pa.array([7, 12]), "category", ["7", "12"], {}),
        (pa.array([7.0, 0.5]), "category", ["7", "0.5"], {}),
        (pa.array([{"b": 1}, None]), "text", ['{"b": 1}', None], {}),
        (pa.array([b"a", b"\xff"]), "text", ["a", None], {"type: not text": [1]}),
        (pa.nulls(2), "number", [None, None], {}),
        (pa.array([[1], None]), "number", [None, None], {"type: not a number": [0]}),
    ],
)
def test_native_values(native, kind, values, failures):
    assert read(native, kind) == (values, failures)


def test_a_number_that_stands_for_missing_does_so_in_native_columns_too():
    assert read(pa.array([-999, 5]), "integer", null_values=("-999",)) == ([None, 5], {})
    assert read(pa.array([-999.0, 5.0]), "number", null_values=("-999",)) == ([None, 5.0], {})
    assert read(["-999", "5"], "integer", null_values=("-999",)) == ([None, 5], {})


WRITTEN = st.one_of(
    st.integers(-(2**70), 2**70).map(str),
    st.floats().map(repr),
    st.sampled_from(["", " ", "NA", "n/a?", "0x1F", "+7", "12.0", "1e5", "12.5", " 3 ", "inf", "NAN", "true", "t"]),
    st.sampled_from(
        ["2026-09-20T00:00:11Z", "2026-09-20 01:02", "2026-02-30", "20260920", "2026-09-20T10:00:00+05:30"]
    ),
    st.text(max_size=5),
)


@settings(max_examples=150)
@given(st.lists(WRITTEN, min_size=1, max_size=12), st.sampled_from(["integer", "number", "boolean", "time", "text"]))
def test_a_value_is_read_the_same_alone_as_among_others(texts, kind):
    together, failures = read(texts, kind)
    alone = [read([text], kind) for text in texts]
    assert together == [values[0] for values, _ in alone]
    failed = {row: rule for rule, rows in failures.items() for row in rows}
    assert failed == {row: next(iter(rules)) for row, (_, rules) in enumerate(alone) if rules}


def test_a_column_that_the_part_lacks_is_missing_and_columns_come_in_the_contracts_order():
    dataset = Dataset(
        name="d", source={"path": "a"}, columns={"a": {"type": "integer"}, "b": {"type": "time"}, "c": {"type": "text"}}
    )
    typed, failures = coerce_table(pa.table({"c": ["x"], "a": ["?"]}), dataset)
    assert typed.to_pylist() == [{"a": None, "b": None, "c": "x"}]
    assert [(column, rule, mask.tolist()) for column, rule, mask in failures] == [("a", "type: not a number", [True])]


def test_no_rows_are_no_trouble():
    for kind in ("integer", "number", "boolean", "time", "category", "text"):
        assert read([], kind) == ([], {})
        assert read(pa.chunked_array([], pa.string()), kind) == ([], {})
