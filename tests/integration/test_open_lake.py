"""The lake is an open format: other tools read it without us."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import duckdb
import polars as pl
import pyarrow as pa
import pytest
from deltalake import DeltaTable

from infra.runtime.lake import Lake

SCHEMA = pa.schema([pa.field("flow_id", pa.int64()), pa.field("score", pa.float64())])


@pytest.fixture
def scores(tmp_path: Path) -> str:
    lake = Lake(tmp_path)
    for day, values in ((1, [0.5, 1.5]), (2, [2.5]), (1, [0.25, 0.75])):
        table = pa.table({"flow_id": list(range(len(values))), "score": values}, schema=SCHEMA)
        lake.replace_night("flows", "scores", date(2026, 9, day), table, SCHEMA)
    return lake.uri("flows", "scores")


def test_polars_reads_a_table_and_sees_each_night_once(scores: str):
    frame = pl.read_delta(scores).sort("night", "score")
    assert frame["night"].to_list() == [date(2026, 9, 1), date(2026, 9, 1), date(2026, 9, 2)]
    assert frame["score"].to_list() == [0.25, 0.75, 2.5]


def test_duckdb_queries_a_table_by_night(scores: str):
    rows = DeltaTable(scores).to_pyarrow_dataset()
    found = duckdb.from_arrow(rows).filter("night = DATE '2026-09-01'").aggregate("count(*), max(score)").fetchall()
    assert found == [(2, 0.75)]
