"""Repeated keys over parts and files."""

from __future__ import annotations

import json
from itertools import pairwise

import hypothesis.strategies as st
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings

import tasks.duplicates
import tasks.split_part
from schemas.dataset import Dataset
from tasks.duplicates import remove_repeated
from tasks.split_part import split_part


class Serial:
    """The same process does everything, one item after the other."""

    def map(self, function, items, *args):
        return [function(item, *args) for item in items]


DATASET = Dataset(
    name="d",
    source={"path": "a.csv"},
    key=["id"],
    columns={"id": {"type": "integer"}, "x": {"type": "number", "min": 0}},
)


def split(folder, parts, dataset=DATASET):
    """`parts`: for each (file, first line, [(id, x)])."""
    splits = []
    for index, (file, line, rows) in enumerate(parts):
        path = folder / f"staged-{index}.parquet"
        staged = {
            "id": pa.array([i for i, _ in rows], pa.string()),
            "x": pa.array([x for _, x in rows], pa.string()),
            "sereno_file": pa.array([file] * len(rows), pa.string()),
            "sereno_line": pa.array(range(line, line + len(rows)), pa.int64()),
        }
        pq.write_table(pa.table(staged), path)
        splits.append(split_part((index, path), dataset, folder))
    return splits


def kept(splits):
    tables = [pq.read_table(s.accepted) for s in splits if s.accepted]
    return [(r["sereno_file"], r["sereno_line"], r["id"]) for t in tables for r in t.to_pylist()]


def gone(splits):
    tables = [pq.read_table(s.quarantined) for s in splits if s.quarantined]
    return [
        (r["sereno_file"], r["sereno_line"], r["column"], r["rule"], r["value"]) for t in tables for r in t.to_pylist()
    ]


def test_the_first_of_two_equal_keys_stays_over_parts_and_files(tmp_path):
    parts = [
        ("a.csv", 2, [("1", "1"), ("2", "1"), ("1", "5")]),
        ("a.csv", 5, [("3", "1")]),
        ("b.csv", 2, [("02", "7"), ("4", "1"), ("3.0", "1")]),
    ]
    splits = remove_repeated(split(tmp_path, parts), Serial(), tmp_path)
    assert kept(splits) == [("a.csv", 2, 1), ("a.csv", 3, 2), ("a.csv", 5, 3), ("b.csv", 3, 4)]
    assert gone(splits) == [
        ("a.csv", 4, "(key)", "key", "1"),
        ("b.csv", 2, "(key)", "key", "2"),
        ("b.csv", 4, "(key)", "key", "3"),
    ]
    assert [(s.rows, s.rows_accepted, s.columns) for s in splits] == [
        (3, 2, {"(key)": 1}),
        (1, 1, {}),
        (3, 1, {"(key)": 2}),
    ]


def test_a_spoilt_row_is_not_the_first_of_a_pair_and_its_failure_stays_recorded(tmp_path):
    parts = [("a.csv", 2, [("1", "-1"), ("1", "2"), ("1", "3")])]
    splits = remove_repeated(split(tmp_path, parts), Serial(), tmp_path)
    assert kept(splits) == [("a.csv", 3, 1)]
    assert gone(splits) == [("a.csv", 2, "x", "min", "-1"), ("a.csv", 4, "(key)", "key", "1")]
    assert splits[0].rules == {("(key)", "key"): 1, ("x", "min"): 1}


def test_the_quarantined_row_holds_what_stood_in_the_file(tmp_path):
    splits = remove_repeated(split(tmp_path, [("a.csv", 2, [("1", "1"), ("01", " 2.50 ")])]), Serial(), tmp_path)
    (record,) = pq.read_table(splits[0].quarantined).to_pylist()
    assert json.loads(record["raw"]) == {"id": "01", "x": " 2.50 "}
    assert record["sereno_key"] == "1"


def test_keys_that_share_a_hash_both_stay(tmp_path, monkeypatch):
    monkeypatch.setattr(tasks.split_part, "hash_text", lambda keys: np.zeros(len(keys), dtype=np.int64))
    parts = [("a.csv", 2, [("1", "1"), ("2", "1")]), ("b.csv", 2, [("2", "1"), ("3", "1")])]
    splits = remove_repeated(split(tmp_path, parts), Serial(), tmp_path)
    assert [key for _, _, key in kept(splits)] == [1, 2, 3]


def test_without_repeated_keys_no_part_is_written_again(tmp_path):
    splits = split(tmp_path, [("a.csv", 2, [("1", "1"), ("2", "1")])])
    assert remove_repeated(splits, Serial(), tmp_path) == tuple(splits)
    assert remove_repeated([], Serial(), tmp_path) == ()


def test_a_part_that_loses_all_its_rows_has_no_accepted_file(tmp_path):
    parts = [("a.csv", 2, [("1", "1")]), ("b.csv", 2, [("1", "1")])]
    splits = remove_repeated(split(tmp_path, parts), Serial(), tmp_path)
    assert splits[1].accepted is None
    assert splits[1].rows_accepted == 0


@pytest.mark.parametrize("bucket_rows", [1, 3, 1000])
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])  # all files are written anew
@given(ids=st.lists(st.integers(0, 9), min_size=1, max_size=30), cuts=st.sets(st.integers(1, 29), max_size=4))
def test_parts_and_buckets_change_nothing(tmp_path, monkeypatch, bucket_rows, ids, cuts):
    monkeypatch.setattr(tasks.duplicates, "BUCKET_ROWS", bucket_rows)
    edges = [0, *sorted(c for c in cuts if c < len(ids)), len(ids)]
    parts = [("a.csv", 2 + start, [(str(i), "1") for i in ids[start:end]]) for start, end in pairwise(edges)]
    splits = remove_repeated(split(tmp_path, parts), Serial(), tmp_path)
    first = sorted({i: place for place, i in reversed(list(enumerate(ids)))}.values())
    assert [line - 2 for _, line, _ in kept(splits)] == first
    assert len(gone(splits)) == len(ids) - len(first)
