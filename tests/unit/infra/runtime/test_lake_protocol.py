"""Tables of an older protocol are read as they are and migrated at the next write; those of a newer one are refused."""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import CommitFailedError

from infra.runtime import lake_protocol, lake_tables
from infra.runtime.lake import Lake
from schemas.errors import LakeError

SCHEMA = pa.schema([("id", pa.int64())])
STORED = pa.schema([("id", pa.int64()), ("night", pa.date32())])
FIRST, SECOND, THIRD = (date(2026, 9, day) for day in (1, 2, 3))
OLD_CONFIGURATION = {
    "delta.enableExpiredLogCleanup": "false",
    "delta.logRetentionDuration": "interval 36500 days",
}


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


def rows(ids: list[int], night: date) -> pa.Table:
    return pa.table({"id": ids, "night": [night] * len(ids)}, schema=STORED)


def made_by_hand(lake: Lake, protocol: int) -> dict[date, int]:
    """A table as an older release wrote it, and the versions of its two nights."""
    uri = lake.uri("flows", "accepted")
    said = json.dumps({"sereno_protocol": protocol})
    table = DeltaTable.create(
        uri, STORED, description=said, partition_by=["night"], configuration=dict(OLD_CONFIGURATION)
    )
    pins = {}
    for position, night in enumerate((FIRST, SECOND)):
        where = f"night = '{night}'"
        write_deltalake(table, rows([position], night), mode="overwrite", predicate=where)
        pins[night] = table.version()
    return pins


def opened(lake: Lake) -> DeltaTable:
    return DeltaTable(lake.uri("flows", "accepted"))


def test_a_table_of_protocol_1_is_read_as_it_is(lake: Lake) -> None:
    pins = made_by_hand(lake, 1)
    assert sorted(lake.read("flows", "accepted", pins)["id"].to_pylist()) == [0, 1]
    assert lake.read("flows", "accepted", {FIRST: pins[FIRST]})["id"].to_pylist() == [0]
    assert opened(lake).version() == 2


def test_the_next_write_migrates_it_and_keeps_every_pinned_night(lake: Lake) -> None:
    pins = made_by_hand(lake, 1)
    pins[THIRD] = lake.replace_night("flows", "accepted", THIRD, pa.table({"id": [2]}), SCHEMA)
    metadata = opened(lake).metadata()
    assert json.loads(metadata.description or "") == {"sereno_protocol": lake_protocol.LAKE_PROTOCOL}
    assert metadata.configuration == dict(lake_protocol.CONFIGURATION)
    assert sorted(lake.read("flows", "accepted", pins)["id"].to_pylist()) == [0, 1, 2]
    lake.replace_night("flows", "accepted", FIRST, pa.table({"id": [9]}), SCHEMA)
    assert sorted(lake.read("flows", "accepted", pins)["id"].to_pylist()) == [0, 1, 2]


def test_a_table_is_migrated_once(lake: Lake) -> None:
    made_by_hand(lake, 1)
    first = lake.replace_night("flows", "accepted", THIRD, pa.table({"id": [2]}), SCHEMA)
    assert lake.replace_night("flows", "accepted", THIRD, pa.table({"id": [3]}), SCHEMA) == first + 1


def test_a_migration_that_was_interrupted_is_done_again(lake: Lake) -> None:
    made_by_hand(lake, 1)
    opened(lake).alter.set_table_properties(dict(lake_protocol.CONFIGURATION))
    lake.replace_night("flows", "accepted", THIRD, pa.table({"id": [2]}), SCHEMA)
    assert json.loads(opened(lake).metadata().description or "")["sereno_protocol"] == lake_protocol.LAKE_PROTOCOL


