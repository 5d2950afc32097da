"""Files that no commit names, in real Delta tables: found where they are, and never a file that a version needs."""

from __future__ import annotations

import signal
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta

import pyarrow as pa
import pytest

from infra.runtime.lake import Lake
from infra.runtime.lake_repair import orphans, staged_commits

NIGHT, OTHER = date(2026, 9, 20), date(2026, 9, 21)
SCHEMA = pa.schema([("key", pa.string())])

# Writes into a night until it is killed in the middle: its first files are whole, and no commit names them.
KILLED_WRITER = """
import os, signal, sys
import pyarrow as pa
from deltalake import DeltaTable, write_deltalake

def batches():
    for _ in range(60):
        keys = pa.array([os.urandom(50).hex() for _ in range(2_000)])
        yield pa.record_batch([keys, pa.array(["2026-09-20"] * 2_000)], names=["key", "night"])
    os.kill(os.getpid(), signal.SIGKILL)

table = DeltaTable(sys.argv[1])
rows = pa.RecordBatchReader.from_batches(pa.schema([("key", pa.string()), ("night", pa.string())]), batches())
write_deltalake(table, rows, mode="overwrite", predicate="night = '2026-09-20'", target_file_size=100_000)
"""


@pytest.fixture
def lake(tmp_path):
    """A lake in a folder whose name is no simple address, with two nights, one of them written twice."""
    lake = Lake(tmp_path / "my lake é" / "lake")
    for night, key in ((NIGHT, "old"), (OTHER, "other"), (NIGHT, "new")):
        lake.replace_night("flows", "accepted", night, pa.table({"key": [key]}), SCHEMA, run_id=f"run-{key}")
    return lake


@pytest.fixture
def table(lake, tmp_path):
    return tmp_path / "my lake é" / "lake" / "flows" / "accepted"


@pytest.fixture
def orphan(table):
    """A file of the night as a writer leaves it that is stopped before its commit."""
    path = table / f"night={NIGHT}" / "part-00000-orphan.snappy.parquet"
    path.write_bytes(b"PAR1")
    return path


def test_what_any_version_names_is_no_orphan_also_when_it_was_replaced(lake, table):
    assert orphans(table) == staged_commits(table) == []
    assert lake.read("flows", "accepted", [NIGHT], version=2)["key"].to_pylist() == ["old"]


def test_files_of_a_writer_that_was_killed_are_found_and_the_table_reads_without_them(lake, table):
    killed = subprocess.run([sys.executable, "-P", "-c", KILLED_WRITER, str(table)], capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    left = orphans(table)
    assert len(left) > 1
    assert {path.parent.name for path in left} == {f"night={NIGHT}"}
    for path in left:
        path.unlink()
    assert orphans(table) == []
    assert sorted(lake.read("flows", "accepted")["key"].to_pylist()) == ["new", "other"]
    assert lake.read("flows", "accepted", {NIGHT: 2})["key"].to_pylist() == ["old"]


def test_an_orphan_is_found_by_its_night_and_its_age(table, orphan):
    written = datetime.fromtimestamp(orphan.stat().st_mtime, UTC)
    assert orphans(table) == orphans(table, night=NIGHT) == [orphan]
    assert orphans(table, night=OTHER) == []
    assert orphans(table, since=written - timedelta(seconds=1)) == [orphan]
    assert orphans(table, since=written + timedelta(seconds=1)) == []


@pytest.mark.parametrize("damage", ["gone", "torn", "all gone", "denied"])
def test_nothing_is_an_orphan_where_the_log_cannot_be_read_as_a_whole(damage, table, orphan):
    """Else the files that an entry names which another tool cleaned up, or which is torn, would be removed."""
    first, *others = sorted((table / "_delta_log").glob("*.json"))
    if damage == "torn":
        first.write_text(first.read_text(encoding="utf-8")[:-20], encoding="utf-8")
    if damage == "denied":
        first.unlink()
        first.mkdir()
    for entry in {"gone": [first], "all gone": [first, *others]}.get(damage, []):
        entry.unlink()
    assert orphans(table) == []
    assert orphan.exists()


def test_a_table_that_is_not_there_has_none(tmp_path):
    assert orphans(tmp_path / "none") == staged_commits(tmp_path / "none") == []


def test_an_entry_that_was_not_in_its_place_yet_is_found(table):
    entry = table / "_delta_log" / "00000000000000000009.json#1"
    entry.write_bytes(b"")
    assert staged_commits(table) == [entry]


def test_a_version_says_which_run_wrote_it(lake):
    newest = lake.version("flows", "accepted")
    assert lake.written_by("flows", "accepted", newest) == "run-new"
    assert lake.written_by("flows", "accepted", newest - 1) == "run-other"
    assert lake.written_by("flows", "accepted", 0) is None
    assert lake.written_by("flows", "accepted", newest + 1) is None
    assert lake.written_by("flows", "scores", 1) is None
