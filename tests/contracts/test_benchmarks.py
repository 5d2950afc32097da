"""A benchmark prints what it measured, the verdict follows from the bar, and one that cannot measure prints nothing."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys

import pytest


@pytest.fixture
def harness(checkout, monkeypatch):
    monkeypatch.syspath_prepend(str(checkout / "tests" / "benchmarks"))
    import harness

    yield harness
    for path in (checkout / "tests" / "benchmarks").glob("*.py"):
        if path.stem != "__main__":  # that name is pytest's own in this process
            sys.modules.pop(path.stem, None)


@pytest.mark.parametrize(
    ("bar", "holds"),
    [
        (("<=", 2.0), True),
        (("<=", 1.9), False),
        ((">", 2.0), False),
        (("==", 2.0), True),
        (("between", 2.0, 3.0), True),
        (("between", 0.0, 1.9), False),
        (("between", 2.1, 3.0), False),
        (None, None),
    ],
)
def test_the_verdict_follows_from_the_bar(harness, bar, holds):
    line = json.loads(harness.Measure("m", [3.0, 1.0, 2.0], "s", bar).line("bench"))
    assert line["value"] == 2.0
    assert line["holds"] is holds
    assert line["samples"] == [3.0, 1.0, 2.0]


def test_a_bar_with_two_ends_is_printed_with_both(harness):
    assert json.loads(harness.Measure("m", [3.0], "", ("between", 2.0, 30.0)).line("b"))["bar"] == "between 2 and 30"


def test_the_mean_is_one_way_to_sum_up(harness):
    assert harness.Measure("m", [1.0, 1.0, 4.0], "", of="mean").value == 2.0


@pytest.mark.parametrize("samples", [[], [float("nan")], [1.0, float("inf")]])
def test_what_was_not_measured_is_no_result(harness, samples):
    with pytest.raises(harness.NotMeasured):
        harness.Measure("m", samples, "s")


def test_an_unknown_comparison_is_refused(harness):
    with pytest.raises(ValueError, match="known: <="):
        harness.Measure("m", [1.0], "s", ("=<", 1.0))


def bench(checkout, *words):
    """Run the harness as make does."""
    command = [sys.executable, str(checkout / "tests" / "benchmarks" / "__main__.py"), *words]
    return subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=False)


def test_each_benchmark_is_listed_with_what_it_measures(checkout):
    lines = bench(checkout, "list").stdout.splitlines()
    files = (checkout / "tests" / "benchmarks").glob("*.py")
    assert {line.split()[0] for line in lines} == {file.stem for file in files if "def measure(" in file.read_text()}
    assert all(len(line.split(maxsplit=1)) == 2 for line in lines)


def test_an_unknown_benchmark_names_those_that_exist(checkout):
    done = bench(checkout, "run", "nothing")
    assert (done.returncode, done.stdout) == (2, "")
    assert "startup" in done.stderr


def test_a_benchmark_that_cannot_measure_prints_no_result(harness, checkout, capsys):
    spec = importlib.util.spec_from_file_location("benchmark_runner", checkout / "tests" / "benchmarks" / "__main__.py")
    runner = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(runner)

    def measure():
        raise harness.NotMeasured("no data here")
        yield

    assert runner.run(harness.Benchmark("empty", "", measure)) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "empty: not measured: no data here" in printed.err


@pytest.fixture
def planted_values(harness):
    import planted_values

    return planted_values


@pytest.fixture
def found_room(planted_values, make_room_data):
    frame, transform, dataset = make_room_data
    return planted_values.find_room(frame, transform, dataset, step=1.0)


@pytest.fixture
def make_room_data():
    import numpy as np
    import pandas as pd

    from models.transform import fit_transform
    from schemas.dataset import Dataset

    columns = {"key": {"type": "integer", "nullable": False}, "proto": {"type": "category"}}
    columns |= {"size": {"type": "number"}, "count": {"type": "integer"}, "flag": {"type": "integer"}}
    columns |= {"flat": {"type": "integer"}, "ttl": {"type": "integer", "max": 255}}
    dataset = Dataset.model_validate(
        {"name": "flows", "source": {"path": "in/{date}.csv"}, "key": ["key"], "columns": columns}
    )
    at = np.arange(4000)
    frame = pd.DataFrame({"key": at, "proto": np.where(at % 2, "tcp", "udp"), "size": at / 10.0, "count": at % 50})
    frame = frame.assign(flag=at % 2, flat=5 + (at == 0) + 2 * (at == 1), ttl=at % 200)
    return frame, fit_transform(frame, dataset.features), dataset


def test_values_are_planted_beyond_the_quantile_where_there_is_room(found_room):
    assert set(found_room.values) == {"size", "count"}
    assert float(found_room.values["size"]) == pytest.approx(399.5 + (399.5 - 0.4), abs=0.1)
    assert int(found_room.values["count"]) == 49 + 49
    assert set(found_room.left_out) == {"proto", "flag", "flat", "ttl"}
    assert "contract" in found_room.left_out["ttl"]


def test_planted_rows_differ_from_normal_ones_in_the_guilty_columns_only(planted_values, found_room):
    normal = [{"size": "1.5", "count": "3", "proto": "tcp"}]
    for plant, guilty in ((planted_values.plant_one, 1), (planted_values.plant_two, 2)):
        planted = plant(normal, found_room)
        for row, columns in zip(planted.rows, planted.guilty, strict=True):
            assert {name for name in row if row[name] != normal[0][name]} == set(columns)
            assert len(set(columns)) == guilty


def test_both_guilty_columns_must_be_named(planted_values):
    first = [["a", "b", "c"], ["a", "x", "y"], []]
    assert planted_values.share_found(first, [("a", "c"), ("a", "c"), ("a", "c")]) == pytest.approx(1 / 3)


def test_files_that_any_process_opens_are_counted_once_and_new_ones_not_at_all(harness, tmp_path):
    from opened_files import opened_files

    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "left out").mkdir()
    read, unread = tmp_path / "deep" / "er" / "read", tmp_path / "deep" / "unread"
    for path in (read, unread, tmp_path / "left out" / "read"):
        path.write_text("x")
    code = f"open({str(read)!r}).read(); open({str(read)!r}).read(); open({str(tmp_path / 'deep' / 'new')!r}, 'w')"
    code += f"; open({str(tmp_path / 'left out' / 'read')!r}); __import__('os').stat({str(unread)!r})"
    with opened_files(tmp_path, without=[tmp_path / "left out"]) as found:
        subprocess.run([sys.executable, "-c", code], check=True)
    assert found == {read}
