"""Rows whose key was seen before, over all parts and files of a night.

The first row of a key stays: first in the order of the staged parts, then of the lines. Only rows that meet the
contract count, so a spoilt row never pushes out the good one that came after it. What travels to the driver is a 64-bit
hash of each key; rows whose hash occurs twice are compared by the key itself, so two keys with one hash both stay.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tasks.quarantine import REPEATED, added, counted, quarantine_records, sampled
from tasks.split_part import PartSplit

if TYPE_CHECKING:
    from numpy.typing import NDArray

RULE = "key"
BUCKET_ROWS = 1_000_000  # suspects that one worker compares at a time


class Compute(Protocol):
    """What the stages need of a cluster."""

    def map(self, function: Callable[..., Any], items: Iterable[Any], *args: Any) -> list[Any]:
        """Call `function(item, *args)` for each item; results in the items' order."""


def remove_repeated(splits: Sequence[PartSplit], compute: Compute, folder: Path) -> tuple[PartSplit, ...]:
    """Move the later rows of each repeated key from the accepted to the quarantined files.

    Args:
        splits: The parts, in file order.
        compute: Where the comparing is done.
        folder: Where new files go.

    Returns:
        The parts again; those that lost rows name new files.
    """
    hashed = [split for split in splits if split.hashes is not None]
    repeated, rows = _repeated_hashes(hashed)
    if not rows:
        return tuple(splits)
    suspects = folder / "suspects.npy"
    np.save(suspects, repeated, allow_pickle=False)
    buckets = -(-rows // BUCKET_ROWS)
    parts = tuple((split.index, str(split.accepted)) for split in hashed)
    found = compute.map(later_rows, range(buckets), buckets, parts, suspects)
    lost = pd.concat(found, ignore_index=True)
    work = [(split, lost.loc[lost["part"] == split.index, "position"].to_numpy()) for split in hashed]
    changed = compute.map(_without, [(s, np.sort(at)) for s, at in work if len(at)], folder)
    new = {split.index: split for split in changed}
    return tuple(new.get(split.index, split) for split in splits)


def _repeated_hashes(splits: Sequence[PartSplit]) -> tuple[NDArray[np.int64], int]:
    """Sorted hashes that occur more than once, and how many rows have one of them."""
    loaded = [np.load(str(split.hashes), allow_pickle=False) for split in splits]
    hashes = np.sort(np.concatenate(loaded)) if loaded else np.zeros(0, dtype=np.int64)
    same = hashes[1:] == hashes[:-1]
    repeated = np.unique(hashes[1:][same])
    spans = np.searchsorted(hashes, repeated, side="right") - np.searchsorted(hashes, repeated, side="left")
    return repeated, int(spans.sum())


def later_rows(bucket: int, buckets: int, parts: Sequence[tuple[int, str]], suspects: Path) -> pd.DataFrame:
    """Rows of one bucket of suspects that are not the first of their key.

    Args:
        bucket: Which of `buckets`: hashes with that remainder.
        buckets: Number of buckets.
        parts: (place, accepted file), in file order.
        suspects: .npy file of the hashes that occur more than once.

    Returns:
        `part` and `position` (row in the part's accepted file) of each later row.
    """
    wanted = pa.array(np.load(suspects, allow_pickle=False), pa.int64())
    rows = []
    for index, path in parts:
        table = pq.read_table(path, columns=["sereno_key", "sereno_hash"])
        chosen = pc.is_in(table.column("sereno_hash"), wanted).to_numpy()
        chosen &= table.column("sereno_hash").to_numpy().view(np.uint64) % np.uint64(buckets) == np.uint64(bucket)
        at = np.flatnonzero(chosen)
        rows.append(
            pd.DataFrame({"part": index, "position": at, "key": table.column("sereno_key").take(at).to_pylist()})
        )
    together = pd.concat(rows, ignore_index=True)
    return together.loc[together.duplicated("key", keep="first"), ["part", "position"]].reset_index(drop=True)


def _without(item: tuple[PartSplit, NDArray[np.int64]], folder: Path) -> PartSplit:
    """The part with its later rows quarantined."""
    split, positions = item
    accepted = pq.read_table(split.accepted)
    good = np.ones(accepted.num_rows, dtype=bool)
    good[positions] = False
    records = _repeated_records(split, accepted.take(pa.array(positions)))
    if split.quarantined is not None:
        records = pa.concat_tables([pq.read_table(split.quarantined), records])
    records = records.sort_by([("sereno_line", "ascending"), ("column", "ascending"), ("rule", "ascending")])
    kept, held = (folder / f"part-{split.index:06d}-unique-{what}.parquet" for what in ("accepted", "quarantined"))
    pq.write_table(accepted.filter(pa.array(good)), kept)
    pq.write_table(records, held)
    by_column, by_rule = counted(records)
    rows = int(good.sum())
    return replace(
        split,
        accepted=kept if rows else None,
        quarantined=held,
        rows_accepted=rows,
        columns=added([by_column]),
        rules=added([by_rule]),
        sample=sampled(records),
    )


def _repeated_records(split: PartSplit, repeated: pa.Table) -> pa.Table:
    staged = pq.read_table(split.staged)
    lines = pd.Series(np.arange(staged.num_rows), index=staged.column("sereno_line").to_numpy())
    rows = lines.loc[repeated.column("sereno_line").to_numpy()].to_numpy()
    columns = [name for name in repeated.column_names if name in staged.column_names and not name.startswith("sereno_")]
    keys = repeated.column("sereno_key").combine_chunks()
    chosen = staged.take(pa.array(rows))
    failures = pd.DataFrame({"row": np.arange(len(rows)), "column": REPEATED, "rule": RULE})
    return quarantine_records(chosen, columns, keys, failures)
