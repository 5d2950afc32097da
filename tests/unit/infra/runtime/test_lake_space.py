"""A night that the lake's disk cannot take is refused before a file of it is written."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from infra.runtime import lake_space
from infra.runtime.lake import Lake
from schemas.errors import LakeError

# Root may write everywhere until it gives that up.
WRITES_WITHOUT_PRIVILEGE = """
import ctypes, os, sys
if len(sys.argv) == 3:
    for capability in (1, 2):
        ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)
    os.execv(sys.executable, [*sys.orig_argv, "again"])
from pathlib import Path
import pyarrow as pa
from infra.runtime.lake import Lake
from schemas.errors import LakeError
try:
    lake = Lake(sys.argv[1])
    lake.replace_night("flows", "accepted", "2026-09-21", [Path(sys.argv[2])], pa.schema([("id", pa.int64())]))
except LakeError as error:
    print(error)
"""
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


def test_a_write_that_fails_says_why_and_leaves_no_file(tmp_path: Path, part: Path):
    table = tmp_path / "lake" / "flows" / "accepted"
    Lake(tmp_path / "lake").replace_night("flows", "accepted", "2026-09-20", [part], SCHEMA)
    before = sorted(table.rglob("*.parquet"))
    (table / "_delta_log").chmod(0o500)
    command = [sys.executable, "-P", "-c", WRITES_WITHOUT_PRIVILEGE, tmp_path / "lake", part]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    (table / "_delta_log").chmod(0o700)
    assert "was not written, what was there stays: Generic LocalFileSystem error: Unable to open file" in said
    assert "Permission denied" in said
    assert "\x1b" not in said
    assert len(said.splitlines()) == 2
    assert sorted(table.rglob("*.parquet")) == before
