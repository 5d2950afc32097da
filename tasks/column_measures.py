"""How far each night's values of one column lie from those of the other nights: counts in common bins, and shares.

The population stability index of counts in bins is the symmetric Kullback-Leibler divergence of the two distributions
(Siddiqi, Credit Risk Scorecards, 2006). Of n and m rows that come from one source it is still about
(bins - 1) x (1/n + 1/m) (Yurdakul and Naranjo, Statistical Properties of the Population Stability Index, Journal of
Risk Model Validation 14, 2020), which is taken off here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

Counts: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]
CUTS = (*(tenth / 10 for tenth in range(11)), 0.95, 0.99)
TOP_CATEGORIES = 20
BLIND = 0.5  # rows that each bin is given, so that an empty one has a finite logarithm


@dataclass(frozen=True)
class Binned:
    """One column of several nights, the last of which is tonight.

    Args:
        labels: The bins in words, e.g. ``above 3 to 9``; the last one is ``missing``.
        own: Rows of each night in each bin, float64 [nights, bins].
        others: Rows of the nights that it is held against, likewise; of tonight all that come before, of any of those
            its fellows.
        beyond: Share of each night's rows whose value its others never had, float64 [nights].
        medians: Of the numbers of each night, float64 [nights], NaN where there are none; None for categories.
        newest: The most frequent value of tonight that no night before had; None where there is none.
    """

    labels: tuple[str, ...]
    own: Counts
    others: Counts
    beyond: Counts
    medians: Counts | None
    newest: str | None

    @property
    def shares(self) -> Counts:
        """Share of each night's rows in each bin."""
        shares: Counts = self.own / np.maximum(self.own.sum(axis=1, keepdims=True), 1.0)
        return shares


def binned_numbers(values: Sequence[pa.ChunkedArray]) -> Binned:
    """Count numbers in the deciles (and the upper tail) of the nights before tonight.

    Args:
        values: A column of each night, tonight last.
    """
    nights = [_numbers(column) for column in values]
    present = [column[~np.isnan(column)] for column in nights]
    window = np.concatenate(present[:-1])
    cuts = np.unique(np.quantile(window, CUTS, method="inverted_cdf")) if len(window) else np.array([])
    own = np.zeros((len(nights), len(cuts) + 2))
    for at, column in enumerate(present):
        own[at, : len(cuts) + 1] = np.bincount(np.searchsorted(cuts, column), minlength=len(cuts) + 1)
        own[at, -1] = len(nights[at]) - len(column)
    medians = np.array([np.median(column) if len(column) else np.nan for column in present])
    return Binned(
        labels=(*_spans(cuts), "missing"),
        own=own,
        others=_rest(own),
        beyond=_outside(present) / np.maximum(own.sum(axis=1), 1.0),
        medians=medians,
        newest=None,
    )


def binned_categories(values: Sequence[pa.ChunkedArray]) -> Binned:
    """Count the most frequent categories, all others, and those that the other nights did not have.

    Args:
        values: A column of each night, tonight last.
    """
    lengths = [len(column) for column in values]
    texts = pa.chunked_array([chunk for column in values for chunk in _texts(column).chunks], pa.string())
    coded = texts.combine_chunks().dictionary_encode()
    names = coded.dictionary.to_pylist()
    codes = coded.indices.fill_null(len(names)).to_numpy(zero_copy_only=False).astype(np.int64)
    night = np.repeat(np.arange(len(values)), lengths)
    flat = np.bincount(night * (len(names) + 1) + codes, minlength=len(values) * (len(names) + 1))
    table = flat.reshape(len(values), len(names) + 1).astype(np.float64)
    missing, named = table[:, -1:], table[:, :-1]
    others = _rest(named)
    before = others[-1]
    # By frequency, then by name: the bins do not depend on the order of the rows.
    top = sorted(np.flatnonzero(before).tolist(), key=lambda at: (-before[at], names[at]))[:TOP_CATEGORIES]
    unseen = np.where(others == 0, named, 0.0)
    rest = named.sum(axis=1) - named[:, top].sum(axis=1) - np.delete(unseen, top, axis=1).sum(axis=1)
    own = np.column_stack([np.where(others == 0, 0.0, named)[:, top], rest, unseen.sum(axis=1), missing])
    left = others.sum(axis=1) - others[:, top].sum(axis=1)
    reference = np.column_stack([others[:, top], left, np.zeros(len(values)), _rest(missing)])
    new = min(np.flatnonzero(unseen[-1]).tolist(), key=lambda at: (-unseen[-1][at], names[at]), default=None)
    return Binned(
        labels=(*(repr(names[at]) for at in top), "any other known value", "new values", "missing"),
        own=own,
        others=reference,
        beyond=unseen.sum(axis=1) / np.maximum(own.sum(axis=1), 1.0),
        medians=None,
        newest=None if new is None else names[new],
    )


