"""Finished stages of a stopped night are taken over, whole or not at all: with a real lake, and files on the disk."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

from infra.runtime.lake import Lake
from tasks.ingest import Ingested, StagedPart
from tasks.preprocess import Prepared
from tasks.stage_records import CHECKPOINTS, StageRecords, recorded

SCHEMA = pa.schema([("key", pa.string())])


@dataclass
class Tonight:
    """What records ask of a night."""

    work: Path
    lake: Lake
    run_id: str = "run-1"
    champion: str = "1"
    takes: bool = True
    ingested: Ingested | None = None
    prepared: Prepared | None = None
    versions: dict[str, int] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    done: list[str] = field(default_factory=list)

    def __post_init__(self):
        self.work.mkdir(parents=True, exist_ok=True)
        self.records = StageRecords(self.work)
        self.dataset = SimpleNamespace(name="flows")
        self.request = SimpleNamespace(iso="2026-09-20")
        self.services = SimpleNamespace(lake=self.lake)
        self.run = SimpleNamespace(id=self.run_id)


@recorded("ingested")
def ingest(night):
    night.done.append("ingest")
    part = night.work / "part-0.parquet"
    part.write_bytes(b"rows")
    night.ingested = Ingested((), (StagedPart(part, "a.csv", 3),), None, 3, ("late",))
    night.warnings.append("late")


@recorded("prepared", facts=lambda night: {"champion": night.champion}, holds=lambda night: night.takes)
def preprocess(night):
    night.done.append("preprocess")
    sample = night.work / "samples" / "sample.parquet"
    sample.parent.mkdir(exist_ok=True)
    sample.write_bytes(b"sample")
    night.prepared = Prepared({"rows": 3, "columns": {"x": {"max": float("inf"), "values": {"$work": 1}}}}, sample, 3)
    night.versions["samples"] = night.lake.replace_night(
        "flows", "samples", "2026-09-20", pa.table({"key": ["a"]}), SCHEMA, run_id=night.run.id
    )


@pytest.fixture
def lake(tmp_path):
    return Lake(tmp_path / "lake")


@pytest.fixture
def stopped(tmp_path, lake):
    """A night that was stopped behind two finished stages."""
    night = Tonight(tmp_path / "run-1", lake)
    ingest(night)
    preprocess(night)
    return night


@pytest.fixture
def resumed(stopped, tmp_path, lake):
    """Do the same two stages in a night that took the folder over; give it."""

    def again(**changes: Any):
        folder = tmp_path / "run-2"
        if stopped.work.exists():
            stopped.work.rename(folder)
        night = Tonight(folder, **{"lake": lake, "run_id": "run-2", **changes})
        ingest(night)
        preprocess(night)
        return night

    return again


def test_finished_stages_are_not_done_again_and_what_they_found_is_there(stopped, resumed, tmp_path):
    night = resumed()
    assert (stopped.done, night.done) == (["ingest", "preprocess"], [])
    assert night.ingested.parts == (StagedPart(tmp_path / "run-2" / "part-0.parquet", "a.csv", 3),)
    assert night.ingested.parts[0].path.read_bytes() == b"rows"
    assert night.prepared.counters == stopped.prepared.counters
    assert night.prepared.sample == tmp_path / "run-2" / "samples" / "sample.parquet"
    assert (night.versions, night.warnings) == (stopped.versions, ["late"])


def test_a_third_night_takes_over_what_the_second_did(resumed):
    again = resumed(champion="2")
    assert again.done == ["preprocess"]
    assert resumed(champion="2", run_id="run-3").done == []


def test_a_changed_fact_does_the_stage_and_those_after_it_again(resumed):
    night = resumed(champion="2")
    assert night.done == ["preprocess"]
    assert night.versions == {"samples": 2}


@pytest.mark.parametrize("damage", ["gone", "shorter"])
def test_a_file_that_is_not_whole_does_its_stage_and_all_after_it_again(damage, stopped, resumed):
    part = stopped.work / "part-0.parquet"
    part.unlink() if damage == "gone" else part.write_bytes(b"row")
    assert resumed().done == ["ingest", "preprocess"]


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", "null", '{"protocol": 99}', '{"protocol": 1, "facts": {}, "files": []}'], ids=repr
)
def test_a_record_that_is_torn_or_of_another_release_is_as_none(text, stopped, resumed):
    stopped.records.file("ingest").write_text(text)
    assert resumed().done == ["ingest", "preprocess"]


def test_a_record_whose_values_have_another_form_is_as_none(stopped, resumed):
    file = stopped.records.file("preprocess")
    record = json.loads(file.read_text())
    file.write_text(json.dumps({**record, "found": {"prepared": {"rows": "many"}}}))
    night = resumed()
    assert night.done == ["preprocess"]
    assert night.prepared == Prepared(night.prepared.counters, night.work / "samples" / "sample.parquet", 3)


def test_a_stage_that_may_not_be_relied_on_leaves_no_record_and_none_is_taken_over(stopped, resumed):
    assert resumed(takes=False).done == ["preprocess"]
    assert not StageRecords(stopped.work.with_name("run-2")).file("preprocess").exists()


def test_rows_that_are_not_in_the_lake_any_more_are_written_again(resumed, lake, tmp_path):
    """The lake was restored from a backup, or is another one by now: its version of this number is not this run's."""
    lake.replace_night("flows", "samples", "2026-09-20", pa.table({"key": ["b"]}), SCHEMA, run_id="other")
    assert resumed().done == []
    elsewhere = Lake(tmp_path / "restored")
    for _ in range(2):
        elsewhere.replace_night("flows", "samples", "2026-09-20", pa.table({"key": ["b"]}), SCHEMA, run_id="other")
    night = resumed(lake=elsewhere, run_id="run-3")
    assert night.done == ["preprocess"]
    assert night.versions == {"samples": elsewhere.version("flows", "samples")}


def test_a_stage_begins_without_the_files_of_one_that_was_stopped_and_names_all_that_it_writes(stopped, resumed):
    """The file was begun by a stopped try, or is still held by a process that lost the night."""
    stopped.records.forget("preprocess")
    begun = stopped.work / "samples" / "sample.parquet"
    with begun.open("wb") as held:
        kept = [stopped.work / name for name in (".key", f"{CHECKPOINTS}/epoch-1")]
        kept[1].parent.mkdir()
        for path in (*kept, stopped.work / "begun.parquet"):
            path.write_bytes(b"x")
        night = resumed()
        held.write(b"what a process writes that lost its night")
    assert night.prepared.sample.read_bytes() == b"sample"
    assert not (night.work / "begun.parquet").exists()
    assert [(night.work / path.relative_to(stopped.work)).exists() for path in kept] == [True, True]
    assert list(json.loads(night.records.file("preprocess").read_text())["files"]) == ["samples/sample.parquet"]
    (night.work / "samples" / "sample.parquet").unlink()
    assert resumed(run_id="run-3").done == ["preprocess"]


def test_without_a_folder_that_outlives_the_run_every_stage_is_done(stopped, lake, tmp_path):
    night = Tonight(tmp_path / "scratch", lake)
    night.records = None
    ingest(night)
    ingest(night)
    assert night.done == ["ingest", "ingest"]


def test_a_stage_that_fails_leaves_no_record_and_takes_those_after_it_away(stopped):
    def broken(_night):
        raise OSError("full")

    broken.__name__ = "ingest"
    stopped.records.file("ingest").unlink()
    with pytest.raises(OSError, match="full"):
        recorded("ingested")(broken)(stopped)
    assert not stopped.records.exist()
