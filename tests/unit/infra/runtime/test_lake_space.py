"""A night that the lake's disk cannot take is refused before a file of it is written."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from infra.runtime import lake_space
from infra.runtime.lake import Lake
from schemas.errors import LakeError

SCHEMA = pa.schema([("id", pa.int64())])


@pytest.fixture
def part(tmp_path: Path) -> Path:
    pq.write_table(pa.table({"id": range(20_000)}, schema=SCHEMA), tmp_path / "part.parquet")
    return tmp_path / "part.parquet"


def disk(monkeypatch, free: int, total: int = 10**9) -> None:
    monkeypatch.setattr(lake_space.shutil, "disk_usage", lambda _: SimpleNamespace(total=total, free=free))


def test_rows_that_do_not_fit_leave_nothing_behind(tmp_path: Path, part: Path, monkeypatch):
    lake = Lake(tmp_path / "lake")
    disk(monkeypatch, free=part.stat().st_size)
    with pytest.raises(LakeError, match="the disk is full") as raised:
        lake.replace_night("flows", "accepted", "2026-09-20", [part], SCHEMA)
    assert "free some space" in str(raised.value.hint)
    assert not (tmp_path / "lake").exists()
    disk(monkeypatch, free=part.stat().st_size + lake_space.LOG_BYTES)
    assert lake.replace_night("flows", "accepted", "2026-09-20", [part], SCHEMA) >= 0


@pytest.mark.parametrize("uri", ["s3://lake/flows/accepted", "az://lake/flows"])
def test_an_object_store_is_not_asked(uri: str, part: Path, monkeypatch):
    disk(monkeypatch, free=0)
    lake_space.check_space(uri, [part])


def test_a_disk_that_does_not_tell_its_size_is_not_taken_for_a_full_one(tmp_path: Path, part: Path, monkeypatch):
    disk(monkeypatch, free=0, total=0)
    lake_space.check_space(str(tmp_path / "lake"), [part])


def test_this_disk_has_room_for_a_row(tmp_path: Path):
    lake_space.check_space(f"file://{tmp_path}", pa.table({"id": [1]}))
    assert shutil.disk_usage(tmp_path).free > 0
