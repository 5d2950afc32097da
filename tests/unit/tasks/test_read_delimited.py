from __future__ import annotations

import csv
import io

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.dataset import Dataset
from schemas.errors import UnreadableInput
from tasks.decode import BoundedStream, LineBlocks
from tasks.quoting import split_record
from tasks.read_delimited import read_delimited
from tasks.staging import RejectWriter


def dataset(*names: str, **source: object) -> Dataset:
    columns = {name: {"type": "text"} for name in names}
    strict = bool(source.pop("strict", False))
    return Dataset.model_validate(
        {"name": "d", "source": {"path": "x", **source}, "columns": columns, "strict": strict}
    )


def read(data: bytes, contract: Dataset, folder, *, size: int = 1 << 20):
    rows, numbers = [], []

    def take(table, lines):
        rows.extend(table.to_pylist())
        numbers.extend(lines.to_pylist())

    path = folder / "rejects.parquet"
    path.unlink(missing_ok=True)
    rejects = RejectWriter(path, "f.csv")
    facts = read_delimited(
        LineBlocks(BoundedStream(io.BytesIO(data), "f.csv", 10**9), "f.csv", None, size), contract, take, rejects
    )
    refused = pq.read_table(path).to_pylist() if rejects.close() else []
    return rows, numbers, [(r["sereno_line"], r["rule"], r["value"]) for r in refused], facts


def test_rows_keep_their_physical_line(tmp_path):
    rows, lines, rejects, _ = read(b"a,b\n1,2\n\n3,4\r\n5,6", dataset("a", "b"), tmp_path)
    assert rows == [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}, {"a": "5", "b": "6"}]
    assert (lines, rejects) == ([2, 4, 5], [])


def test_ragged_rows_are_rejected_with_line_and_widths(tmp_path):
    _, lines, rejects, _ = read(b"a,b\n1,2,3\n4,5\n6\n7,8\n9", dataset("a", "b"), tmp_path)
    assert lines == [3, 5]
    assert rejects == [
        (2, "fields", "3 fields where 2 are expected"),
        (4, "fields", "1 field where 2 are expected"),
        (6, "fields", "1 field where 2 are expected"),
    ]


def test_line_breaks_within_quotes_count_as_lines(tmp_path):
    data = b'a,b\n1,"x\ny\n""z"""\n2,"p,q"\n3,"bad\n'
    rows, lines, rejects, _ = read(data, dataset("a", "b"), tmp_path)
    assert rows == [{"a": "1", "b": 'x\ny\n"z"'}, {"a": "2", "b": "p,q"}]
    assert lines == [2, 5]
    assert rejects == [(6, "quotes", "a quote that is never closed")]


def test_a_quote_inside_a_field_is_only_a_character(tmp_path):
    rows, _, rejects, _ = read(b'a,b\n5" pipe,3" hose\n', dataset("a", "b"), tmp_path)
    assert rows == [{"a": '5" pipe', "b": '3" hose'}]
    assert rejects == []


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|", "§"])
def test_the_delimiter_is_found_by_the_contracts_columns(tmp_path, delimiter):
    data = delimiter.join(["a", "b", "c"]) + "\n" + delimiter.join(["1", "x y", "3"]) + "\n"
    contract = dataset("a", "b", "c", delimiter="§")
    rows, _, _, facts = read(data.encode(), contract, tmp_path)
    assert rows == [{"a": "1", "b": "x y", "c": "3"}]
    assert facts.delimiter == delimiter


def test_blank_separated_files_may_have_any_number_of_blanks(tmp_path):
    contract = dataset("a", "b", header=False, names=["a", "b"], delimiter=" ")
    rows, lines, rejects, _ = read(b"1   2  \n  3 4\n\n5 6 7\n", contract, tmp_path)
    assert rows == [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}]
    assert (lines, [r[0] for r in rejects]) == ([1, 2], [4])


def test_comments_and_a_log_that_names_its_own_fields(tmp_path):
    data = b"#separator \\x09\n#fields\tts\thost\n#types\ttime\tstring\n1\tx\n#close\n"
    rows, lines, rejects, _ = read(data, dataset("host", "ts"), tmp_path)
    assert (rows, lines, rejects) == ([{"host": "x", "ts": "1"}], [4], [])
    assert read(b"# made by x\na\n1\n# end\n", dataset("a", comment="#"), tmp_path)[1] == [3]


