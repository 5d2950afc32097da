from __future__ import annotations

import threading

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from models.row_source import ParquetRows
from schemas.errors import ConfigError, TrainingFailed

COUNT = 230


@pytest.fixture
def written(tmp_path):
    """Two files of rows that count up, in row groups of 20, and the rows."""
    rows = np.arange(COUNT * 2, dtype=np.float32).reshape(COUNT, 2)
    table = pa.table({"a": rows[:, 0], "note": ["x"] * COUNT, "b": rows[:, 1].astype(np.int64)})
    paths = [tmp_path / "first.parquet", tmp_path / "second.parquet"]
    pq.write_table(table.slice(0, 130), paths[0], row_group_size=20)
    pq.write_table(table.slice(130), paths[1], row_group_size=20)
    return paths, rows


@pytest.fixture
def source(written):
    return ParquetRows(written[0], ["a", "b"], chunk_rows=50)


def write(path, **columns):
    pq.write_table(pa.table(columns), path)
    return path


def readers():
    return [thread for thread in threading.enumerate() if thread.name == "rows"]


def epoch(source, seed):
    """What an epoch gives: each chunk's rows in the order in which they are taken."""
    return [np.asarray(chunk.rows)[chunk.order] for chunk in source.epoch(np.random.default_rng(seed))]


def test_each_row_is_seen_once_an_epoch(source, written):
    chunks = epoch(source, 1)
    assert len(chunks) > 3
    assert min(map(len, chunks[:-1])) >= 50
    seen = np.concatenate(chunks)
    assert seen.dtype == np.float32
    assert not np.array_equal(seen, written[1])
    np.testing.assert_array_equal(seen[np.argsort(seen[:, 0])], written[1])


def test_the_order_follows_from_the_seed(source):
    first, again, other = (np.concatenate(epoch(source, seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_chunk_says_where_its_rows_stand_among_all(source, written):
    for chunk in source.epoch(np.random.default_rng(3)):
        np.testing.assert_array_equal(chunk.rows, written[1][chunk.at])


def test_rows_come_in_place_and_in_the_order_of_the_columns(written):
    paths, rows = written
    source = ParquetRows(paths, ["b", "a"], chunk_rows=100)
    assert (len(source), source.width) == (COUNT, 2)
    np.testing.assert_array_equal(np.concatenate(list(source.in_place())), rows[:, ::-1])


def test_all_columns_of_the_first_file_are_taken_where_none_are_named(tmp_path):
    path = write(tmp_path / "rows.parquet", x=[1.0, 2.0], y=[True, False], z=pa.array([3, 4], pa.int8()))
    np.testing.assert_array_equal(next(ParquetRows([path]).in_place()), [[1, 1, 3], [2, 0, 4]])


def test_the_reader_ends_when_one_leaves_early(source):
    before = readers()
    chunks = source.epoch(np.random.default_rng(0))
    next(chunks)
    assert len(readers()) == len(before) + 1
    chunks.close()
    assert readers() == before


def test_the_next_chunk_is_read_while_one_is_used(source, monkeypatch):
    read, second = [], threading.Event()
    real = source._read

    def noted(path, group):
        read.append(group)
        if len(read) > 3:  # three groups of 20 rows make a chunk
            second.set()
        return real(path, group)

    monkeypatch.setattr(source, "_read", noted)
    chunks = source.in_place()
    next(chunks)
    assert second.wait(20)
    chunks.close()


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        (["a", "c", "d"], "first.parquet has no column c, d"),
        (["a", "note"], "column note of .*first.parquet is not numeric: string"),
        (None, "column note of .*first.parquet is not numeric"),
        ([], "no column"),
    ],
    ids=["missing", "text", "text among all", "none"],
)
def test_columns_that_are_no_numbers_are_refused_at_once(written, columns, said):
    with pytest.raises(ConfigError, match=said):
        ParquetRows(written[0], columns)


def test_a_column_that_is_text_in_a_later_file_is_refused(tmp_path):
    paths = [write(tmp_path / "1.parquet", x=[1.0]), write(tmp_path / "2.parquet", x=["1"])]
    with pytest.raises(ConfigError, match=r"x of .*2\.parquet is not numeric"):
        ParquetRows(paths)


@pytest.mark.parametrize("values", [[1.0, None], [1.0, np.nan], [np.inf, 1.0]], ids=["null", "nan", "infinite"])
def test_values_that_no_network_can_take_fail_where_they_are_read(tmp_path, values):
    path = write(tmp_path / "rows.parquet", fine=[1.0, 2.0], odd=pa.array(values, pa.float64()))
    before = readers()
    with pytest.raises(TrainingFailed, match=r"rows\.parquet: missing or infinite values in odd"):
        list(ParquetRows([path]).in_place())
    assert readers() == before


@pytest.mark.parametrize("kind", ["no file", "no Parquet", "no row", "nothing"])
def test_files_without_rows_are_refused(tmp_path, kind):
    path = tmp_path / "rows.parquet"
    if kind == "no Parquet":
        path.write_bytes(b"a,b\n1,2\n" * 10)
    if kind == "no row":
        write(path, x=pa.array([], pa.float64()))
    said = {"no file": "there is no file", "no Parquet": "cannot be read", "no row": "no row", "nothing": "no row"}
    with pytest.raises(ConfigError, match=said[kind]):
        ParquetRows([] if kind == "nothing" else [path])
