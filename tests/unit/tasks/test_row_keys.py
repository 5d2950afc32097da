"""Names of rows: what they are made of, and what they must not depend on."""

from __future__ import annotations

import datetime as dt

import hypothesis.strategies as st
import pyarrow as pa
import pytest
from hypothesis import given, settings

from schemas.dataset import Dataset
from tasks.coerce import coerce_table
from tasks.row_keys import canonical_text, content_keys, hash_text, row_keys

PINNED_HASHES = [-9038873097560174361, -6633381584828207430, -5426141060434712860, -8163775443026199614]
PINNED_KEYS = ["fc7f03c1e07f0c137faf41d8ce2f0c21", "d9db9ff838f919412dcec9eb4ab33de1"]
KINDS = {"id": "integer", "x": "number", "on": "boolean", "c": "category", "at": "time"}


def made(key=(), kinds=None):
    columns = {name: {"type": kind} for name, kind in (kinds or KINDS).items()}
    return Dataset(name="d", source={"path": "a"}, key=key, columns=columns)


def keys(dataset, **staged):
    table = pa.table(
        {name: values if isinstance(values, pa.Array) else pa.array(values) for name, values in staged.items()}
    )
    return row_keys(coerce_table(table, dataset)[0], dataset).to_pylist()


def test_the_protocol_is_what_it_was():
    """Samples, scores and labels of earlier nights hang on these; another value needs a new PROTOCOL."""
    assert hash_text(pa.array(["7", "a|b", "", "ñ"])).tolist() == PINNED_HASHES
    assert (
        keys(made(), id=["1", ""], x=["0.1", "-0"], on=["true", ""], c=["tcp", ""], at=["2026-09-20", ""])
        == PINNED_KEYS
    )


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        (pa.array([7, None, -(2**63)]), ["7", None, "-9223372036854775808"]),
        (pa.array([7.0, 0.1, 1e20, 1e-7, 0.1 + 0.2]), ["7", "0.1", "1e+20", "1e-7", "0.30000000000000004"]),
        (pa.array([True, False]), ["true", "false"]),
        (pa.array(["a"]), ["a"]),
        (
            pa.array(
                [
                    dt.datetime(2026, 9, 20, 0, 0, 11, tzinfo=dt.UTC),
                    dt.datetime(2026, 9, 20, 0, 0, 11, 5, tzinfo=dt.UTC),
                ],
                pa.timestamp("us", tz="UTC"),
            ),
            ["2026-09-20T00:00:11Z", "2026-09-20T00:00:11.000005Z"],
        ),
    ],
)
def test_canonical_text(values, texts):
    assert canonical_text(values).to_pylist() == texts


def test_one_key_however_it_is_written():
    dataset = made(key=["id", "x", "at"])
    expected = ["7|1.5|2026-09-20T00:00:11Z"]
    assert keys(dataset, id=["007"], x=["1.50"], at=["2026-09-20T02:00:11+02:00"]) == expected
    assert keys(dataset, id=["7.0"], x=["15e-1"], at=["20260920T000011Z"]) == expected
    at = pa.array([dt.datetime(2026, 9, 20, 0, 0, 11, tzinfo=dt.UTC)], pa.timestamp("ms", tz="Europe/Berlin"))
    assert keys(dataset, id=pa.array([7], pa.int16()), x=pa.array([1.5], pa.float32()), at=at) == expected


def test_parts_of_a_key_cannot_run_into_each_other():
    dataset = made(key=["a", "b"], kinds={"a": "text", "b": "text"})
    found = keys(dataset, a=["x|y", "x", "x\\", "x"], b=["z", "y|z", "|z", "\\||z"])
    assert len(set(found)) == 4
    assert keys(made(key=["a"], kinds={"a": "text"}), a=["x|y"]) == ["x|y"]


def test_a_key_that_cannot_be_read_is_named_by_what_stood_there():
    dataset = made(key=["id"], kinds={"id": "integer"})
    staged = pa.table({"id": ["12", "n/a?", ""]})
    typed, _ = coerce_table(staged, dataset)
    assert row_keys(typed, dataset, [staged["id"].combine_chunks()]).to_pylist() == ["12", "n/a?", ""]


def test_content_does_not_depend_on_the_order_of_columns_but_on_which_column_holds_what():
    table = pa.table({"a": [1, 2], "b": [2, 1], "c": ["x", None]})
    assert content_keys(table).to_pylist() == content_keys(table.select(["c", "b", "a"])).to_pylist()
    first, second = content_keys(table).to_pylist()
    assert first != second
    assert len(first) == 32


def test_missing_is_not_zero_and_not_empty():
    assert len(set(content_keys(pa.table({"a": pa.array([0, None, 1])})).to_pylist())) == 3
    assert len(set(content_keys(pa.table({"a": pa.array(["", None, "0"])})).to_pylist())) == 3


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(st.integers(-(2**63), 2**63 - 1) | st.none(), st.floats(allow_nan=False), st.text() | st.none()),
        max_size=12,
    ),
    st.integers(0, 12),
)
def test_names_do_not_depend_on_how_rows_are_dealt_into_parts(rows, at):
    columns = list(zip(*rows, strict=True)) or [(), (), ()]
    table = pa.table(
        {
            "i": pa.array(columns[0], pa.int64()),
            "f": pa.array(columns[1], pa.float64()),
            "t": pa.array(columns[2], pa.string()),
        }
    )
    whole = content_keys(table).to_pylist()
    assert whole == content_keys(table.slice(0, at)).to_pylist() + content_keys(table.slice(at)).to_pylist()
    hashes = hash_text(pa.array(whole, pa.string())).tolist()
    assert [hash_text(pa.array([key])).item() for key in whole] == hashes
