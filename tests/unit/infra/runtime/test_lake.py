from __future__ import annotations

import threading
from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.runtime import lake_protocol, lake_tables
from infra.runtime.lake import Lake
from schemas.errors import LakeError, UsageError

SCHEMA = pa.schema([("id", pa.int64()), ("value", pa.float64()), ("at", pa.timestamp("us", tz="UTC"))])
FIRST, SECOND, THIRD = date(2026, 9, 1), date(2026, 9, 2), date(2026, 9, 3)


def rows(ids: list[int]) -> pa.Table:
    at = [datetime(2026, 9, 1, tzinfo=UTC)] * len(ids)
    return pa.table({"id": ids, "value": [i / 2 for i in ids], "at": at}, schema=SCHEMA)


def ids_of(table: pa.Table) -> list[int]:
    return sorted(table["id"].to_pylist())


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


def test_night_comes_back_as_written(lake: Lake) -> None:
    version = lake.replace_night("flows", "accepted", FIRST, rows([1, 2, 3]), SCHEMA)
    back = lake.read("flows", "accepted", [FIRST], version)
    assert back.drop(["night"]).sort_by("id") == rows([1, 2, 3])
    assert set(back["night"].to_pylist()) == {FIRST}
    assert lake.nights("flows", "accepted") == [FIRST]


def test_replacing_a_night_leaves_the_others(lake: Lake) -> None:
    lake.replace_night("flows", "accepted", FIRST, rows([1]), SCHEMA)
    lake.replace_night("flows", "accepted", SECOND, rows([2]), SCHEMA)
    lake.replace_night("flows", "accepted", FIRST, rows([7, 8]), SCHEMA)
    assert ids_of(lake.read("flows", "accepted")) == [2, 7, 8]


def test_each_replacement_is_one_version(lake: Lake) -> None:
    versions = [lake.replace_night("flows", "accepted", FIRST, rows([i]), SCHEMA) for i in range(3)]
    assert versions == [versions[0], versions[0] + 1, versions[0] + 2]
    assert lake.version("flows", "accepted") == versions[-1]


@pytest.mark.parametrize("nothing", [rows([]), []], ids=["empty table", "no files"])
def test_no_rows_empty_the_night(lake: Lake, nothing: pa.Table | list[Path]) -> None:
    lake.replace_night("flows", "accepted", FIRST, rows([1]), SCHEMA)
    lake.replace_night("flows", "accepted", SECOND, rows([2]), SCHEMA)
    before = lake.version("flows", "accepted")
    version = lake.replace_night("flows", "accepted", FIRST, nothing, SCHEMA)
    assert lake.nights("flows", "accepted") == [SECOND]
    assert ids_of(lake.read("flows", "accepted", [FIRST], version)) == []
    assert before is not None
    assert version > before


def test_first_night_without_rows_makes_a_table_with_a_version(lake: Lake) -> None:
    version = lake.replace_night("flows", "quarantined", FIRST, [], SCHEMA)
    assert lake.read("flows", "quarantined", {FIRST: version}).num_rows == 0


def test_pinned_reader_does_not_see_what_came_later(lake: Lake) -> None:
    first = lake.replace_night("flows", "accepted", FIRST, rows([1]), SCHEMA)
    second = lake.replace_night("flows", "accepted", SECOND, rows([2]), SCHEMA)
    lake.replace_night("flows", "accepted", FIRST, rows([9]), SCHEMA)
    assert ids_of(lake.read("flows", "accepted", {FIRST: first, SECOND: second})) == [1, 2]
    assert ids_of(lake.read("flows", "accepted", {"2026-09-01": first})) == [1]
    assert ids_of(lake.read("flows", "accepted", {})) == []
    assert lake.nights("flows", "accepted", first) == [FIRST]


def test_files_are_streamed_and_cast(lake: Lake, tmp_path: Path) -> None:
    paths = []
    for part in range(3):
        path = tmp_path / f"part-{part}.parquet"
        narrow = pa.table({"id": pa.array([part * 10 + i for i in range(10)], pa.int16())})
        pq.write_table(narrow, path, row_group_size=4)
        paths.append(path)
    lake.replace_night("flows", "accepted", FIRST, paths, SCHEMA)
    back = lake.read("flows", "accepted")
    assert ids_of(back) == list(range(30))
    assert back["value"].null_count == 30


