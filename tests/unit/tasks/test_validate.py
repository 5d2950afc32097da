"""A whole batch: contract, repeated keys, rejects, expectations, and what blocks a night."""

from __future__ import annotations

import csv
import datetime as dt
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schemas.dataset import Dataset
from schemas.errors import SerenoError
from schemas.tables import accepted_schema, quarantined_schema
from tasks.ingest import Ingested
from tasks.quarantine import MAX_EACH
from tasks.staging import StagedPart
from tasks.validate import validate

DATE = dt.date(2026, 9, 20)


class Serial:
    """The same process does everything, one item after the other."""

    def map(self, function, items, *args):
        return [function(item, *args) for item in items]


class Threads:
    """Two threads."""

    def map(self, function, items, *args):
        with ThreadPoolExecutor(2) as pool:
            return list(pool.map(lambda item: function(item, *args), items))


@pytest.fixture
def stage(tmp_path):
    """Write rows as staged parts; `rows` are dicts of text."""

    def write(rows, names, parts=1, file="a.csv", rejects=None):
        table = pa.table({name: pa.array([row[name] for row in rows], pa.string()) for name in names})
        table = table.append_column("sereno_file", pa.array([file] * len(rows), pa.string()))
        table = table.append_column("sereno_line", pa.array(range(2, len(rows) + 2), pa.int64()))
        size = -(-len(rows) // parts) if rows else 1
        staged = []
        for start in range(0, len(rows), size):
            path = tmp_path / f"staged-{parts}-{start}.parquet"
            pq.write_table(table.slice(start, size), path)
            staged.append(StagedPart(path, file, min(size, len(rows) - start)))
        path = None
        if rejects:
            path = tmp_path / "rejects.parquet"
            pq.write_table(pa.Table.from_pylist(rejects), path)
        return Ingested((), tuple(staged), path, len(rows) + len(rejects or ()), ())

    return write


COLUMNS = {
    "id": {"type": "integer"},
    "x": {"type": "number", "min": 0, "nullable": False},
    "c": {"type": "category", "nullable": False},
}


def made(**changes):
    values = {"name": "d", "source": {"path": "a.csv"}, "key": ["id"], "columns": COLUMNS, **changes}
    return Dataset.model_validate(values)


def rows_of(count, **spoilt):
    """Rows that meet the contract; `spoilt`: for each column {row: text}."""
    rows = [{"id": str(i), "x": str(i / 4), "c": "a"} for i in range(count)]
    for name, values in spoilt.items():
        for row, text in values.items():
            rows[row][name] = text
    return rows


def check(dataset, batch, work, compute=None, **more):
    return validate(dataset, DATE, batch, compute or Serial(), work, usual_rows=None, **more)


def rows_in(paths, schema):
    return pa.concat_tables([schema.empty_table(), *(pq.read_table(path) for path in paths)])


def test_each_row_is_accepted_or_quarantined_with_its_reasons(stage, tmp_path):
    dataset = made()
    batch = stage(rows_of(10, x={2: "n/a?", 5: "-1", 6: "inf"}, c={2: "", 7: "NA"}, id={8: "1"}), COLUMNS, parts=3)
    found = check(dataset, batch, tmp_path)
    assert (found.rows.read, found.rows.accepted, found.rows.quarantined, found.rows.held) == (10, 5, 5, 0)
    assert found.failures == {"x": 3, "c": 2, "(key)": 1}
    accepted = rows_in(found.accepted, accepted_schema(dataset))
    assert accepted.schema.equals(accepted_schema(dataset))
    assert accepted["sereno_line"].to_pylist() == [2, 3, 5, 6, 11]
    assert accepted["sereno_key"].to_pylist() == ["0", "1", "3", "4", "9"]
    records = rows_in(found.quarantined, quarantined_schema())
    assert [(r["sereno_line"], r["column"], r["rule"], r["value"]) for r in records.to_pylist()] == [
        (4, "c", "null", ""),
        (4, "x", "type: not a number", "n/a?"),
        (7, "x", "min", "-1"),
        (8, "x", "finite", "inf"),
        (9, "c", "null", "NA"),
        (10, "(key)", "key", "1"),
    ]
    assert json.loads(records["raw"][0].as_py()) == {"id": "2", "x": "n/a?", "c": ""}
    assert [s.source_line for s in found.sample] == records["sereno_line"].to_pylist()
    assert found.blocking == ()


@pytest.mark.parametrize("parts", [1, 2, 7, 23])
def test_parts_change_nothing(stage, tmp_path, parts):
    dataset = made()
    rows = rows_of(23, x={3: "?"}, id={20: "07", 22: "7", 5: ""})
    one, many = (check(dataset, stage(rows, COLUMNS, n), tmp_path / str(n), Threads()) for n in (1, parts))
    schema = accepted_schema(dataset)
    assert rows_in(many.accepted, schema).equals(rows_in(one.accepted, schema))
    assert rows_in(many.quarantined, quarantined_schema()).equals(rows_in(one.quarantined, quarantined_schema()))
    assert (many.rows, many.failures, many.sample) == (one.rows, one.failures, one.sample)
    assert one.failures == {"(key)": 2, "id": 1, "x": 1}


def test_a_missing_key_fails_although_its_column_may_be_missing(stage, tmp_path):
    found = check(made(), stage(rows_of(3, id={1: " "}), COLUMNS), tmp_path)
    (failure,) = found.sample
    assert (failure.column, failure.rule, failure.key, failure.source_line) == ("id", "null", "", 3)


def test_repeated_rows_stay_where_the_dataset_has_no_key(stage, tmp_path):
    dataset = made(key=[])
    rows = [{"id": "1", "x": "1", "c": "a"}, {"id": "01", "x": "1.0", "c": " a"}, {"id": "2", "x": "1", "c": "a"}]
    found = check(dataset, stage(rows, COLUMNS), tmp_path)
    keys = rows_in(found.accepted, accepted_schema(dataset))["sereno_key"].to_pylist()
    assert found.rows.accepted == 3
    assert keys[0] == keys[1] != keys[2]


def test_rows_that_ingest_could_not_split_are_quarantined_as_whole_rows(stage, tmp_path):
    rejects = [
        {"sereno_file": "a.csv", "sereno_line": 9, "rule": "fields", "value": "5 fields, not 3", "raw": "1,2,3,4,5"},
        {"sereno_file": "a.csv", "sereno_line": 11, "rule": "encoding", "value": "byte 0xff", "raw": None},
    ]
    found = check(made(), stage(rows_of(4), COLUMNS, rejects=rejects), tmp_path)
    assert (found.rows.read, found.rows.accepted, found.rows.quarantined) == (6, 4, 2)
    assert found.failures == {"(row)": 2}
    assert [(s.source_line, s.column, s.rule) for s in found.sample] == [
        (9, "(row)", "fields"),
        (11, "(row)", "encoding"),
    ]


def test_too_many_bad_rows_block_the_night_with_columns_and_rules(stage, tmp_path):
    dataset = made(max_quarantined=0.2)
    found = check(dataset, stage(rows_of(10, x={1: "-1", 2: "-1"}, c={3: ""}), COLUMNS, parts=2), tmp_path)
    assert found.blocking == (
        "3 of 10 rows (30.0%) do not meet the contract where at most 20% may be quarantined: x min (2), c null (1)",
    )
    assert (found.rows.accepted, found.rows.quarantined, found.rows.held) == (0, 3, 7)
    assert rows_in(found.accepted, accepted_schema(dataset)).num_rows == 7, "`run --accept` goes on with these"
    assert check(dataset, stage(rows_of(10, x={1: "-1", 2: "-1"}), COLUMNS), tmp_path).blocking == ()


def test_expectations_block_or_warn(stage, tmp_path):
    rules = [
        {"expect": "volume", "usual": 100},
        {"expect": "median", "column": "x", "between": [50, 60], "policy": "block"},
    ]
    found = check(made(expectations=rules), stage(rows_of(9), COLUMNS), tmp_path)
    assert found.blocking == ("median of x is 1 where 50 to 60 is expected",)
    assert found.warnings == ("volume: 9 rows where about 100 are usual (50 to 200 allowed)",)
    assert found.rows.held == 9


def test_a_batch_of_no_rows(stage, tmp_path):
    rules = [{"expect": "volume", "usual": 100, "policy": "block"}]
    found = check(made(expectations=rules), stage([], COLUMNS), tmp_path)
    assert found.blocking == ("volume: 0 rows where about 100 are usual (50 to 200 allowed)",)
    assert found.rows.read == 0


def test_every_row_bad(stage, tmp_path):
    found = check(made(max_quarantined=1), stage(rows_of(3, x=dict.fromkeys(range(3), "?")), COLUMNS), tmp_path)
    assert (found.accepted, found.rows.quarantined, found.blocking) == ((), 3, ())


def test_rows_that_do_not_add_up_are_an_error(stage, tmp_path):
    batch = stage(rows_of(3), COLUMNS)
    with pytest.raises(SerenoError, match="4 rows were read, but 3 were checked"):
        check(made(), replace(batch, rows_read=4), tmp_path)


def test_the_sample_shows_a_few_of_each_reason_before_many_of_one(stage, tmp_path):
    rows = rows_of(500, x=dict.fromkeys(range(450), "?"), c={499: ""})
    found = check(made(), stage(rows, COLUMNS, parts=2), tmp_path)
    assert len(found.sample) == MAX_EACH + 1
    assert {(s.column, s.rule) for s in found.sample} == {("x", "type: not a number"), ("c", "null")}


UNSW_CATEGORIES = ("proto", "service", "state")
UNSW_NUMBERS = ("dur", "rate", "sload", "dload", "sinpkt", "dinpkt", "sjit", "djit", "tcprtt", "synack", "ackdat")


def unsw(names):
    columns = {}
    for name in names:
        kind = "category" if name in UNSW_CATEGORIES else "number" if name in UNSW_NUMBERS else "integer"
        columns[name] = {"type": kind, "nullable": False} | ({} if kind == "category" else {"min": 0})
    columns["start_time"] = {"type": "time", "nullable": False}
    rules = [
        {"expect": "volume", "usual": 1650, "policy": "block"},
        {"expect": "median", "column": "sbytes", "between": [300, 9000], "policy": "block"},
        {"expect": "freshness", "column": "start_time", "policy": "block"},
    ]
    return Dataset.model_validate(
        {
            "name": "unsw",
            "source": {"path": "a.csv"},
            "key": ["flow_id"],
            "event_time": "start_time",
            "columns": columns,
            "expectations": rules,
        }
    )


@pytest.mark.parametrize(
    ("name", "quarantined", "failures", "blocking"),
    [
        ("bad_rows.csv", 25, {"dur": 10, "sbytes": 7, "proto": 7, "rate": 3}, ()),
        ("repeated_keys.csv", 100, {"(key)": 100}, ()),
        ("reordered_columns.csv", 0, {}, ()),
        ("units_changed.csv", 0, {}, ("median of sbytes is 1,021,952 where 300 to 9,000 is expected",)),
        ("tiny_volume.csv", 0, {}, ("volume: 40 rows where about 1,650 are usual (825 to 3,300 allowed)",)),
    ],
)
def test_spoilt_nights_of_real_flows(shared_data, stage, tmp_path, name, quarantined, failures, blocking):
    with (shared_data / "unsw_nights" / "broken" / name).open(newline="") as file:
        rows = list(csv.DictReader(file))
    batch = stage(rows, list(rows[0]), parts=3, file=name)
    found = check(unsw(sorted(rows[0])), batch, tmp_path)
    assert found.rows.quarantined == quarantined
    assert found.failures == failures
    assert found.blocking == blocking