def test_a_migration_that_another_process_came_before_is_tried_again(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    made_by_hand(lake, 1)
    tries: list[int] = []

    def refused_once(table: DeltaTable) -> None:
        tries.append(table.version())
        if len(tries) == 1:
            raise CommitFailedError("Metadata changed since last commit")
        lake_protocol.migrate(table)

    monkeypatch.setattr(lake_tables, "migrate", refused_once)
    lake.replace_night("flows", "accepted", THIRD, pa.table({"id": [2]}), SCHEMA)
    assert len(tries) == 2


def test_a_table_of_a_newer_protocol_is_refused_with_what_to_do(lake: Lake) -> None:
    pins = made_by_hand(lake, lake_protocol.LAKE_PROTOCOL + 1)
    for act in (
        lambda: lake.read("flows", "accepted", pins),
        lambda: lake.nights("flows", "accepted"),
        lambda: lake.replace_night("flows", "accepted", THIRD, pa.table({"id": [2]}), SCHEMA),
    ):
        with pytest.raises(LakeError, match="protocol 3; this release knows 2") as caught:
            act()
        assert "pip install --upgrade sereno" in (caught.value.hint or "")
    assert opened(lake).version() == max(pins.values())


@pytest.mark.parametrize("said", ["a table of ours", "[]", '{"sereno_protocol": "two"}'])
def test_a_table_that_describes_itself_in_other_words_keeps_them(lake: Lake, said: str) -> None:
    made_by_hand(lake, 1)
    opened(lake).alter.set_table_description(said)
    lake.replace_night("flows", "accepted", THIRD, pa.table({"id": [2]}), SCHEMA)
    assert opened(lake).metadata().description == said


def needed(log: Path, pins: dict[date, int]) -> set[str]:
    """Names of the log that reading pinned nights may need: their commits, the last checkpoint and what came since."""
    checkpoint = max(int(path.name.split(".")[0]) for path in log.glob("*.checkpoint.parquet"))
    commits = {path.name for path in log.glob("*.json") if int(path.stem) > checkpoint}
    assert len(commits) <= lake_protocol.CHECKPOINT_COMMITS
    return {*commits, "_last_checkpoint", f"{checkpoint:020d}.checkpoint.parquet"} | {
        f"{version:020d}.json" for version in pins.values()
    }


@pytest.mark.parametrize("nights", [28, 60])
def test_reading_a_window_needs_no_more_of_the_log_than_its_nights_and_the_last_checkpoint(
    lake: Lake, nights: int
) -> None:
    """What it does not need is taken away, as the opens of deltalake's own engine cannot be counted from here."""
    pins = {}
    for position in range(nights):
        night = FIRST + timedelta(days=position)
        pins[night] = lake.replace_night("flows", "samples", night, pa.table({"id": [position]}), SCHEMA)
    window = dict(list(pins.items())[-14:])
    log = Path(lake.uri("flows", "samples")) / "_delta_log"
    kept = needed(log, window)
    for path in log.iterdir():
        if path.name not in kept:
            path.unlink()
    assert lake.read("flows", "samples", window)["id"].to_pylist() == list(range(nights - 14, nights))
    tonight = FIRST + timedelta(days=nights)
    assert lake.replace_night("flows", "samples", tonight, pa.table({"id": [-1]}), SCHEMA) == max(pins.values()) + 1


def test_a_night_whose_commit_does_not_tell_is_read_by_opening_the_table_there(lake: Lake) -> None:
    """Pinned at a later version than the one that wrote it, as other tools and hands may."""
    first = lake.replace_night("flows", "accepted", FIRST, pa.table({"id": [1]}), SCHEMA)
    second = lake.replace_night("flows", "accepted", SECOND, pa.table({"id": [2]}), SCHEMA)
    lake.replace_night("flows", "accepted", FIRST, pa.table({"id": [7]}), SCHEMA)
    assert lake.read("flows", "accepted", {FIRST: second})["id"].to_pylist() == [1]
    assert lake.read("flows", "accepted", {FIRST: first, SECOND: first})["id"].to_pylist() == [1]