def stability_index(own: Counts, others: Counts) -> Counts:
    """The population stability index of each pair of rows, less what two samples of one source would have.

    Args:
        own: Counts, [nights, bins].
        others: Counts, [nights, bins].

    Returns:
        float64 [nights], not below 0; 0 where one side has no rows.
    """
    n, m = own.sum(axis=1), others.sum(axis=1)
    known = (n > 0) & (m > 0)
    index = np.where(known, index_parts(own, others).sum(axis=1) - expected_index(own, others), 0.0)
    return np.maximum(index, 0.0)


def index_parts(own: Counts, others: Counts) -> Counts:
    """What each bin adds to the index, [nights, bins]; bins that both sides leave empty add nothing."""
    used = (own + others) > 0
    smooth = [np.where(used, counts + BLIND, 0.0) for counts in (own, others)]
    p, q = (counts / np.maximum(counts.sum(axis=1, keepdims=True), BLIND) for counts in smooth)
    with np.errstate(divide="ignore", invalid="ignore"):
        parts: Counts = np.where(used, (p - q) * np.log(np.where(used, p, 1.0) / np.where(used, q, 1.0)), 0.0)
    return parts


def expected_index(own: Counts, others: Counts) -> Counts:
    """The index that two samples of one source have on average, float64 [nights]."""
    free = np.maximum(((own + others) > 0).sum(axis=1) - 1, 0)
    inverse: Counts = 1 / np.maximum(own.sum(axis=1), 1.0) + 1 / np.maximum(others.sum(axis=1), 1.0)
    return np.asarray(free * inverse, dtype=np.float64)


def spread_of_index(own: Counts, others: Counts) -> Counts:
    """The standard deviation of the index of two samples of one source, float64 [nights]: chi-square's, scaled."""
    free = np.maximum(((own + others) > 0).sum(axis=1) - 1, 1)
    return np.asarray(expected_index(own, others) * np.sqrt(2 / free), dtype=np.float64)


def _rest(counts: Counts) -> Counts:
    """What each night is held against: tonight (last) all nights before, a night before its fellows."""
    total = counts[:-1].sum(axis=0)
    return np.vstack([total - counts[:-1], total])


def _outside(nights: Sequence[Counts]) -> Counts:
    """Rows of each night below the least or above the largest value of what it is held against."""
    lows = np.array([column.min(initial=np.inf) for column in nights])
    highs = np.array([column.max(initial=-np.inf) for column in nights])
    counts = np.zeros(len(nights))
    for at, column in enumerate(nights):
        rest = [other for other in range(len(nights) - 1) if other != at]
        low, high = lows[rest].min(initial=np.inf), highs[rest].max(initial=-np.inf)
        counts[at] = np.count_nonzero((column < low) | (column > high)) if low <= high else 0
    return counts


def _numbers(values: pa.ChunkedArray) -> Counts:
    """Float64 [rows], NaN where there is no number; infinities are the largest finite number, as encoders take them."""
    numbers = values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    big = np.finfo(np.float64).max
    clipped: Counts = np.clip(np.asarray(numbers, dtype=np.float64), -big, big)
    return clipped


def _texts(values: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_boolean(values.type):
        return pc.if_else(values, "yes", "no")
    return values.cast(pa.string())


def _spans(cuts: Counts) -> tuple[str, ...]:
    from tasks.report_text import number

    if not len(cuts):
        return ("any number",)
    between = [f"above {number(a)} to {number(b)}" for a, b in pairwise(cuts.tolist())]
    return (f"{number(cuts[0])} or less", *between, f"above {number(cuts[-1])}")
