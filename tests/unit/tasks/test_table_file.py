"""Tables as files: parts follow each other, and a file that was not finished is none."""

from __future__ import annotations

import csv
import errno
import io
import json
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schemas.errors import LakeError, SerenoError
from tasks.table_file import table_file

SUFFIXES = ("csv", "jsonl", "parquet")
ROWS = pa.table(
    {
        "n": pa.array([1, None, 2**60 + 1]),
        "x": pa.array([0.5, float("inf"), None]),
        "text": ["=1+1", 'a "quote", née', None],
        "moment": pa.array([datetime(2026, 9, 1, 12, tzinfo=UTC), None, None], pa.timestamp("us", tz="UTC")),
        "items": [[{"share": 0.5}], [], None],
    }
)


def written(target: Path, *parts: pa.Table) -> bytes:
    with table_file(target, ROWS.schema) as write:
        for part in parts:
            write(part)
    return target.read_bytes()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_parts_are_the_same_rows_as_the_whole(suffix, tmp_path):
    whole = written(tmp_path / f"whole.{suffix}", ROWS)
    parts = written(tmp_path / f"parts.{suffix}", ROWS.slice(0, 1), ROWS.slice(1))
    if suffix == "parquet":
        assert pq.read_table(io.BytesIO(parts)) == pq.read_table(io.BytesIO(whole)) == ROWS
    else:
        assert parts == whole


def test_what_json_does_not_know_is_text(tmp_path):
    lines = written(tmp_path / "out.jsonl", ROWS).decode().splitlines()
    rows = [json.loads(line, parse_constant=pytest.fail) for line in lines]
    assert [row["x"] for row in rows] == [0.5, "inf", None]
    assert rows[0]["moment"] == "2026-09-01T12:00:00.000000Z"
    assert rows[0]["items"] == [{"share": 0.5}]
    assert rows[2]["n"] == 2**60 + 1


def test_lists_are_json_in_csv(tmp_path):
    text = written(tmp_path / "out.csv", ROWS).decode()
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert [row["items"] for row in rows] == ['[{"share": 0.5}]', "[]", "null"]
    assert [row["text"] for row in rows] == ["=1+1", 'a "quote", née', ""]
    assert '"=1+1"' in text


def broken_off(target: Path, error: BaseException) -> None:
    with table_file(target, ROWS.schema) as write:
        write(ROWS)
        raise error


@pytest.mark.parametrize("error", [LakeError("a part is missing"), KeyboardInterrupt()], ids=["lake", "ctrl-c"])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_block_that_fails_leaves_the_file_that_was_there(error, suffix, tmp_path):
    target = tmp_path / f"out.{suffix}"
    target.write_bytes(b"before")
    with pytest.raises(type(error)) as caught:
        broken_off(target, error)
    assert caught.value is error
    assert target.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [target]


class FullDisk(io.FileIO):
    """Takes so many bytes and no more."""

    room = 0

    def write(self, data):
        if self.tell() + len(data) > self.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(data)


@pytest.mark.parametrize("room", [0, 30], ids=["from the start", "on the way"])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_full_disk_is_told_with_the_files_name(suffix, room, tmp_path, monkeypatch):
    monkeypatch.setattr(FullDisk, "room", room)
    monkeypatch.setattr(Path, "open", lambda path, _mode: FullDisk(path, "w"))
    with pytest.raises(SerenoError, match=rf"out\.{suffix}: cannot be written: No space left"):
        written(tmp_path / f"out.{suffix}", ROWS, ROWS)
    assert list(tmp_path.iterdir()) == []
