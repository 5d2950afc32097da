from __future__ import annotations

import datetime as dt

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schemas.dataset import Dataset
from schemas.errors import UnreadableInput
from tasks.read_parquet import read_parquet


def dataset(*names: str, rows: int = 100_000) -> Dataset:
    columns = {name: {"type": "text"} for name in names}
    source = {"path": "x", "format": "parquet"}
    return Dataset.model_validate({"name": "d", "source": source, "columns": columns, "partition_rows": rows})


def read(path, contract: Dataset, limit: int = 10**9):
    tables, lines = [], []

    def take(table, numbers):
        tables.append(table)
        lines.extend(numbers.to_pylist())

    warnings = read_parquet(path, path.name, contract, take, limit)
    return (pa.concat_tables(tables) if tables else None), lines, warnings


def test_types_are_kept_and_nested_values_become_json(tmp_path):
    path = tmp_path / "a.parquet"
    when = dt.datetime(2026, 9, 20, tzinfo=dt.UTC)
    pq.write_table(
        pa.table(
            {
                "n": [1, None],
                "t": [when, when],
                "c": pa.array(["x", "y"]).dictionary_encode(),
                "s": [{"k": [1]}, None],
                "raw": [b"ok", b"\xff"],
            }
        ),
        path,
    )
    table, lines, _ = read(path, dataset("t", "n", "c", "s", "raw", rows=1))
    assert table.column_names == ["t", "n", "c", "s", "raw"]
    assert table.schema.field("n").type == pa.int64()
    assert table["c"].to_pylist() == ["x", "y"]
    assert table["s"].to_pylist() == ['{"k": [1]}', None]
    assert table["raw"].to_pylist() == ["ok", "\\xff"]
    assert lines == [1, 2]


def test_columns_are_held_against_the_contract(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"a": [1], "c": [2]}), path)
    with pytest.raises(UnreadableInput, match="b missing and c unknown"):
        read(path, dataset("a", "b"))
    assert "c unknown" in read(path, dataset("a"))[2][0]


def test_what_is_no_whole_parquet_file_is_named(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"a": list(range(1_000))}), path)
    whole = path.read_bytes()
    for data, words in (
        (b"", "empty"),
        (b"a,b\n1,2\n", "not a Parquet file"),
        (whole[:-20], "cut off"),
        (whole[:200] + whole[-40:], "damaged"),
    ):
        path.write_bytes(data)
        with pytest.raises(UnreadableInput, match=words):
            read(path, dataset("a"))


def test_a_file_that_is_too_large_when_decompressed_is_refused(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"a": [0] * 100_000}), path, use_dictionary=False, compression="zstd")
    with pytest.raises(UnreadableInput, match="larger than 1,000 bytes"):
        read(path, dataset("a"), limit=1_000)
