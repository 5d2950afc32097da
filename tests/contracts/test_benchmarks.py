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
    for name in ("harness", "nights", "startup", "chunks"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize(
    ("bar", "holds"),
    [(("<=", 2.0), True), (("<=", 1.9), False), ((">", 2.0), False), (("==", 2.0), True), (None, None)],
)
def test_the_verdict_follows_from_the_bar(harness, bar, holds):
    line = json.loads(harness.Measure("m", [3.0, 1.0, 2.0], "s", bar).line("bench"))
    assert line["value"] == 2.0
    assert line["holds"] is holds
    assert line["samples"] == [3.0, 1.0, 2.0]


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
    files = {path.stem for path in (checkout / "tests" / "benchmarks").glob("*.py")} - {"__main__", "harness", "nights"}
    assert {line.split()[0] for line in lines} == files
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
