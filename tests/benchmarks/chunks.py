"""Whether a row's score depends on what it is scored with."""

from __future__ import annotations

import csv
import gzip
import io
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from harness import Measure, NotMeasured
from project_setup import NAME, SEEN_BY_INIT, Project, must, project

Table = list[list[str]]
Scores = dict[str, tuple[float, bool]]
PARTITIONS = (1, 7, 100)


def measure() -> Iterator[Measure]:
    """Largest difference of a row's score between 1, 7 and 100 partitions, reordered columns, fewer rows and more."""
    with project() as watched:
        dates = list(watched.nights.files)
        for date in dates[:SEEN_BY_INIT]:
            must(*watched.command("validate", date))
        date = dates[SEEN_BY_INIT]
        watched.arrive(date)
        version = trained_version(watched, date)
        table = read_table(watched.incoming(date))
        named_once = keys_of_one_row(watched, table)
        reference = scores(watched, date, version, "reference", named_once)
        differences, flags = [], []
        for name, prepare in variants(watched, date, table, reference).items():
            prepare()
            seen = scores(watched, date, version, name, named_once)
            unknown = seen.keys() - reference.keys()
            if not seen or unknown:
                raise NotMeasured(f"{name}: {len(seen)} scores, {len(unknown)} of rows that the night does not have")
            differences.append(max(abs(score - reference[key][0]) for key, (score, _) in seen.items()))
            flags.append(float(sum(alert != reference[key][1] for key, (_, alert) in seen.items())))
    yield Measure("max_abs_difference", differences, "", ("<=", 1e-6), of="max")
    yield Measure("alert_flags_differing", flags, "rows", ("==", 0.0), of="max")


def flags_of_half(watched: Project, date: str) -> int:
    """Score a night that was run, and half of its rows, by the same version; count the rows whose flag differs."""
    version = str(watched.run(date, "--force", "--no-train")[1]["model"]["version"])
    table = read_table(watched.incoming(date))
    named_once = keys_of_one_row(watched, table)
    whole = scores(watched, date, version, "the whole night", named_once)
    write_table(watched.incoming(date), [table[0], *table[1::2]])
    half = scores(watched, date, version, "half of it", named_once)
    if not half or half.keys() - whole.keys():
        raise NotMeasured(f"{len(half)} scores of half a night, {len(half.keys() - whole.keys())} of unknown rows")
    return sum(alert != whole[key][1] for key, (_, alert) in half.items())


def trained_version(watched: Project, date: str) -> str:
    """Run the night with training; return the version that scored it."""
    _, result = watched.run(date)
    version = result["model"]["version"]
    if not version:
        raise NotMeasured(f"the night of {date} was not scored: {result}")
    return str(version)


def keys_of_one_row(watched: Project, table: Table) -> set[str]:
    """Keys that name one row: of two rows of one key the first counts, which in half of the night may be the other."""
    place = table[0].index(watched.nights.key)
    return {key for key, count in Counter(row[place] for row in table[1:]).items() if count == 1}


def variants(watched: Project, date: str, table: Table, reference: Scores) -> dict[str, Callable[[], None]]:
    """Name each way to bring the same rows in, with what prepares it."""
    rows = len(table) - 1
    highest = max(reference, key=lambda key: reference[key][0])
    place = table[0].index(watched.nights.key)
    alone = [table[0], *[row for row in table[1:] if row[place] == highest]]
    ways: dict[str, Callable[[], None]] = {}
    for count in PARTITIONS:
        ways[f"{count} partitions"] = lambda n=count: set_partition_rows(watched, -(-rows // n))
    ways["columns reordered"] = lambda: write_table(watched.incoming(date), [row[::-1] for row in table])
    ways["semicolons"] = lambda: write_table(watched.incoming(date), table, delimiter=";")
    ways["half of the rows"] = lambda: write_table(watched.incoming(date), [table[0], *table[1::2]])
    ways["one row alone"] = lambda: write_table(watched.incoming(date), alone)
    return ways


def scores(watched: Project, date: str, version: str, name: str, keys: set[str]) -> Scores:
    """Score the night anew with one version; return score and alert flag of these keys."""
    import pyarrow.parquet

    # --accept: half a night, or one row, is rightly held by the volume expectation.
    must(*watched.command("validate", date, "--force", "--accept"))
    must(*watched.command("score", date, "--version", version))
    path = watched.folder / f"scores of {name}.parquet"
    must(*watched.command("scores", date, "--to", str(path)))
    found = pyarrow.parquet.read_table(path, columns=[watched.nights.key, "score", "is_alert"]).to_pydict()
    return {
        str(key): (score, alert)
        for key, score, alert in zip(found[watched.nights.key], found["score"], found["is_alert"], strict=True)
        if str(key) in keys
    }


def set_partition_rows(watched: Project, rows: int) -> None:
    """Write how many rows a partition has into the dataset file."""
    path = watched.folder / "datasets" / f"{NAME}.yaml"
    text = re.sub(r"^partition_rows:.*\n", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    path.write_text(f"{text.rstrip()}\npartition_rows: {rows}\n", encoding="utf-8")


def read_table(path: Path) -> Table:
    """Read a night's file, header first."""
    with gzip.open(path, "rt", encoding="utf-8", newline="") as lines:
        return list(csv.reader(lines))


def write_table(path: Path, table: Table, delimiter: str = ",") -> None:
    """Write a night's file anew."""
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter, lineterminator="\n").writerows(table)
    path.write_bytes(gzip.compress(text.getvalue().encode(), mtime=0))
