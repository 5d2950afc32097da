"""Validate: the contract row by row in the workers, repeated keys over all parts, expectations on the whole batch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date as Date
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.parquet as pq

from schemas.errors import SerenoError, listed
from schemas.results import ExpectationOutcome, QuarantineSample, RowCounts
from tasks.check_batch import check_batch, start_import
from tasks.duplicates import Compute, remove_repeated
from tasks.quarantine import MAX_EACH, MAX_SAMPLE, added, counted, rejected_records, sampled
from tasks.released_before import let_pass
from tasks.split_part import PartSplit, split_part

if TYPE_CHECKING:
    from infra.runtime.releases import ReleasedRow
    from schemas.dataset import Dataset
    from tasks.ingest import Ingested

REJECTED = -1  # place of the rows that ingest could not split: before all parts


@dataclass(frozen=True)
class Validated:
    """What became of a batch.

    Args:
        rows: Where each row went; a blocked night holds what it would have accepted.
        failures: Failed rows for each column; `(row)` for rows that are no record, `(key)` for repeated keys.
        outcomes: One for each expectation, failures that block first.
        blocking: Why the night is blocked, a sentence each; empty where it is not.
        accepted: Parquet parts of `accepted_schema`, also of a blocked night.
        quarantined: Parquet parts of `quarantined_schema`.
        sample: Some failures, for the report.
        warnings: What a person should know, a sentence each.
        released: Rows among the accepted ones that fail the contract and were released by a person before.
    """

    rows: RowCounts
    failures: dict[str, int]
    outcomes: tuple[ExpectationOutcome, ...]
    blocking: tuple[str, ...]
    accepted: tuple[Path, ...]
    quarantined: tuple[Path, ...]
    sample: tuple[QuarantineSample, ...]
    warnings: tuple[str, ...]
    released: int = 0


def validate(
    dataset: Dataset,
    date: Date,
    ingested: Ingested,
    compute: Compute,
    work: Path,
    *,
    usual_rows: int | None,
    data_docs: Path | None = None,
    released: Sequence[ReleasedRow] = (),
) -> Validated:
    """Check one batch.

    Args:
        dataset: The dataset file.
        date: The logical date.
        ingested: What ingest staged.
        compute: Where the parts are checked.
        work: The run's folder for files in between.
        usual_rows: Rows of a usual night; None while no nights are recorded.
        data_docs: A folder for Great Expectations' page; None for no page.
        released: Rows of this night that people released from the quarantine.

    Raises:
        ConfigError: An expectation that Great Expectations' core does not have.
        SerenoError: The rows do not add up.
    """
    importing = start_import() if dataset.expectations else None
    folder = work / "validated"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        splits = _split(dataset, ingested, compute, folder)
    finally:
        if importing is not None:
            importing.join()
    accepted = tuple(split.accepted for split in splits if split.accepted is not None)
    outcomes = check_batch(dataset, date, accepted, ingested.rows_read, usual_rows, data_docs)
    passed = let_pass(splits, released, dataset, folder)
    return replace(_gathered(dataset, ingested, passed.splits, outcomes), released=passed.rows)


def _split(dataset: Dataset, ingested: Ingested, compute: Compute, folder: Path) -> tuple[PartSplit, ...]:
    staged = [(index, part.path) for index, part in enumerate(ingested.parts)]
    splits: tuple[PartSplit, ...] = tuple(compute.map(split_part, staged, dataset, folder))
    if dataset.key:
        splits = remove_repeated(splits, compute, folder)
    return (*_rejected(ingested, folder), *splits)


def _rejected(ingested: Ingested, folder: Path) -> tuple[PartSplit, ...]:
    if ingested.rejects is None:
        return ()
    records = rejected_records(pq.read_table(ingested.rejects))
    if not records.num_rows:
        return ()
    path = folder / "rejected-quarantined.parquet"
    pq.write_table(records, path)
    columns, rules = counted(records)
    rows = records.num_rows
    return (PartSplit(REJECTED, ingested.rejects, rows, None, path, None, 0, columns, rules, sampled(records)),)


def _gathered(
    dataset: Dataset, ingested: Ingested, splits: Sequence[PartSplit], outcomes: tuple[ExpectationOutcome, ...]
) -> Validated:
    rows = sum(split.rows for split in splits)
    accepted = sum(split.rows_accepted for split in splits)
    if rows != ingested.rows_read:
        raise SerenoError(
            f"{dataset.name}: {ingested.rows_read:,} rows were read, but {rows:,} were checked; nothing was written",
            hint="run the night again; if it stays so, the input changed while it was read",
        )
    rules = added(split.rules for split in splits)
    failed = [outcome for outcome in outcomes if not outcome.success]
    blocking = (
        *_too_many(dataset, rows, rows - accepted, rules),
        *(outcome.message for outcome in failed if outcome.policy == "block"),
    )
    counts = RowCounts(read=rows, accepted=accepted, quarantined=rows - accepted)
    if blocking:
        counts = RowCounts(read=rows, quarantined=rows - accepted, held=accepted)
    return Validated(
        rows=counts,
        failures=added(split.columns for split in splits),
        outcomes=outcomes,
        blocking=blocking,
        accepted=tuple(split.accepted for split in splits if split.accepted is not None),
        quarantined=tuple(split.quarantined for split in splits if split.quarantined is not None),
        sample=_spread(splits),
        warnings=tuple(outcome.message for outcome in failed if outcome.policy == "warn"),
    )


def _too_many(dataset: Dataset, rows: int, bad: int, rules: dict[tuple[str, str], int]) -> tuple[str, ...]:
    if not bad or bad <= dataset.max_quarantined * rows:
        return ()
    worst = listed(f"{column} {rule} ({count:,})" for (column, rule), count in rules.items())
    message = (
        f"{bad:,} of {rows:,} rows ({bad / rows:.1%}) do not meet the contract where at most "
        f"{dataset.max_quarantined:.0%} may be quarantined: {worst}"
    )
    return (message,)


def _spread(splits: Sequence[PartSplit]) -> tuple[QuarantineSample, ...]:
    """The first failures of each (column, rule); where these are too many, a few of each before many of one."""
    ranked: list[tuple[int, int, QuarantineSample]] = []
    seen: Counter[tuple[str, str]] = Counter()
    for place, failure in enumerate(chain.from_iterable(split.sample for split in splits)):
        reason = (failure.column, failure.rule)
        seen[reason] += 1
        if seen[reason] <= MAX_EACH:
            ranked.append((seen[reason], place, failure))
    chosen = sorted(ranked, key=lambda item: item[:2])[:MAX_SAMPLE]
    return tuple(failure for _, _, failure in sorted(chosen, key=lambda item: item[1]))
