from __future__ import annotations

import pytest

from schemas.features import ColumnType
from tasks.name_dates import find_dates
from tasks.profile import profile
from tasks.sample import read_samples, spread
from tasks.sniff import find_delimiter, has_header
from tasks.time_forms import find_time_form
from tasks.words import find_words

NULLS = ("", "NA")


def look(tmp_path, text: str | bytes, name="f.csv"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return profile(read_samples([path], [None]))


@pytest.mark.parametrize(
    ("names", "template"),
    [
        (["a/2026-09-01.csv.gz", "a/2026-09-02.csv.gz"], "a/{date:%Y-%m-%d}.csv.gz"),
        (["20260901.csv"], "{date:%Y%m%d}.csv"),
        (["x_2026_09_01_a.csv", "x_2026_09_01_b.csv"], "x_{date:%Y_%m_%d}_*.csv"),
        (["x.2026.09.01.log"], "x.{date:%Y.%m.%d}.log"),
        (["2026/09/01/a.csv", "2026/09/02/b.csv"], "{date:%Y}/{date:%m}/{date:%d}/*.csv"),
        (["year=2026/month=09/day=01/p.parquet"], "year={date:%Y}/month={date:%m}/day={date:%d}/p.parquet"),
        (["31-08-2026.csv", "01-09-2026.csv"], "{date:%d-%m-%Y}.csv"),
        (["08-31-2026.csv", "09-01-2026.csv"], "{date:%m-%d-%Y}.csv"),
        (["01-09-2026.csv", "02-09-2026.csv"], "{date:%d-%m-%Y}.csv"),
        (["2025-01-01/x-2026-09-01T05.csv", "2025-01-01/x-2026-09-01T06.csv"], "2025-01-01/x-{date:%Y-%m-%d}T*.csv"),
    ],
)
def test_a_date_in_names_becomes_a_template(names, template):
    found = find_dates(names)
    assert found is not None
    assert found.template == template


@pytest.mark.parametrize(
    "names", [["a.csv"], ["99999999.csv"], ["20261301.csv"], ["2026-09-01.csv", "b.csv"], ["1202609011.csv"]]
)
def test_names_without_a_common_date_give_none(names):
    assert find_dates(names) is None


def test_a_date_that_could_be_read_both_ways_is_said():
    assert "told apart" in find_dates(["01-02-2026.csv"]).note


@pytest.mark.parametrize(
    ("lines", "delimiter"),
    [
        (["a,b", "1,2"], ","),
        (["a;b", "1,5;2,5"], ";"),
        (["t;x", "2026-01-01 10:00:00;1"], ";"),
        (["a\tb c", "1\t2 3"], "\t"),
        (["1 2 3", "4 5 6"], " "),
        (["a,b", '"x;y;z",2'], ","),
        (["only", "one"], ","),
    ],
)
def test_delimiters(lines, delimiter):
    assert find_delimiter(lines) == delimiter


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([["a", "b"], ["1", "x"]], True),
        ([["1", "b"], ["2", "x"]], False),
        ([["tcp", "x"], ["udp", "y"], ["tcp", "z"]], False),
        ([["", "0", "1"], ["2004", "0.1", "0.2"]], True),
        ([["name", "town"], ["ann", "rome"], ["bob", "oslo"]], True),
    ],
)
def test_headers(rows, expected):
    assert has_header(rows) is expected


@pytest.mark.parametrize(
    ("name", "value", "form"),
    [
        ("x", "2026-09-01T00:00:11Z", "iso8601"),
        ("x", "04/07/16 00", "%d/%m/%y %H"),
        ("x", "2003.10.22.12.06.24", "%Y.%m.%d.%H.%M.%S"),
        ("x", "31/12/2026 23:59:59", "%d/%m/%Y %H:%M:%S"),
        ("x", "12/31/2026 11:59 PM", "%m/%d/%Y %I:%M %p"),
        ("x", "10/Oct/2000:13:55:36 -0700", "%d/%b/%Y:%H:%M:%S %z"),
        ("ts", "1556884123.5", "unix_s"),
        ("event_time", "1556884123500", "unix_ms"),
        ("date", "20260901", "iso8601"),
        ("bytes", "1556884123", None),
        ("time", "0.004", None),
        ("x", "10.0.0.1", None),
        ("x", "192.168.100.103", None),
        ("x", "1.2.3", None),
        ("x", "word", None),
    ],
)
def test_time_forms(name, value, form):
    found = find_time_form(name, [value], NULLS)
    assert (found[0] if found else None) == form


def test_a_form_that_could_be_another_is_said():
    assert find_time_form("x", ["04/07/2026"], NULLS) == ("%d/%m/%Y", True)
    assert find_time_form("x", ["04/07/2026", "13/07/2026"], NULLS) == ("%d/%m/%Y", False)


def test_words_for_missing_depend_on_the_rest_of_the_column():
    words = find_words([{"1": 5, "-": 2}, {"dns": 3, "?": 1}, {"+": 3, "*": 1}], ",")
    assert {"-", "?"} <= set(words.null_values)
    assert "*" not in words.null_values


def test_a_word_stays_a_value_among_words_but_not_among_numbers():
    assert "none" not in find_words([{"none": 5, "some": 2}], ",").null_values
    assert "none" in find_words([{"none": 5, "1.5": 500}], ",").null_values


@pytest.mark.parametrize(
    ("values", "delimiter", "decimal", "thousands"),
    [
        (["1,5", "22,75"], ";", ",", None),
        (["1.234,5", "2.000,25"], ";", ",", "."),
        (["1,234.5", "1,000.0"], ",", ".", ","),
        (["1.5", "2"], ",", ".", None),
        (["1'234.5", "7"], ",", ".", "'"),
    ],
)
def test_decimal_marks(values, delimiter, decimal, thousands):
    words = find_words([dict.fromkeys(values, 1)], delimiter)
    assert (words.decimal, words.thousands) == (decimal, thousands)


def test_types_of_columns(tmp_path):
    rows = "".join(
        f"{i},{i / 7},{'FT'[i % 2]},{'ab'[i % 2]},00{i % 9},text number {i} that nobody repeats word for word\n"
        for i in range(200)
    )
    found = look(tmp_path, "i,f,b,c,z,t\n" + rows).columns
    kinds = {name: column.type for name, column in found.items()}
    assert kinds == {
        "i": ColumnType.INTEGER,
        "f": ColumnType.NUMBER,
        "b": ColumnType.BOOLEAN,
        "c": ColumnType.CATEGORY,
        "z": ColumnType.CATEGORY,
        "t": ColumnType.TEXT,
    }


def test_a_few_odd_values_do_not_change_the_type(tmp_path):
    found = look(tmp_path, "n\n" + "".join(f"{i}\n" for i in range(500)) + "oops\n").columns["n"]
    assert found.type is ColumnType.INTEGER
    assert found.unreadable == (1, ("oops",))


def test_many_files_are_looked_at_evenly():
    chosen = spread(100)
    assert (len(chosen), chosen[0], chosen[-1]) == (14, 0, 99)
