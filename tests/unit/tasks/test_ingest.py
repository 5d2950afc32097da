from __future__ import annotations

import gzip
import hashlib
import json
import os
from datetime import date

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schemas.dataset import Dataset
from schemas.errors import NoInput, UnreadableInput
from schemas.settings import InputSettings
from tasks import ingest as module
from tasks.addresses import resolve_inputs
from tasks.ingest import hash_inputs, ingest

NIGHT = date(2026, 9, 20)
INPUTS = InputSettings()


class Serial:
    def map(self, function, items, *args):
        return [function(item, *args) for item in items]


def dataset(path="*.csv", columns=("a", "b"), source=None, **more) -> Dataset:
    kinds = {name: {"type": "text"} if isinstance(columns, tuple) else columns[name] for name in columns}
    return Dataset.model_validate({"name": "d", "source": {"path": path, **(source or {})}, "columns": kinds, **more})


def run(contract: Dataset, root, *, inputs=INPUTS, night=NIGHT):
    return ingest(contract, night, root, inputs, Serial(), root / "work")


def rows(found) -> list[dict]:
    return [row for part in found.parts for row in pq.read_table(part.path).to_pylist()]


def test_each_row_knows_its_file_and_line(tmp_path):
    (tmp_path / "1.csv").write_bytes(gzip.compress(b"a,b\n1,2\n3\n"))
    (tmp_path / "2.csv").write_bytes("b;a\r\n4;é\r\n".encode("utf-8-sig"))
    found = run(dataset(), tmp_path)
    assert rows(found) == [
        {"a": "1", "b": "2", "sereno_file": "1.csv", "sereno_line": 2},
        {"a": "é", "b": "4", "sereno_file": "2.csv", "sereno_line": 2},
    ]
    assert [(f.name, f.compression, f.delimiter, f.rows, f.rejected) for f in found.files] == [
        ("1.csv", "gzip", ",", 1, 1),
        ("2.csv", None, ";", 1, 0),
    ]
    assert found.rows_read == 3
    assert pq.read_table(found.rejects).to_pylist() == [
        {
            "sereno_file": "1.csv",
            "sereno_line": 3,
            "rule": "fields",
            "value": "1 field where 2 are expected",
            "raw": "3",
        }
    ]


def test_hashes_are_of_the_bytes_as_delivered(tmp_path):
    data = gzip.compress(b"a,b\n1,2\n")
    (tmp_path / "1.csv").write_bytes(data)
    found = run(dataset(), tmp_path)
    expected = hashlib.sha256(data).hexdigest()
    assert [f.sha256 for f in found.files] == [expected]
    assert hash_inputs([f.address for f in found.files], INPUTS) == {str(tmp_path / "1.csv"): expected}


def test_parts_are_bounded_and_keep_the_order(tmp_path):
    (tmp_path / "1.csv").write_text("a,b\n" + "".join(f"{i},x\n" for i in range(25)))
    found = run(dataset(partition_rows=10), tmp_path)
    assert [part.rows for part in found.parts] == [10, 10, 5]
    assert [row["a"] for row in rows(found)] == [str(i) for i in range(25)]


def test_one_bad_file_leaves_nothing_and_all_bad_files_are_named(tmp_path):
    (tmp_path / "1.csv").write_text("a,b\n1,2\n")
    (tmp_path / "2.csv").write_text("")
    (tmp_path / "3.csv").write_text("a,c\n1,2\n")
    with pytest.raises(UnreadableInput) as caught:
        run(dataset(), tmp_path)
    assert "2.csv: an empty file" in caught.value.message
    assert "3.csv: b missing and c unknown" in caught.value.message
    assert not (tmp_path / "work" / "ingest").exists()


def test_a_second_run_replaces_what_the_first_staged(tmp_path):
    (tmp_path / "1.csv").write_text("a,b\n1,2\n")
    assert rows(run(dataset(), tmp_path)) == rows(run(dataset(), tmp_path))