def test_files_of_a_night_can_be_read_one_by_one(lake: Lake) -> None:
    lake.replace_night("flows", "accepted", FIRST, rows([1, 2]), SCHEMA)
    version = lake.replace_night("flows", "accepted", SECOND, rows([3]), SCHEMA)
    paths = lake.files("flows", "accepted", SECOND, version)
    assert [pq.ParquetFile(path).read()["id"].to_pylist() for path in paths] == [[3]]
    assert lake.files("flows", "accepted", THIRD) == []
    assert lake.files("flows", "nothing", THIRD) == []


def test_batches_are_bounded(lake: Lake) -> None:
    lake.replace_night("flows", "accepted", FIRST, rows(list(range(1000))), SCHEMA)
    batches = list(lake.batches("flows", "accepted", [FIRST], columns=["id"], batch_rows=300))
    assert max(batch.num_rows for batch in batches) <= 300
    assert sum(batch.num_rows for batch in batches) == 1000
    assert batches[0].schema.names == ["id"]


def test_added_column_is_null_in_older_nights(lake: Lake) -> None:
    first = lake.replace_night("flows", "accepted", FIRST, rows([1]), SCHEMA)
    wider = SCHEMA.append(pa.field("port", pa.string()))
    data = rows([2]).append_column("port", pa.array(["80"]))
    second = lake.replace_night("flows", "accepted", SECOND, data, wider)
    pinned = {FIRST: first, SECOND: second}
    back = lake.read("flows", "accepted", pinned, columns=["id", "port"], schema=wider).sort_by("id")
    assert back.to_pydict() == {"id": [1, 2], "port": [None, "80"]}
    assert lake.read("flows", "accepted").sort_by("id")["port"].to_pylist() == [None, "80"]


def test_dropped_column_stays_readable_and_is_null_from_then_on(lake: Lake) -> None:
    lake.replace_night("flows", "accepted", FIRST, rows([1]), SCHEMA)
    narrower = pa.schema([("id", pa.int64())])
    lake.replace_night("flows", "accepted", SECOND, pa.table({"id": [2]}), narrower)
    assert lake.read("flows", "accepted").sort_by("id")["value"].to_pylist() == [0.5, None]


def test_absent_table_reads_as_no_rows_of_the_schema(lake: Lake) -> None:
    empty = lake.read("flows", "accepted", schema=SCHEMA)
    assert empty.schema.names == [*SCHEMA.names, "night"]
    assert empty.num_rows == 0
    assert list(lake.batches("flows", "accepted")) == []
    assert lake.nights("flows", "accepted") == []
    assert lake.version("flows", "accepted") is None


def test_value_that_does_not_fit_leaves_the_night_as_it_was(lake: Lake) -> None:
    version = lake.replace_night("flows", "accepted", FIRST, rows([1]), SCHEMA)
    with pytest.raises(LakeError, match="'id' does not fit int64"):
        lake.replace_night("flows", "accepted", FIRST, pa.table({"id": ["x"]}), SCHEMA)
    assert lake.version("flows", "accepted") == version
    assert ids_of(lake.read("flows", "accepted")) == [1]


def test_column_that_the_schema_does_not_name_is_refused(lake: Lake, tmp_path: Path) -> None:
    stray = pa.table({"id": [1], "stray": [2]})
    with pytest.raises(LakeError, match="no column 'stray'"):
        lake.replace_night("flows", "accepted", FIRST, stray, SCHEMA)
    pq.write_table(stray, tmp_path / "part.parquet")
    with pytest.raises(LakeError, match=r"part\.parquet"):
        lake.replace_night("flows", "accepted", FIRST, [tmp_path / "part.parquet"], SCHEMA)


def test_changed_type_is_refused_with_a_way_out(lake: Lake) -> None:
    lake.replace_night("flows", "accepted", FIRST, rows([1]), SCHEMA)
    with pytest.raises(LakeError, match="'id' is int64 there, string now") as caught:
        lake.replace_night("flows", "accepted", SECOND, pa.table({"id": ["a"]}), pa.schema([("id", pa.string())]))
    assert "rename" in (caught.value.hint or "")


def test_columns_that_differ_by_case_alone_are_refused(lake: Lake) -> None:
    with pytest.raises(LakeError, match="Duplicate field name"):
        lake.replace_night("flows", "accepted", FIRST, [], pa.schema([("a", pa.int64()), ("A", pa.int64())]))


