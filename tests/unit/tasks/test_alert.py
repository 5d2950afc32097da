"""Alerts for a person, and scores as a file."""

from __future__ import annotations

import csv
import io
import json
from datetime import date
from types import SimpleNamespace

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schemas.errors import SerenoError, UsageError
from schemas.tables import scores_schema
from tasks.alert import alerts_of, export_columns, export_scores, in_order, night_alerts, scores_of_night

HOSTILE = ['=cmd|"/c calc"!A1', "+1", "-1", "@x", 'quo"te, comma', "two\nlines", "née ☃", "", None]
COLUMNS = [
    "host_id",
    "entity",
    "event_time",
    "score",
    "p_value",
    "is_alert",
    "in_sample",
    "model_version",
    "contributions",
]


@pytest.fixture
def dataset(make_dataset):
    columns = {**make_dataset().resolved()["columns"], "host_id": {"type": "text"}}
    return make_dataset(key=["host_id"], columns=columns)


@pytest.fixture
def scores(dataset):
    """Nine rows with hostile keys, the newest event first."""
    rows = [
        {
            "host_id": key,
            "entity": f"h{at}",
            "event_time": pd.Timestamp("2026-09-20T12:00:00.123456Z") - pd.Timedelta(minutes=at),
            "sereno_key": str(key),
            "sereno_file": "a.csv",
            "sereno_line": at + 2,
            "score": 1.0 + at / 3,
            "p_value": 0.1,
            "is_alert": at % 2 == 0,
            "in_sample": False,
            "model_version": "4",
            "contributions": [{"column": "=x", "share": 1.0, "actual": '=1+"1"', "expected": "usual"}],
        }
        for at, key in enumerate(HOSTILE)
    ]
    return pa.Table.from_pylist(rows, schema=scores_schema(dataset))


def test_parquet_keeps_types_and_columns(dataset, scores, tmp_path):
    export_scores(dataset, scores, tmp_path / "out.parquet")
    found = pq.read_table(tmp_path / "out.parquet")
    assert found.column_names == COLUMNS == export_columns(dataset)
    assert found == scores.select(COLUMNS)


def test_csv_keeps_every_character_and_quotes_every_text(dataset, scores, tmp_path):
    export_scores(dataset, scores, tmp_path / "out.CSV")
    text = (tmp_path / "out.CSV").read_bytes().decode()
    found = list(csv.DictReader(io.StringIO(text, newline="")))
    assert list(found[0]) == COLUMNS
    assert [row["host_id"] for row in found] == [key or "" for key in HOSTILE]
    assert not any(cell in text for cell in ("\n=", "\n+", "\n-", "\n@", ",=", ",+", ",@"))
    assert [float(row["score"]) for row in found] == scores["score"].to_pylist()
    assert found[0]["event_time"] == "2026-09-20T12:00:00.123456Z"
    assert found[0]["is_alert"] == "true"
    assert json.loads(found[0]["contributions"]) == scores["contributions"][0].as_py()


def test_integer_keys_are_numbers_in_csv_and_json_lines(make_dataset, tmp_path):
    dataset = make_dataset(event_time=None, entity=None)
    row = {
        "flow_id": 2**60 + 1,
        "sereno_key": "k",
        "score": 0.1 + 0.2,
        "p_value": 1e-9,
        "is_alert": True,
        "contributions": [],
    }
    table = pa.Table.from_pylist([row], schema=scores_schema(dataset))
    for suffix in ("csv", "jsonl"):
        export_scores(dataset, table, tmp_path / f"out.{suffix}")
    assert (tmp_path / "out.csv").read_text().splitlines()[1].startswith(f"{2**60 + 1},0.30000000000000004,1e-")
    assert json.loads((tmp_path / "out.jsonl").read_text())["flow_id"] == 2**60 + 1


def test_json_lines_hold_one_row_each(dataset, scores, tmp_path):
    export_scores(dataset, scores, tmp_path / "out.jsonl")
    found = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [row["host_id"] for row in found] == HOSTILE
    assert list(found[0]) == COLUMNS
    assert found[0]["contributions"][0]["actual"] == '=1+"1"'


def test_data_without_a_key_is_named_by_its_own_hash(make_dataset):
    assert export_columns(make_dataset(key=[], entity=None, event_time=None))[0] == "sereno_key"


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_no_rows_are_a_file_too(dataset, scores, tmp_path, suffix):
    export_scores(dataset, scores.slice(0, 0), tmp_path / f"out.{suffix}")
    assert (tmp_path / f"out.{suffix}").exists()


@pytest.mark.parametrize("name", ["out.xlsx", "out", "none/out.csv"])
def test_another_form_or_a_missing_folder_is_a_usage_error(dataset, scores, tmp_path, name):
    with pytest.raises(UsageError) as caught:
        export_scores(dataset, scores, tmp_path / name)
    assert caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_a_target_that_cannot_be_written_leaves_nothing_behind(dataset, scores, tmp_path):
    (tmp_path / "out.csv").mkdir()
    with pytest.raises(SerenoError, match=r"out\.csv"):
        export_scores(dataset, scores, tmp_path / "out.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["out.csv"]


def test_rows_are_in_the_order_of_events_else_of_lines(scores):
    assert in_order(scores)["host_id"].to_pylist() == HOSTILE[::-1]
    shuffled = scores.drop_columns(["event_time"]).take([3, 1, 2, 0])
    assert in_order(shuffled)["sereno_line"].to_pylist() == [2, 3, 4, 5]


def test_alerts_carry_rank_place_and_contributions(scores):
    first = alerts_of(scores.slice(0, 2))[0]
    assert (first.rank, first.key, first.entity, first.source_file, first.source_line) == (
        1,
        HOSTILE[0],
        "h0",
        "a.csv",
        2,
    )
    assert first.event_time == "2026-09-20T12:00:00.123456+00:00"
    assert first.contributions[0].column == "=x"


def test_alerts_of_a_night_are_ranked_and_a_night_without_scores_is_a_usage_error(dataset, scores):
    lake = SimpleNamespace(read=lambda *_, **__: scores)
    state = SimpleNamespace(pins=lambda *asked: {asked[2][0]: 3}, gone=lambda *_: {})
    services = SimpleNamespace(lake=lake, state=state)
    night = date(2026, 9, 20)
    assert [alert.entity for alert in night_alerts(services, dataset, night, most=2)] == ["h8", "h6"]
    assert scores_of_night(services, dataset, night)["entity"].to_pylist()[0] == "h8"
    state.pins = lambda *_: {}
    with pytest.raises(UsageError, match="not scored"):
        scores_of_night(services, dataset, night)
