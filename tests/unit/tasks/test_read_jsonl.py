from __future__ import annotations

import io
import json

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.dataset import Dataset
from schemas.errors import UnreadableInput
from tasks.decode import BoundedStream, LineBlocks
from tasks.read_jsonl import parse_line, read_jsonl
from tasks.staging import RejectWriter


def dataset(optional=(), **source) -> Dataset:
    columns = {name: {"type": "text", "nullable": name in optional} for name in ("a", "b")}
    return Dataset.model_validate(
        {"name": "d", "source": {"path": "x", "format": "jsonl", **source}, "columns": columns}
    )


def read(data: bytes, contract: Dataset, folder):
    rows, lines = [], []

    def take(table, numbers):
        rows.extend(tuple(row.values()) for row in table.to_pylist())
        lines.extend(numbers.to_pylist())

    rejects = RejectWriter(folder / "r.parquet", "f.jsonl")
    warnings = read_jsonl(
        LineBlocks(BoundedStream(io.BytesIO(data), "f.jsonl", 10**9), "f.jsonl", None, 20), contract, take, rejects
    )
    refused = pq.read_table(folder / "r.parquet").to_pylist() if rejects.close() else []
    return rows, lines, refused, warnings


def test_values_keep_the_text_they_were_written_as(tmp_path):
    data = (
        b'{"a": 1.50, "b": true}\n\n{"b": {"x": [1, null]}, "a": 12345678901234567890}\n{"a": null, "b": "\\u00e9"}\n'
    )
    rows, lines, _, _ = read(data, dataset(optional=("a",)), tmp_path)
    assert rows == [("1.50", "true"), ("12345678901234567890", '{"x":["1",null]}'), (None, "é")]
    assert lines == [1, 3, 4]


def test_bad_lines_are_rejected_with_their_line(tmp_path):
    data = b'{"a": 1, "b": 2}\n{"a": 1,\n[1]\n' + b"[" * 100_000 + b"\n"
    rows, _, refused, _ = read(data, dataset(), tmp_path)
    assert len(rows) == 1
    assert [(r["sereno_line"], r["rule"]) for r in refused] == [(2, "json"), (3, "json"), (4, "json")]
    assert "not an object" in refused[1]["value"]


def test_a_key_that_no_line_has_blocks_only_where_it_may_not_be_missing(tmp_path):
    assert read(b'{"b": 1}\n', dataset(optional=("a",)), tmp_path)[0] == [(None, "1")]
    with pytest.raises(UnreadableInput, match="a missing and c unknown"):
        read(b'{"b": 1, "c": 2}\n', dataset(), tmp_path)


def test_unknown_keys_warn_and_renamed_keys_are_found(tmp_path):
    rows, _, _, warnings = read(b'{"x y": 1, "b": 2, "c": 3}\n', dataset(rename={"x y": "a"}), tmp_path)
    assert rows == [("1", "2")]
    assert "c unknown" in warnings[0]


@pytest.mark.parametrize(
    ("data", "words"), [(b"", "empty file"), (b"<html>\n", "not a table"), (b'{"z": 1}\n', "not a table")]
)
def test_files_that_are_no_json_lines(tmp_path, data, words):
    with pytest.raises(UnreadableInput, match=words):
        read(data, dataset(), tmp_path)


def test_a_lone_surrogate_does_not_break_the_file(tmp_path):
    assert read(b'{"a": "\\ud83d", "b": 1}\n', dataset(), tmp_path)[0] == [("?", "1")]


@given(st.dictionaries(st.text(), st.none() | st.booleans() | st.integers() | st.text(), min_size=1))
def test_any_object_is_read_and_any_other_text_explained(value):
    parsed = parse_line(json.dumps(value))
    assert isinstance(parsed, dict)
    assert list(parsed) == list(value)
