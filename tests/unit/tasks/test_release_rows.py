"""Which quarantined rows can be released, and what they become."""

from __future__ import annotations

import json
import math
from datetime import UTC, date, datetime

import pyarrow as pa
import pytest

from infra.runtime.releases import Release
from schemas.dataset import Dataset
from schemas.tables import accepted_schema
from tasks.release_rows import Failure, QuarantinedRow, rows_of, typed_rows, why_not, without_known_keys
from tasks.released_before import words_of

COLUMNS = {
    "id": {"type": "integer"},
    "x": {"type": "number", "min": 0, "nullable": False},
    "c": {"type": "category", "nullable": False, "values": ["a", "b"], "unseen": "quarantine"},
    "t": {"type": "time", "format": "%d.%m.%Y %H:%M"},
}


def made(**changes):
    return Dataset.model_validate(
        {"name": "d", "source": {"path": "a.csv"}, "key": ["id"], "columns": COLUMNS, **changes}
    )


def row(*failures, key="7", line=9, **values):
    raw = {"id": "7", "x": "1", "c": "a", "t": "20.09.2026 10:00", **values}
    return QuarantinedRow("a.csv", line, key, json.dumps(raw), tuple(Failure(*failure) for failure in failures))


@pytest.mark.parametrize(
    ("failure", "values", "column", "taken"),
    [
        (("x", "min", "-4"), {"x": "-4"}, "x", -4.0),
        (("x", "finite", "inf"), {"x": "inf"}, "x", math.inf),
        (("x", "null", ""), {"x": ""}, "x", None),
        (("c", "values", "z"), {"c": "z"}, "c", "z"),
    ],
    ids=["range", "infinite", "missing", "category"],
)
def test_a_value_that_breaks_a_rule_is_taken_as_it_is(failure, values, column, taken):
    released = typed_rows([row(failure, **values)], made(), as_missing=False)
    assert released.table.schema.equals(accepted_schema(made()))
    assert released.table[column].to_pylist() == [taken]
    assert released.table["sereno_key"].to_pylist() == ["7"]
    assert released.table["sereno_line"].to_pylist() == [9]
    assert released.table["t"][0].as_py().isoformat() == "2026-09-20T10:00:00+00:00"
    assert released.refused == ()


def test_a_value_that_cannot_be_read_is_missing_only_when_a_person_says_so():
    spoilt = row(("x", "type: not a number", "n/a?"), x="n/a?")
    ((_, reason),) = typed_rows([spoilt], made(), as_missing=False).refused
    assert "x is not a number" in reason
    assert "--as-missing" in reason
    assert typed_rows([spoilt], made(), as_missing=True).table["x"].to_pylist() == [None]


@pytest.mark.parametrize(
    ("spoilt", "said"),
    [
        (QuarantinedRow("a.csv", 3, "", "1,2,3,4", (Failure("(row)", "fields", "4"),)), "could not be read as a row"),
        (row(("(key)", "key", "7")), "its key is in the night already"),
        (row(("id", "null", ""), key="", id=""), "its key id has no value"),
        (row(("id", "type: not an integer", "x7"), key="x7", id="x7"), "its key id has no value"),
        (row(("x", "min", "-1"), x="-1", sereno_cut=True), "longer than"),
        (row(("x", "min", "-1"), ("x", "min", "-1"), x="-1"), "two files of this name"),
    ],
    ids=["ragged", "repeated", "no key", "unread key", "cut", "two files"],
)
def test_what_cannot_be_released_says_why(spoilt, said):
    assert said in why_not(spoilt, made(), as_missing=True)
    released = typed_rows([spoilt], made(), as_missing=True)
    assert released.rows == ()
    assert said in released.refused[0][1]


def test_a_contract_that_finds_more_wrong_with_a_row_asks_for_a_new_run():
    stricter = made(columns={**COLUMNS, "n": {"type": "integer", "nullable": False}})
    ((_, reason),) = typed_rows([row(("x", "min", "-1"), x="-1")], stricter, as_missing=False).refused
    assert "n: null" in reason
    assert "do the night again" in reason


def test_a_row_without_a_key_must_read_as_the_content_that_names_it():
    keyless = made(key=[])
    spoilt = row(("x", "min", "-1"), key="0" * 32, x="-1")
    ((_, reason),) = typed_rows([spoilt], keyless, as_missing=False).refused
    assert "read differently" in reason


def test_native_values_of_a_file_are_read_like_texts():
    values = {"id": 7, "x": -0.25, "c": "a", "t": None}
    native = QuarantinedRow("a.parquet", 1, "7", json.dumps(values), (Failure("x", "min", "-0.25"),))
    texts = row(("x", "min", "-1"), key="8", line=2, id="8", x="-1")
    released = typed_rows([native, texts], made(), as_missing=False)
    assert released.table["x"].to_pylist() == [-0.25, -1.0]
    assert released.table["id"].to_pylist() == [7, 8]


def test_a_key_stays_that_of_one_row():
    twins = [row(("x", "min", "-1"), x="-1", line=line) for line in (3, 4)]
    released = typed_rows(twins, made(), as_missing=False)
    one = without_known_keys(released, made(), pa.chunked_array([["1", "2"]]))
    assert [kept.line for kept in one.rows] == one.table["sereno_line"].to_pylist() == [3]
    none = without_known_keys(released, made(), pa.chunked_array([["7"]]))
    assert none.rows == ()
    assert len(none.refused) == 2


def test_records_of_one_line_are_one_row():
    names = ("sereno_key", "sereno_file", "sereno_line", "column", "rule", "value", "raw")
    lines = [
        ("k", "a", 4, "x", "min", "-1", "{}"),
        ("j", "a", 2, "x", "min", "-1", "{}"),
        ("k", "a", 4, "c", "null", "", "{}"),
    ]
    found = rows_of(pa.Table.from_pylist([dict(zip(names, line, strict=True)) for line in lines]))
    assert [(r.line, [f.column for f in r.failures]) for r in found] == [(2, ["x"]), (4, ["c", "x"])]
    assert found[0].named().digest != row().named().digest


def released(actor="ana", **changes):
    named = row(("x", "min", "-1"), x="-1", **changes).named()
    return Release(date(2026, 9, 20), "run", named, "looked at it", actor, datetime(2026, 9, 21, tzinfo=UTC))


def test_a_row_that_was_released_again_counts_once_for_who_did_it_last():
    releases = [released(), released(line=10), released("ben")]
    assert words_of(releases) == ("released from the quarantine: 1 by ben: looked at it, 1 by ana: looked at it",)
    assert words_of(releases, 2) == words_of(releases)
    assert "; 1 of them" in words_of(releases, 1)[0]
