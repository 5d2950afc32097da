"""Quarantined rows as people look at them, whether they can be released, and as rows of `accepted`.

A row can be released when all that is wrong with it is what it says: a value out of range, an unknown category, a
missing value. A row that cannot be *read* has no value to take in: text in a column of numbers can only be taken as
missing, and only when a person says so; a ragged row, a row longer than the quarantine keeps, and a row whose key is in
the night already stay where they are.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from infra.runtime.releases import ReleasedRow
from schemas.tables import accepted_schema
from tasks.quarantine import MAX_RAW, REPEATED, WHOLE_ROW
from tasks.row_keys import hash_text, row_keys

if TYPE_CHECKING:
    from schemas.dataset import Dataset

UNREAD = "type: "
MEND = "mend the file and do the night again"


@dataclass(frozen=True)
class Failure:
    """One thing that is wrong with a row.

    Args:
        column: The column; `(row)` or `(key)` for the row as a whole.
        rule: The rule that it failed.
        value: What stood there, bounded.
    """

    column: str
    rule: str
    value: str


@dataclass(frozen=True)
class QuarantinedRow:
    """One row in the quarantine.

    Args:
        file: Base name of the source file.
        line: Its line, 1-based.
        key: `sereno_key`; empty where the row could not be split.
        raw: The row as JSON, or its text where it could not be split; empty where it was not read.
        failures: Everything that is wrong with it.
    """

    file: str
    line: int
    key: str
    raw: str
    failures: tuple[Failure, ...]

    @property
    def place(self) -> tuple[str, int]:
        """File and line."""
        return self.file, self.line

    def named(self) -> ReleasedRow:
        """What a release of it records."""
        failed = tuple((failure.column, failure.rule) for failure in self.failures)
        return ReleasedRow(self.file, self.line, self.key, hashlib.sha256(self.raw.encode()).hexdigest(), failed)


@dataclass(frozen=True)
class Released:
    """Rows that may join `accepted`, and those that may not.

    Args:
        rows: The former.
        table: The same as rows of `accepted_schema`, in that order.
        refused: The latter, each with the reason.
    """

    rows: tuple[QuarantinedRow, ...]
    table: pa.Table
    refused: tuple[tuple[QuarantinedRow, str], ...]


def rows_of(records: pa.Table) -> tuple[QuarantinedRow, ...]:
    """Records of `quarantined_schema`, one a failure, as rows in the order of file and line.

    Args:
        records: With or without the column `raw`.
    """
    found: dict[tuple[str, int, str], tuple[str, list[Failure]]] = {}
    for record in records.to_pylist():
        name = (record["sereno_file"], record["sereno_line"], record["sereno_key"])
        _, failures = found.setdefault(name, (record.get("raw") or "", []))
        failures.append(Failure(record["column"], record["rule"], record["value"]))
    return tuple(
        QuarantinedRow(*name, raw, tuple(sorted(failures, key=lambda f: (f.column, f.rule))))
        for name, (raw, failures) in sorted(found.items())
    )


def why_not(row: QuarantinedRow, dataset: Dataset, *, as_missing: bool) -> str | None:
    """Why a row cannot be released, with what to do instead; None where it can."""
    names = {(failure.column, failure.rule) for failure in row.failures}
    if len(names) < len(row.failures):
        return "two files of this name have such a row at this line, and cannot be told apart; give them other names"
    return _unfit(row, dataset, as_missing=as_missing)


def _unfit(row: QuarantinedRow, dataset: Dataset, *, as_missing: bool) -> str | None:
    for failure in row.failures:
        if failure.column == WHOLE_ROW:
            return f"it could not be read as a row ({failure.rule}); {MEND}"
        if failure.column == REPEATED:
            return "its key is in the night already; two rows of one key cannot be told apart, so give it another key"
        unread = failure.rule.startswith(UNREAD)
        if failure.column in dataset.key and (unread or failure.rule == "null"):
            return f"its key {failure.column} has no value, so nothing would name it; {MEND}"
        if unread and not as_missing:
            return f"{failure.column} is {failure.rule.removeprefix(UNREAD)}: take it as missing with --as-missing"
    if _is_cut(row.raw):
        return f"it is longer than the {MAX_RAW:,} characters that the quarantine keeps; loosen the rule, do it again"
    return None


def typed_rows(rows: Sequence[QuarantinedRow], dataset: Dataset, *, as_missing: bool) -> Released:
    """Read quarantined rows again by today's contract, forgiving what they failed and nothing else.

    Args:
        rows: With `raw`.
        dataset: The contract.
        as_missing: Whether values that cannot be read may be taken as missing.
    """
    reasons = {row: why_not(row, dataset, as_missing=as_missing) for row in rows}
    able = [row for row in rows if reasons[row] is None]
    table, failed, keys = _read_again(able, dataset)
    for row, found, key in zip(able, failed, keys, strict=True):
        more = found - set(row.named().failures)
        if more:
            column, rule = min(more)
            reasons[row] = f"today's contract finds more wrong with it ({column}: {rule}); do the night again"
        elif key != row.key:
            reasons[row] = "its values read differently by today's contract; do the night again"
    good = [reasons[row] is None for row in able]
    return Released(
        tuple(row for row, taken in zip(able, good, strict=True) if taken),
        table.filter(pa.array(good, pa.bool_())),
        tuple((row, reason) for row, reason in reasons.items() if reason is not None),
    )


def without_known_keys(released: Released, dataset: Dataset, known: pa.ChunkedArray | pa.Array) -> Released:
    """Take away rows whose key the night has already, or that share a key among themselves.

    Args:
        released: Rows that may join.
        dataset: Names the key; rows without one may repeat.
        known: `sereno_key` of the accepted rows.
    """
    if not dataset.key or not released.rows:
        return released
    keys = released.table["sereno_key"]
    seen = set(pc.filter(known, pc.is_in(known, keys.combine_chunks())).to_pylist())
    good = []
    for row in released.rows:
        good.append(row.key not in seen)
        seen.add(row.key)
    reason = "an accepted row has its key already; two rows of one key cannot be told apart"
    lost = tuple((row, reason) for row, taken in zip(released.rows, good, strict=True) if not taken)
    kept = tuple(row for row, taken in zip(released.rows, good, strict=True) if taken)
    return Released(kept, released.table.filter(pa.array(good, pa.bool_())), (*released.refused, *lost))


def _is_cut(raw: str) -> bool:
    try:
        return json.loads(raw).get("sereno_cut") is True
    except (ValueError, AttributeError):
        return False


def _read_again(
    rows: Sequence[QuarantinedRow], dataset: Dataset
) -> tuple[pa.Table, list[set[tuple[str, str]]], list[str]]:
    """Rows of `accepted_schema`, what is wrong with each, and the key that each has now."""
    from tasks.coerce import coerce_table
    from tasks.split_part import find_failures, written_keys

    schema = accepted_schema(dataset)
    if not rows:
        return schema.empty_table(), [], []
    staged = _staged([json.loads(row.raw) for row in rows])
    typed, unread = coerce_table(staged, dataset)
    failed: list[set[tuple[str, str]]] = [set() for _ in rows]
    for row, column, rule in find_failures(typed, unread, dataset)[["row", "column", "rule"]].itertuples(index=False):
        failed[int(row)].add((str(column), str(rule)))
    keys = row_keys(typed, dataset, written_keys(staged, dataset))
    own = [
        pa.array([row.file for row in rows], pa.string()),
        pa.array([row.line for row in rows], pa.int64()),
        keys,
        pa.array(hash_text(keys), pa.int64()),
    ]
    columns = [column.cast(field.type) for column, field in zip([*typed.columns, *own], schema, strict=True)]
    return pa.table(columns, schema=schema), failed, keys.to_pylist()


def _staged(raws: Sequence[dict[str, Any]]) -> pa.Table:
    names = sorted({name for raw in raws for name in raw})
    return pa.table({name: _column([raw.get(name) for raw in raws]) for name in names})


def _column(values: list[Any]) -> pa.Array:
    """Values of one type as this type, others as text."""
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        texts = [value if value is None or isinstance(value, str) else json.dumps(value) for value in values]
        return pa.array(texts, pa.string())
