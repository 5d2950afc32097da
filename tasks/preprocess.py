"""Preprocess: exact counters of a night, and the bounded sample that training uses.

The sample is the k rows with the smallest (hash, key, file, line). A part yields its own k, and the smallest of the
smallest are the night's: how rows are dealt into parts changes nothing. Counters add up the same way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from schemas.features import ColumnType
from schemas.tables import accepted_schema
from tasks.row_keys import canonical_text

if TYPE_CHECKING:
    from schemas.dataset import Dataset
    from tasks.duplicates import Compute

MAX_VALUES = 200  # categories that are counted by name; the rest are `other`
OTHER = "other"
BRANCH = 8  # parts that one merge takes
ORDER = ("sereno_hash", "sereno_key", "sereno_file", "sereno_line")
COUNTED = (ColumnType.CATEGORY, ColumnType.BOOLEAN)
RANGED = (ColumnType.INTEGER, ColumnType.NUMBER, ColumnType.TIME)
VALUES_SCHEMA = pa.schema([("column", pa.string()), ("value", pa.string()), ("rows", pa.int64())])


@dataclass(frozen=True)
class Prepared:
    """What a night leaves for training.

    Args:
        counters: `rows`, and for each column `nulls`, `min`, `max` (numbers; times as text), `values` (rows of the most
            frequent categories, and `other`).
        sample: Parquet of `accepted_schema`, in the order of (hash, key, file, line).
        rows: Rows in the sample.
    """

    counters: dict[str, Any]
    sample: Path
    rows: int


@dataclass(frozen=True)
class Summary:
    """What one part, or several together, have to say.

    Args:
        rows: Accepted rows.
        columns: For each column `nulls`, and `min` and `max` where it has a range (None where it has no value).
        sample: Parquet of the rows with the smallest hashes.
        values: Parquet of `VALUES_SCHEMA`, exact.
    """

    rows: int
    columns: dict[str, dict[str, Any]]
    sample: Path
    values: Path


def preprocess(dataset: Dataset, accepted: Sequence[Path], compute: Compute, work: Path) -> Prepared:
    """Count and sample the accepted rows of one night.

    Args:
        dataset: The dataset file; `detector.sample_rows` bounds the sample.
        accepted: Parquet parts of `accepted_schema`.
        compute: Where the parts are read.
        work: The run's folder for files in between.
    """
    folder = work / "prepared"
    folder.mkdir(parents=True, exist_ok=True)
    if not accepted:
        empty = folder / "empty.parquet"
        pq.write_table(accepted_schema(dataset).empty_table(), empty)
        accepted = (empty,)
    level: list[Summary] = compute.map(summarise, list(enumerate(accepted)), dataset, folder)
    height = 0
    while len(level) > 1:
        height += 1
        groups = [(i, tuple(level[i : i + BRANCH])) for i in range(0, len(level), BRANCH)]
        level = compute.map(merge, groups, dataset.detector.sample_rows, folder, height)
    night = level[0]
    return Prepared(_counters(night), night.sample, pq.read_metadata(night.sample).num_rows)


def summarise(item: tuple[int, Path], dataset: Dataset, folder: Path) -> Summary:
    """Count and sample one part.

    Args:
        item: The part's place and path.
        dataset: The dataset file.
        folder: Where the sample and the values go.
    """
    place, path = item
    table = pq.read_table(path, schema=accepted_schema(dataset))
    columns = {name: _range(table.column(name), column.type) for name, column in dataset.columns.items()}
    counted = [
        _value_counts(name, table.column(name)) for name, column in dataset.columns.items() if column.type in COUNTED
    ]
    values = pa.concat_tables([VALUES_SCHEMA.empty_table(), *counted])
    return _written(table.num_rows, columns, smallest(table, dataset.detector.sample_rows), values, folder / f"{place}")


def _range(values: pa.ChunkedArray, kind: ColumnType) -> dict[str, Any]:
    counters: dict[str, Any] = {"nulls": values.null_count}
    if kind in RANGED:
        ends = pc.min_max(values)
        counters["min"], counters["max"] = (_plain(ends[end], kind) for end in ("min", "max"))
    return counters


def _plain(value: pa.Scalar, kind: ColumnType) -> Any:
    if kind is not ColumnType.TIME or not value.is_valid:
        return value.as_py()
    return canonical_text(pa.array([value.value], value.type))[0].as_py()


def _value_counts(name: str, values: pa.ChunkedArray) -> pa.Table:
    counts = pc.value_counts(pc.drop_null(canonical_text(values)))
    column = pa.array([name] * len(counts), pa.string())
    return pa.table([column, counts.field("values"), counts.field("counts")], schema=VALUES_SCHEMA)


def _written(rows: int, columns: dict[str, dict[str, Any]], sample: pa.Table, values: pa.Table, at: Path) -> Summary:
    paths = at.with_name(f"{at.name}-sample.parquet"), at.with_name(f"{at.name}-values.parquet")
    for table, path in zip((sample, values), paths, strict=True):
        pq.write_table(table, path)
    return Summary(rows, columns, *paths)


def merge(item: tuple[int, tuple[Summary, ...]], sample_rows: int, folder: Path, height: int) -> Summary:
    """Several summaries as one.

    Args:
        item: Place of the first among its level, and the summaries.
        sample_rows: Most rows of the sample.
        folder: Where the sample and the values go.
        height: Level in the tree, for the file names.
    """
    place, parts = item
    if len(parts) == 1:
        return parts[0]
    sample = smallest(pa.concat_tables([pq.read_table(part.sample) for part in parts]), sample_rows)
    values = pa.concat_tables([pq.read_table(part.values) for part in parts])
    summed = values.group_by(["column", "value"]).aggregate([("rows", "sum")])
    summed = summed.select(["column", "value", "rows_sum"]).rename_columns(VALUES_SCHEMA.names)
    columns = {name: _joined([part.columns[name] for part in parts]) for name in parts[0].columns}
    at = folder / f"level{height}-{place}"
    return _written(sum(part.rows for part in parts), columns, sample, summed, at)


def _joined(counters: Sequence[dict[str, Any]]) -> dict[str, Any]:
    joined: dict[str, Any] = {"nulls": sum(c["nulls"] for c in counters)}
    for end, choose in (("min", min), ("max", max)):
        if end in counters[0]:
            known = [c[end] for c in counters if c[end] is not None]
            joined[end] = choose(known) if known else None
    return joined


def _counters(night: Summary) -> dict[str, Any]:
    columns = {name: dict(counters) for name, counters in night.columns.items()}
    rows = pq.read_table(night.values).to_pylist()
    for row in sorted(rows, key=lambda r: (r["column"], -r["rows"], r["value"])):
        values = columns[row["column"]].setdefault("values", {})
        name = row["value"] if len(values) < MAX_VALUES else OTHER
        values[name] = values.get(name, 0) + row["rows"]
    return {"rows": night.rows, "columns": columns}


def smallest(table: pa.Table, rows: int) -> pa.Table:
    """The rows with the smallest (hash as unsigned, key, file, line), in that order.

    Args:
        table: Rows of `accepted_schema`.
        rows: How many at most.
    """
    hashes = table.column("sereno_hash").to_numpy().view(np.uint64)
    if table.num_rows > rows:
        limit = np.partition(hashes, rows - 1)[rows - 1]
        near = hashes <= limit
        table, hashes = table.filter(pa.array(near)), hashes[near]
    unsigned = table.append_column("unsigned", pa.array(hashes, pa.uint64()))
    order = pc.sort_indices(unsigned, [(name, "ascending") for name in ("unsigned", *ORDER[1:])])
    return table.take(order.slice(0, rows)).combine_chunks()


def merge_window(samples: Sequence[pa.Table], rows: int) -> pa.Table:
    """The samples of several nights as one training sample.

    Args:
        samples: A night's sample each, in the order of the nights.
        rows: Most rows of the result.

    Returns:
        The rows with the smallest hashes over the whole window, in that order; the order of the samples decides only
        between rows that are equal in hash, key, file and line.
    """
    return smallest(pa.concat_tables(samples), rows)