def test_columns_may_stand_in_any_order_and_be_renamed(tmp_path):
    contract = dataset("a", "b", rename={"old b": "b"})
    assert read(b"old b, a\n1,2\n", contract, tmp_path)[0] == [{"a": "2", "b": "1"}]


def test_missing_and_unknown_columns_are_told_in_one_message(tmp_path):
    with pytest.raises(UnreadableInput, match=r"f\.csv: b missing and c unknown"):
        read(b"a,c\n1,2\n", dataset("a", "b"), tmp_path)


def test_an_unknown_column_warns_and_blocks_where_strict(tmp_path):
    assert "c unknown" in read(b"a,c\n1,2\n", dataset("a"), tmp_path)[3].warnings[0]
    with pytest.raises(UnreadableInput, match=r"c unknown.*strict"):
        read(b"a,c\n1,2\n", dataset("a", strict=True), tmp_path)


def test_a_page_of_html_is_no_table(tmp_path):
    with pytest.raises(UnreadableInput, match=r"not a table with the contract's columns \(starts with '<!DOCTYPE"):
        read(b"<!DOCTYPE html><html>502 Bad Gateway</html>\n", dataset("a", "b"), tmp_path)


@pytest.mark.parametrize(
    ("data", "words"), [(b"", "an empty file"), (b"\n \n", "no header line"), (b"a,a,b\n", "more than once")]
)
def test_files_without_a_usable_header(tmp_path, data, words):
    with pytest.raises(UnreadableInput, match=words):
        read(data, dataset("a", "b"), tmp_path)


def test_a_header_alone_is_no_rows(tmp_path):
    assert read(b"a,b\n", dataset("a", "b"), tmp_path)[:3] == ([], [], [])


def test_raw_text_of_a_reject_is_bounded(tmp_path):
    path = tmp_path / "rejects.parquet"
    rejects = RejectWriter(path, "f.csv")
    rejects.add(1, "fields", "x", "y" * 50_000)
    rejects.close()
    assert len(pq.read_table(path).to_pylist()[0]["raw"]) == 10_000


@pytest.mark.parametrize("size", range(1, 16))
@pytest.mark.parametrize("name", ["b", '"b\rb"'])
def test_how_lines_end_does_not_depend_on_where_a_stream_pauses(tmp_path, size, name):
    data = f"a,{name}\r\n1,x\ry\r\n".encode()
    assert read(data, dataset("a", name.strip('"')), tmp_path, size=size)[0] == [{"a": "1", name.strip('"'): "x\ry"}]
    assert read(b"a,b\r1,x\r2,y\r", dataset("a", "b"), tmp_path, size=size)[1] == [2, 3]


FIELD = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12) | st.sampled_from(
    ['"', '""', ",", "\n", "\r\n", "a,b", '"x"', " ", "", "#", "é\n", "\u2028", "\r"]
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])  # all files are written anew
@given(
    rows=st.lists(st.tuples(FIELD, FIELD, FIELD), max_size=20),
    size=st.integers(1, 200),
    always=st.booleans(),
)
def test_what_a_csv_writer_writes_is_read_back(tmp_path, rows, size, always):
    held = io.StringIO(newline="")
    writer = csv.writer(held, quoting=csv.QUOTE_ALL if always else csv.QUOTE_MINIMAL, lineterminator="\r\n")
    writer.writerow(["a", "b", "c"])
    writer.writerows(rows)
    data = held.getvalue().encode()
    found, lines, rejects, _ = read(data, dataset("a", "b", "c"), tmp_path, size=size)
    assert [tuple(row.values()) for row in found] == rows
    assert rejects == []
    assert lines == sorted(set(lines))


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])  # all files are written anew
@given(data=st.binary(max_size=200) | st.text('a",\n\r\t ', max_size=120).map(str.encode), size=st.integers(1, 64))
def test_any_bytes_give_the_same_rows_in_blocks_of_any_size(tmp_path, data, size):
    data = b"a,b\n" + data
    whole = read(data, dataset("a", "b"), tmp_path)[:3]
    pieces = read(data, dataset("a", "b"), tmp_path, size=size)[:3]
    assert pieces == whole


@given(st.lists(FIELD, min_size=1, max_size=5))
def test_a_record_is_split_as_csv_does(fields):
    held = io.StringIO(newline="")
    csv.writer(held, lineterminator="").writerow(fields)
    assert split_record(held.getvalue(), ",") == fields
