"""Counters and the sample of a night: exact, bounded, and blind to partitions."""

from __future__ import annotations

import json
from itertools import pairwise

import hypothesis.strategies as st
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings

from schemas.dataset import Dataset
from schemas.tables import accepted_schema
from tasks.preprocess import MAX_VALUES, merge_window, preprocess, smallest
from tasks.row_keys import hash_text


class Serial:
    """The same process does everything, one item after the other."""

    def map(self, function, items, *args):
        return [function(item, *args) for item in items]


def made(sample_rows=5):
    columns = {
        "n": {"type": "number"},
        "i": {"type": "integer"},
        "c": {"type": "category"},
        "b": {"type": "boolean"},
        "t": {"type": "text"},
        "at": {"type": "time"},
    }
    return Dataset(name="d", source={"path": "a"}, columns=columns, detector={"sample_rows": sample_rows})


def rows_table(dataset, rows, file="a.csv"):
    """`rows`: (n, i, c, b, t, seconds, key)."""
    keys = pa.array([str(r[6]) for r in rows], pa.string())
    columns = [[r[place] for r in rows] for place in range(5)]
    columns.append([None if r[5] is None else r[5] * 1_000_000 for r in rows])
    columns += [[file] * len(rows), list(range(2, len(rows) + 2)), keys, hash_text(keys)]
    schema = accepted_schema(dataset)
    return pa.table([pa.array(c, type=f.type) for c, f in zip(columns, schema, strict=True)], schema=schema)


def dealt(table, edges, folder):
    paths = []
    for start, end in pairwise(edges):
        paths.append(folder / f"in-{start}-{end}.parquet")
        pq.write_table(table.slice(start, end - start), paths[-1])
    return paths


MAYBE = st.none()
ROW = st.tuples(
    st.floats(allow_nan=False) | MAYBE,
    st.integers(-(2**63), 2**63 - 1) | MAYBE,
    st.sampled_from(["tcp", "udp", "arp"]) | MAYBE,
    st.booleans() | MAYBE,
    st.text(max_size=3) | MAYBE,
    st.integers(0, 2**31) | MAYBE,
    st.integers(0, 5),
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])  # all files are written anew
@given(
    rows=st.lists(ROW, min_size=1, max_size=40), cuts=st.sets(st.integers(1, 39), max_size=20), seed=st.integers(0, 9)
)
def test_partitions_and_their_order_change_nothing(tmp_path, rows, cuts, seed):
    dataset = made()
    table = rows_table(dataset, rows)
    edges = [0, *sorted(c for c in cuts if c < len(rows)), len(rows)]
    whole = preprocess(dataset, dealt(table, [0, len(rows)], tmp_path), Serial(), tmp_path / "whole")
    parts = dealt(table, edges, tmp_path)
    np.random.default_rng(seed).shuffle(parts)
    split = preprocess(dataset, parts, Serial(), tmp_path / "split")
    assert split.counters == whole.counters
    assert json.dumps(split.counters) == json.dumps(whole.counters)
    assert pq.read_table(split.sample).equals(pq.read_table(whole.sample))
    assert split.rows == whole.rows == min(len(rows), 5)


def test_the_sample_is_the_rows_with_the_smallest_unsigned_hashes(tmp_path):
    dataset = made(sample_rows=7)
    table = rows_table(dataset, [(1.0, 1, "a", True, "x", 0, key) for key in range(100)])
    prepared = preprocess(dataset, dealt(table, [0, 30, 60, 100], tmp_path), Serial(), tmp_path)
    sample = pq.read_table(prepared.sample)
    assert sample.schema.equals(accepted_schema(dataset))
    expected = np.sort(table["sereno_hash"].to_numpy().view(np.uint64))[:7]
    assert sample["sereno_hash"].to_numpy().view(np.uint64).tolist() == expected.tolist()
    assert (table["sereno_hash"].to_numpy() < 0).any(), "the test needs hashes that are negative as signed numbers"


def test_counters_are_exact(tmp_path):
    dataset = made()
    rows = [(1.5, 3, "a", True, "x", 0, 1), (None, -7, "b", None, None, None, 2), (0.5, None, "a", False, "y", 60, 3)]
    counters = preprocess(dataset, dealt(rows_table(dataset, rows), [0, 2, 3], tmp_path), Serial(), tmp_path).counters
    assert counters == {
        "rows": 3,
        "columns": {
            "n": {"nulls": 1, "min": 0.5, "max": 1.5},
            "i": {"nulls": 1, "min": -7, "max": 3},
            "c": {"nulls": 0, "values": {"a": 2, "b": 1}},
            "b": {"nulls": 1, "values": {"false": 1, "true": 1}},
            "t": {"nulls": 1},
            "at": {"nulls": 1, "min": "1970-01-01T00:00:00Z", "max": "1970-01-01T00:01:00Z"},
        },
    }


def test_categories_are_bounded_and_the_rest_is_other(tmp_path):
    dataset = made()
    rows = [(1.0, 1, f"v{i:04}", None, None, 0, i) for i in range(MAX_VALUES + 50)] + [
        (1.0, 1, "v0249", None, None, 0, 1)
    ]
    counters = preprocess(
        dataset, dealt(rows_table(dataset, rows), [0, 100, 251], tmp_path), Serial(), tmp_path
    ).counters
    values = counters["columns"]["c"]["values"]
    assert len(values) == MAX_VALUES + 1
    assert values["other"] == 50
    assert next(iter(values.items())) == ("v0249", 2)
    assert sum(values.values()) == len(rows)


def test_a_night_without_accepted_rows(tmp_path):
    prepared = preprocess(made(), [], Serial(), tmp_path)
    assert prepared.rows == 0
    assert prepared.counters["rows"] == 0
    assert pq.read_table(prepared.sample).schema.equals(accepted_schema(made()))


@pytest.mark.parametrize("rows", [1, 10, 45, 100])
def test_the_window_holds_the_smallest_hashes_of_all_nights(rows):
    dataset = made()
    nights = [
        smallest(
            rows_table(dataset, [(1.0, 1, "a", True, "x", 0, f"{night}-{k}") for k in range(20)], f"{night}.csv"), 15
        )
        for night in range(3)
    ]
    window = merge_window(nights, rows)
    assert window.num_rows == min(rows, 45)
    together = pa.concat_tables(nights)["sereno_hash"].to_numpy().view(np.uint64)
    assert window["sereno_hash"].to_numpy().view(np.uint64).tolist() == np.sort(together)[:rows].tolist()
    assert window.equals(merge_window(nights[::-1], rows))
