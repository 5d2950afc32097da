"""What the quarantine keeps of a row."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal

import pandas as pd
import pyarrow as pa
import pytest

from schemas.tables import quarantined_schema
from tasks.quarantine import MAX_EACH, MAX_RAW, MAX_VALUE, added, counted, quarantine_records, raw_json, sampled


def records(staged, *failures):
    staged = staged.append_column("sereno_file", pa.array(["a"] * staged.num_rows))
    staged = staged.append_column("sereno_line", pa.array(range(2, staged.num_rows + 2)))
    keys = pa.array([f"k{i}" for i in range(staged.num_rows)])
    columns = [n for n in staged.column_names if not n.startswith("sereno_")]
    return quarantine_records(staged, columns, keys, pd.DataFrame(failures, columns=["row", "column", "rule"]))


def test_each_failure_is_a_record_with_what_stood_there():
    staged = pa.table({"x": ["a", "b"], "n": [1.0, float("inf")]})
    found = records(staged, (1, "x", "min"), (1, "n", "finite"), (0, "(key)", "key"), (0, "not_staged", "null"))
    assert found.schema.equals(quarantined_schema())
    assert [(r["sereno_key"], r["column"], r["value"]) for r in found.to_pylist()] == [
        ("k0", "(key)", "k0"),
        ("k0", "not_staged", ""),
        ("k1", "n", "inf"),
        ("k1", "x", "b"),
    ]
    assert json.loads(found["raw"][3].as_py()) == {"x": "b", "n": "inf"}


def test_long_values_are_cut():
    found = records(pa.table({"x": ["é" * 1000]}), (0, "x", "pattern"))
    assert found["value"][0].as_py() == "é" * MAX_VALUE
    assert len(json.loads(found["raw"][0].as_py())["x"]) == 1000


def test_a_row_beyond_the_bound_is_cut_and_says_so():
    (text,) = raw_json(pa.table({"x": ["a" * 10 * MAX_RAW], "n": [7]}))
    assert len(text) <= MAX_RAW
    row = json.loads(text)
    assert row["sereno_cut"] is True
    assert row["n"] == 7
    assert set(row["x"]) == {"a"}
    (text,) = raw_json(pa.table({f"column {i} with a long name": [1] for i in range(4000)}))
    assert json.loads(text) == {"sereno_cut": True}


@pytest.mark.parametrize(
    ("value", "kind", "written"),
    [
        (float("nan"), pa.float64(), "nan"),
        (dt.date(2026, 9, 20), pa.date32(), "2026-09-20"),
        (Decimal("1.50"), pa.decimal128(5, 2), "1.50"),
        (b"\xff", pa.binary(), "ff"),
        (None, pa.string(), None),
        (2**60, pa.int64(), 2**60),
    ],
)
def test_native_values_are_written_as_json(value, kind, written):
    (text,) = raw_json(pa.table({"x": pa.array([value], kind)}))
    assert json.loads(text) == {"x": written}


def test_rows_are_counted_once_a_column_and_once_a_rule():
    staged = pa.table({"x": ["a", "b", "c"], "y": ["a", "b", "c"]})
    found = records(staged, (0, "x", "min"), (0, "x", "finite"), (1, "x", "min"), (1, "y", "null"))
    by_column, by_rule = counted(found)
    assert by_column == {"x": 2, "y": 1}
    assert by_rule == {("x", "min"): 2, ("x", "finite"): 1, ("y", "null"): 1}
    assert list(added([by_column, {"y": 5}]).items()) == [("y", 6), ("x", 2)]


def test_a_few_failures_of_each_reason_are_shown():
    staged = pa.table({"x": ["a"] * 50})
    found = records(staged, *((row, "x", "min") for row in range(50)), (49, "x", "max"))
    assert [s.source_line for s in sampled(found)] == [*range(2, 2 + MAX_EACH), 51]
