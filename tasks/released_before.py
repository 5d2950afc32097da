"""A night that is done again keeps the rows that people released: validation lets them pass once more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from schemas.errors import listed
from schemas.tables import quarantined_schema
from tasks.quarantine import added, counted, sampled
from tasks.release_rows import QuarantinedRow, Released, rows_of, typed_rows, without_known_keys
from tasks.split_part import PartSplit

if TYPE_CHECKING:
    from infra.runtime.releases import Release, ReleasedRow
    from schemas.dataset import Dataset

RELEASED = -2  # place of the released rows: they are no part of their own
SHOWN_REASON = 200


@dataclass(frozen=True)
class Passed:
    """A batch in which released rows passed.

    Args:
        splits: The parts; released rows are not in their quarantined files any more, but in a part of their own.
        rows: How many rows passed.
    """

    splits: tuple[PartSplit, ...]
    rows: int


def let_pass(splits: Sequence[PartSplit], released: Sequence[ReleasedRow], dataset: Dataset, folder: Path) -> Passed:
    """Move released rows from the quarantined files to a file of accepted ones.

    A row passes when it is the very row that was released (`ReleasedRow`), fails nothing that was not forgiven, and no
    accepted row has its key. It comes after the expectations: what they say of a batch does not change with a release.

    Args:
        splits: The parts of the night.
        released: What people released of this night.
        dataset: The contract.
        folder: Where new files go.
    """
    if not released:
        return Passed(tuple(splits), 0)
    records = {split.index: pq.read_table(split.quarantined) for split in splits if split.quarantined is not None}
    wanted: dict[tuple[str, int, str], frozenset[tuple[str, str]]] = {}
    for row in released:
        name = (row.file, row.line, row.digest)
        wanted[name] = wanted.get(name, frozenset()) | frozenset(row.failures)
    found = [row for table in records.values() for row in rows_of(_near(table, released)) if _is_forgiven(row, wanted)]
    passed = without_known_keys(typed_rows(found, dataset, as_missing=True), dataset, _accepted_keys(splits))
    if not passed.rows:
        return Passed(tuple(splits), 0)
    changed = tuple(
        _without(split, records[split.index], passed, folder) if split.index in records else split for split in splits
    )
    path = folder / "released-accepted.parquet"
    pq.write_table(passed.table, path)
    own = PartSplit(RELEASED, path, 0, path, None, None, len(passed.rows), {}, {}, ())
    return Passed((*changed, own), len(passed.rows))


def words_of(releases: Sequence[Release], passed: int | None = None) -> tuple[str, ...]:
    """Who released how many rows and why, for report and result; a row that was released again counts once.

    Args:
        releases: Of one night, oldest first; of a row's releases the last one is told.
        passed: How many of these rows are among the accepted ones; None: all of them.
    """
    if not releases:
        return ()
    rows = {(release.row.file, release.row.line, release.row.digest): release for release in releases}
    groups = Counter((release.actor, release.reason[:SHOWN_REASON]) for release in rows.values())
    said = listed(f"{count:,} by {who}: {reason}" for (who, reason), count in groups.items())
    gone = 0 if passed is None else len(rows) - passed
    more = f"; {gone:,} of them are not in this delivery, or fail something else now" if gone else ""
    return (f"released from the quarantine: {said}{more}",)


def without_rows(records: pa.Table, rows: Sequence[QuarantinedRow]) -> pa.Table:
    """Records of a quarantine without those of some rows."""
    if not rows:
        return records
    gone = {(row.file, row.line, row.key) for row in rows}
    names = zip(*(records[name].to_pylist() for name in ("sereno_file", "sereno_line", "sereno_key")), strict=True)
    return records.filter(pa.array([name not in gone for name in names], pa.bool_()))


def _near(records: pa.Table, released: Sequence[ReleasedRow]) -> pa.Table:
    """Records of the lines that were released, so that few rows are looked at closely."""
    lines = pa.array({row.line for row in released}, pa.int64())
    return records.filter(pc.is_in(records["sereno_line"], lines))


def _is_forgiven(row: QuarantinedRow, wanted: dict[tuple[str, int, str], frozenset[tuple[str, str]]]) -> bool:
    named = row.named()
    forgiven = wanted.get((named.file, named.line, named.digest))
    return forgiven is not None and forgiven.issuperset(named.failures)


def _accepted_keys(splits: Sequence[PartSplit]) -> pa.ChunkedArray:
    kept = [pq.read_table(split.accepted, columns=["sereno_key"]) for split in splits if split.accepted is not None]
    empty = pa.table({"sereno_key": pa.array([], pa.string())})
    return pa.concat_tables([empty, *(table.cast(empty.schema) for table in kept)])["sereno_key"]


def _without(split: PartSplit, records: pa.Table, passed: Released, folder: Path) -> PartSplit:
    left = without_rows(records, passed.rows)
    if len(left) == len(records):
        return split
    path = folder / f"part-{split.index:06d}-unreleased-quarantined.parquet"
    pq.write_table(left.cast(quarantined_schema()), path)
    columns, rules = counted(left)
    return replace(
        split,
        quarantined=path if len(left) else None,
        columns=added([columns]),
        rules=added([rules]),
        sample=sampled(left) if len(left) else (),
    )