def test_missing_and_damaged_part_files_commit_nothing(lake: Lake, tmp_path: Path) -> None:
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 but not really")
    for path in (tmp_path / "absent.parquet", tmp_path / "bad.parquet"):
        with pytest.raises(LakeError, match="cannot be read as Parquet"):
            lake.replace_night("flows", "accepted", FIRST, [path], SCHEMA)
    assert lake.version("flows", "accepted") is None


def test_version_that_is_not_there_says_what_to_do(lake: Lake) -> None:
    lake.replace_night("flows", "accepted", FIRST, rows([1]), SCHEMA)
    with pytest.raises(LakeError, match="at version 99"):
        lake.read("flows", "accepted", {FIRST: 99})
    with pytest.raises(LakeError, match="pins a version of it"):
        lake.read("flows", "scores", {FIRST: 3})


def test_lost_data_file_is_an_error_with_a_hint(lake: Lake) -> None:
    lake.replace_night("flows", "accepted", FIRST, rows([1]), SCHEMA)
    Path(lake.files("flows", "accepted", FIRST)[0]).unlink()
    with pytest.raises(LakeError, match="cannot be read") as caught:
        lake.read("flows", "accepted")
    assert "--force" in (caught.value.hint or "")


def test_table_of_a_newer_release_is_refused(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as newer:
        newer.setattr(lake_protocol, "LAKE_PROTOCOL", 3)
        lake.replace_night("flows", "accepted", FIRST, rows([1]), SCHEMA)
    with pytest.raises(LakeError, match="protocol 3; this release knows 2") as caught:
        lake.read("flows", "accepted")
    assert "pgrade" in (caught.value.hint or "")
    with pytest.raises(LakeError):
        lake.replace_night("flows", "accepted", FIRST, rows([1]), SCHEMA)


@pytest.mark.parametrize("night", ["2026-09-01' OR '1'='1", "20260901", "2026-13-01", "2026-W36-2", ""])
def test_night_that_is_no_date_never_reaches_the_predicate(lake: Lake, night: str) -> None:
    with pytest.raises(UsageError, match="not a date"):
        lake.replace_night("flows", "accepted", night, rows([1]), SCHEMA)


@pytest.mark.parametrize("name", ["../accepted", "a/b", "Accepted", ""])
def test_name_that_could_leave_the_lake_is_refused(lake: Lake, name: str) -> None:
    with pytest.raises(LakeError):
        lake.uri("flows", name)


def test_nights_written_at_once_are_all_there(lake: Lake) -> None:
    nights = [date(2026, 9, day) for day in range(1, 9)]
    failures: list[BaseException] = []

    def write(position: int) -> None:
        try:
            schema = SCHEMA.append(pa.field(f"added_{position % 3}", pa.string()))
            lake.replace_night("flows", "accepted", nights[position], rows([position]), schema)
        except BaseException as error:  # noqa: BLE001 -- shown by the assertion
            failures.append(error)

    # The nights also add columns, each its own: a commit between another's look and its commit.
    threads = [threading.Thread(target=write, args=(position,)) for position in range(len(nights))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert lake.nights("flows", "accepted") == nights
    assert ids_of(lake.read("flows", "accepted")) == list(range(8))


def test_log_is_kept_for_pinned_versions(lake: Lake) -> None:
    first = lake.replace_night("flows", "accepted", FIRST, rows([1]), SCHEMA)
    opened = lake_tables.open_table(lake.uri("flows", "accepted"), {}, None)
    assert opened is not None
    opened.create_checkpoint()
    opened.cleanup_metadata()
    assert ids_of(lake.read("flows", "accepted", {FIRST: first})) == [1]


NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=12)


@settings(max_examples=20)
@given(names=st.lists(NAMES, min_size=1, max_size=4, unique_by=str.lower))
def test_odd_column_names_survive(tmp_path_factory: pytest.TempPathFactory, names: list[str]) -> None:
    names = [name for name in names if name.lower() != "night"]
    lake = Lake(tmp_path_factory.mktemp("lake"))
    schema = pa.schema([(name, pa.string()) for name in names])
    data = pa.table({name: [f"of {name}"] for name in names}, schema=schema)
    lake.replace_night("flows", "accepted", FIRST, data, schema)
    assert lake.read("flows", "accepted", [FIRST], columns=names) == data