def test_nothing_there_is_no_input(tmp_path):
    with pytest.raises(NoInput):
        run(dataset(), tmp_path)


def test_a_file_larger_than_the_limit_is_refused(tmp_path):
    (tmp_path / "1.csv").write_bytes(gzip.compress(b"a,b\n" + b"1,2\n" * 10_000))
    with pytest.raises(UnreadableInput, match="larger than 5,000 bytes"):
        run(dataset(), tmp_path, inputs=InputSettings(max_bytes=5_000))


def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "1.csv"
    path.write_text("a,b\n1,2\n")
    read = module._read

    def read_and_grow(*args):
        form = read(*args)
        with path.open("a") as file:
            file.write("3,4\n")
        return form

    monkeypatch.setattr(module, "_read", read_and_grow)
    with pytest.raises(UnreadableInput, match="changed while it was read"):
        run(dataset(), tmp_path)


def test_a_change_that_keeps_size_and_times_is_seen(tmp_path, monkeypatch):
    path = tmp_path / "1.csv"
    path.write_text("a,b\n1,2\n")
    before, read = path.stat(), module._read

    def read_and_rewrite(*args):
        form = read(*args)
        path.write_text("a,b\n3,4\n")
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        return form

    monkeypatch.setattr(module, "_read", read_and_rewrite)
    with pytest.raises(UnreadableInput, match="changed while it was read"):
        run(dataset(), tmp_path)


def test_a_file_that_gets_another_mode_or_a_second_name_meanwhile_is_read(tmp_path, monkeypatch):
    path = tmp_path / "1.csv"
    path.write_text("a,b\n1,2\n")
    read = module._read

    def read_and_link(*args):
        path.chmod(0o600)
        os.link(path, tmp_path / "backup")
        return read(*args)

    monkeypatch.setattr(module, "_read", read_and_link)
    assert len(rows(run(dataset(), tmp_path))) == 1


@pytest.mark.parametrize("change", ["replaced", "came", "went"])
def test_what_changed_between_fingerprint_and_reading_is_seen(change, tmp_path):
    (tmp_path / "1.csv").write_text("a,b\n1,2\n")
    (tmp_path / "2.csv").write_text("a,b\n3,4\n")
    hashes = hash_inputs(resolve_inputs(dataset(), NIGHT, tmp_path, INPUTS), INPUTS)
    module.check_unchanged(run(dataset(), tmp_path).files, hashes)
    if change == "went":
        (tmp_path / "2.csv").unlink()
    else:
        (tmp_path / ("2.csv" if change == "replaced" else "3.csv")).write_text("a,b\n5,6\n")
    name = {"replaced": "2.csv", "came": "3.csv", "went": "the input"}[change]
    with pytest.raises(UnreadableInput, match=f"{name}: changed after the night had begun") as raised:
        module.check_unchanged(run(dataset(), tmp_path).files, hashes)
    assert raised.value.hint == "wait until the delivery is complete, then run again"


def test_a_file_whose_time_lies_in_the_future_is_read(tmp_path):
    path = tmp_path / "1.csv"
    path.write_text("a,b\n1,2\n")
    os.utime(path, (4_000_000_000, 4_000_000_000))
    assert len(rows(run(dataset(), tmp_path))) == 1


def test_what_is_no_regular_file_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / "1.csv")
    with pytest.raises(UnreadableInput, match="not a regular file"):
        run(dataset(), tmp_path)


def test_only_rows_of_the_date_are_of_the_night(tmp_path):
    (tmp_path / "1.csv").write_text(
        "a,t\n1,2026-09-19T21:59:59Z\n2,2026-09-19 22:00:00Z\n3,2026-09-20T23:59:00+02:00\n4,2026-09-21\n5,soon\n6,\n"
    )
    contract = dataset(
        columns={"a": {"type": "text"}, "t": {"type": "time"}}, source={"date_column": "t"}, timezone="Europe/Berlin"
    )
    found = run(contract, tmp_path)
    assert [row["a"] for row in rows(found)] == ["2", "3"]
    rejects = pq.read_table(found.rejects).to_pylist()
    assert [(r["sereno_line"], r["rule"], r["value"]) for r in rejects] == [
        (6, "time", "t: not a time: soon"),
        (7, "time", "t: missing"),
    ]
    assert found.rows_read == 4


