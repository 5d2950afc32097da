"""List and run benchmarks: `make bench-list`, `make bench BENCH=startup`.

Run by path (`python tests/benchmarks list`), as another distribution owns the top-level name `tests`. A benchmark is a
file beside this one that has a function `measure()`, whose docstring's first line describes it.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

from harness import Benchmark, NotMeasured

HERE = Path(__file__).resolve().parent
NO_BENCHMARKS = {
    "__main__",
    "bulk_history",
    "contender",
    "counted_sereno",
    "harness",
    "normal_rows",
    "opened_files",
    "peers",
    "planted_values",
    "project_setup",
    "pyod_contender",
    "pyod_on_tables",
    "scored_families",
    "service_at_work",
    "simulated_rows",
    "tabular_sets",
    "what_counts",
}


def find() -> dict[str, Benchmark]:
    """Map each benchmark's name to it."""
    names = sorted(path.stem for path in HERE.glob("*.py") if path.stem not in NO_BENCHMARKS)
    return {name: load(name) for name in names}


def load(name: str) -> Benchmark:
    """Import one benchmark."""
    measure = importlib.import_module(name).measure
    return Benchmark(name, measure.__doc__.strip().splitlines()[0], measure)


def run(benchmark: Benchmark) -> int:
    """Print a line for each measure as soon as it is there."""
    try:
        for measure in benchmark.measure():
            print(measure.line(benchmark.name), flush=True)
    except NotMeasured as reason:
        print(f"{benchmark.name}: not measured: {reason}", file=sys.stderr)
        return 1
    return 0


def main(words: Sequence[str]) -> int:
    """Do what the words say."""
    benchmarks = find()
    if list(words) == ["list"]:
        for benchmark in benchmarks.values():
            print(f"{benchmark.name:12} {benchmark.description}")
        return 0
    if len(words) == 2 and words[0] == "run" and words[1] in benchmarks:
        return run(benchmarks[words[1]])
    print(f"usage: make bench BENCH=NAME; there are: {', '.join(benchmarks)}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
