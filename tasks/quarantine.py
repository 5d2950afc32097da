"""Rows that go to the quarantine: one record a failure, with what stood there and the whole row as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from schemas.results import QuarantineSample
from schemas.tables import quarantined_schema
from tasks.coerce import native_text

if TYPE_CHECKING:
    import pandas as pd

WHOLE_ROW, REPEATED = "(row)", "(key)"
MAX_VALUE = 200  # characters of one value
MAX_RAW = 65_536  # characters of a whole row
MAX_CUT_VALUE = 1_000  # characters of each value in a row that is longer than that
MAX_EACH = 20  # failures of one column and rule that the report may show
MAX_SAMPLE = 200  # failures that the report may show in all


def quarantine_records(staged: pa.Table, columns: list[str], keys: pa.Array, failures: pd.DataFrame) -> pa.Table:
    """One record of `quarantined_schema` for each failure.

    Args:
        staged: Staged rows, as they were read.
        columns: Those of the contract that the staged rows have.
        keys: `sereno_key` of each staged row.
        failures: `row` (position in `staged`), `column`, `rule`; and `value`, where it is not the staged one.
    """
    failures = failures.sort_values(["row", "column", "rule"], kind="stable", ignore_index=True)
    positions = failures["row"].to_numpy()
    rows, places = failures["row"].unique(), failures["row"].rank(method="dense").to_numpy().astype("int64") - 1
    raw = pa.array(raw_json(staged.select(columns).take(pa.array(rows))), pa.string()).take(pa.array(places))
    at = pa.array(positions)
    return pa.table(
        [
            keys.take(at),
            staged.column("sereno_file").take(at),
            staged.column("sereno_line").take(at),
            pa.array(failures["column"], pa.string()),
            pa.array(failures["rule"], pa.string()),
            _values(staged, failures, keys),
            raw,
        ],
        schema=quarantined_schema(),
    )


def _values(staged: pa.Table, failures: pd.DataFrame, keys: pa.Array) -> pa.Array:
    """What stood in the failed column, bounded; of a repeated key the key."""
    values: list[str] = [""] * len(failures)
    for name, group in failures.groupby("column", sort=False):
        at = pa.array(group["row"].to_numpy())
        if name == REPEATED:
            texts = keys.take(at)
        elif name in staged.column_names:
            texts = written_text(staged.column(name).take(at))
        else:
            continue
        cut = pc.utf8_slice_codeunits(pc.fill_null(texts, ""), 0, MAX_VALUE).to_pylist()
        for place, text in zip(group.index, cut, strict=True):
            values[place] = text
    return pa.array(values, pa.string())


def written_text(staged: pa.ChunkedArray) -> pa.Array:
    """A staged column as it was written."""
    flat = pa.concat_arrays(staged.chunks) if staged.num_chunks else pa.nulls(0, staged.type)
    flat = flat.dictionary_decode() if pa.types.is_dictionary(flat.type) else flat
    return flat if pa.types.is_string(flat.type) else native_text(flat)


def raw_json(rows: pa.Table) -> list[str]:
    """Each row as one JSON object; long values are cut where the whole is beyond `MAX_RAW` characters."""
    return [_row_json(row) for row in rows.to_pylist()]


def _row_json(row: Mapping[str, Any]) -> str:
    plain = {name: _plain(value) for name, value in row.items()}
    text = _dumped(plain)
    if len(text) <= MAX_RAW:
        return text
    room = min(MAX_CUT_VALUE, MAX_RAW // (2 * len(plain)))
    cut = {name: value[:room] if isinstance(value, str) else value for name, value in plain.items()}
    text = _dumped({**cut, "sereno_cut": True})
    return text if len(text) <= MAX_RAW else _dumped({"sereno_cut": True})


def _dumped(row: Mapping[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False, default=str, allow_nan=False)


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, bytes):
        return value.hex()
    return value if isinstance(value, str | int | float | bool) or value is None else str(value)


def rejected_records(rejects: pa.Table) -> pa.Table:
    """Records of rows that could not be split into fields: they have no key, and fail as a whole."""
    count = rejects.num_rows
    return pa.table(
        [
            pa.array([""] * count, pa.string()),
            rejects.column("sereno_file").cast(pa.string()),
            rejects.column("sereno_line").cast(pa.int64()),
            pa.array([WHOLE_ROW] * count, pa.string()),
            rejects.column("rule").cast(pa.string()),
            _cut(rejects.column("value"), MAX_VALUE),
            _cut(rejects.column("raw"), MAX_RAW),
        ],
        schema=quarantined_schema(),
    )


def _cut(column: pa.ChunkedArray, most: int) -> pa.ChunkedArray:
    return pc.utf8_slice_codeunits(pc.fill_null(column.cast(pa.string()), ""), 0, most)


def counted(records: pa.Table) -> tuple[dict[str, int], dict[tuple[str, str], int]]:
    """Rows that failed, for each column, and for each (column, rule).

    Args:
        records: Records of one part, in which (file, line) names a row.
    """
    rules = records.group_by(["column", "rule"]).aggregate([([], "count_all")])
    by_rule = {(row["column"], row["rule"]): int(row["count_all"]) for row in rules.to_pylist()}
    rows = records.group_by(["sereno_file", "sereno_line", "column"]).aggregate([]).group_by("column")
    by_column = {row["column"]: int(row["count_all"]) for row in rows.aggregate([([], "count_all")]).to_pylist()}
    return by_column, by_rule


def sampled(records: pa.Table) -> tuple[QuarantineSample, ...]:
    """The first `MAX_EACH` failures of each (column, rule), for the report."""
    reasons = records.select(["column", "rule"]).to_pandas()
    nth = reasons.groupby(["column", "rule"], sort=False).cumcount().to_numpy()
    chosen = records.filter(pa.array(nth < MAX_EACH)).select(quarantined_schema().names[:-1])
    return tuple(
        QuarantineSample(
            key=row["sereno_key"],
            source_file=row["sereno_file"],
            source_line=row["sereno_line"],
            column=row["column"],
            rule=row["rule"],
            value=row["value"],
        )
        for row in chosen.to_pylist()
    )


def added(counts: Iterable[Mapping[Any, int]]) -> dict[Any, int]:
    """Counts of several parts together, largest first, then by name."""
    total: dict[Any, int] = {}
    for count in counts:
        for name, rows in count.items():
            total[name] = total.get(name, 0) + rows
    return dict(sorted(total.items(), key=lambda item: (-item[1], item[0])))