def test_the_other_formats_are_staged_too(tmp_path):
    (tmp_path / "1.jsonl").write_bytes(gzip.compress(json.dumps({"a": 1, "b": "x"}).encode()))
    pq.write_table(pa.table({"a": [1], "b": ["x"]}), tmp_path / "1.parquet")
    lines = run(dataset("1.jsonl", source={"format": "jsonl"}), tmp_path)
    assert rows(lines) == [{"a": "1", "b": "x", "sereno_file": "1.jsonl", "sereno_line": 1}]
    table = run(dataset("1.parquet", source={"format": "parquet"}), tmp_path)
    assert rows(table) == [{"a": 1, "b": "x", "sereno_file": "1.parquet", "sereno_line": 1}]


@pytest.mark.parametrize("form", ["delimited", "jsonl", "parquet"])
def test_a_disk_that_is_full_is_not_taken_for_a_damaged_file(form, tmp_path, monkeypatch):
    pq.write_table(pa.table({"a": ["1"], "b": ["x"]}), tmp_path / "1.parquet")
    (tmp_path / "1.delimited").write_text("a,b\n1,x\n")
    (tmp_path / "1.jsonl").write_text(json.dumps({"a": "1", "b": "x"}))

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.PartWriter, "add", full)
    with pytest.raises(OSError, match="No space left") as raised:
        run(dataset(f"1.{form}", source={"format": form}), tmp_path)
    assert not isinstance(raised.value, UnreadableInput)


def test_remote_files_are_read_and_their_copy_goes(tmp_path):
    import fsspec

    memory = fsspec.filesystem("memory")
    memory.pipe("/sereno-ingest/1.csv", b"a,b\n1,2\n")
    try:
        found = run(dataset("memory://sereno-ingest/1.csv"), tmp_path, inputs=InputSettings(protocols=("memory",)))
        assert rows(found)[0]["sereno_file"] == "1.csv"
        assert not list((tmp_path / "work").rglob("delivered"))
    finally:
        memory.rm("/sereno-ingest", recursive=True)


SPOILT = {
    "bad_rows.csv": 0,
    "cut_off.csv": 1,
    "extra_column.csv": 0,
    "header_only.csv": 0,
    "latin1_bytes.csv": 0,
    "ragged_rows.csv": 3,
    "renamed_column.csv": "sbytes missing and src_bytes unknown",
    "reordered_columns.csv": 0,
    "repeated_keys.csv": 0,
    "semicolons_bom.csv": 0,
    "tiny_volume.csv": 0,
    "empty_file.csv": "empty_file.csv: an empty file",
    "truncated.csv.gz": "the archive is cut off",
    "units_changed.csv": 0,
    "html_error_page.csv": "not a table with the contract's columns",
}


@pytest.mark.parametrize("name", SPOILT)
def test_each_spoilt_night_is_read_or_refused_in_words(tmp_path, shared_data, name):
    nights = shared_data / "unsw_nights"
    with gzip.open(nights / "2026-09-20.csv.gz", "rt") as file:
        columns = tuple(file.readline().strip().split(","))
    contract = dataset(str(nights / "broken" / name), columns)
    expected = SPOILT[name]
    if isinstance(expected, str):
        with pytest.raises(UnreadableInput, match=expected):
            run(contract, tmp_path)
        return
    found = run(contract, tmp_path)
    assert sum(file.rejected for file in found.files) == expected
    lines = (nights / "broken" / name).read_bytes().splitlines()
    assert found.rows_read == len(lines) - 1
