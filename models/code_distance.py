"""How far the codes of nights lie apart: the energy distance, as a share of the distance between their rows.

The energy distance of two sets of points is twice the mean distance across less the mean distances within; it is 0 in
expectation when both come from one source, and only then (Szekely and Rizzo, Energy statistics, Journal of Statistical
Planning and Inference 143, 2013). Divided by twice the mean distance across it is their coefficient of inhomogeneity,
from 0 to 1. Sums of distances between the halves of nights give the distance of any nights to any others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from models.calibration import Matrix

Codes = np.ndarray[Any, np.dtype[np.float32]]
FARTHEST = 8.0  # scaled units: a code further out counts as this, so that one row does not make a night
NORMAL_IQR = 1.349  # of a normal distribution, in standard deviations


@dataclass(frozen=True)
class CodeDistances:
    """Sums of distances between the rows of half nights.

    Args:
        rows: Rows of each half, float64 [2 x nights]; the halves of a night stand beside each other.
        sums: Sum of distances between each two halves' rows, float64 [2 x nights, 2 x nights].
    """

    rows: Matrix
    sums: Matrix

    def between(self, some: Sequence[int], others: Sequence[int]) -> float:
        """The coefficient of inhomogeneity of some nights and others, by place; 0 where either has no two rows."""
        return max(self._signed(self._halves(some), self._halves(others)), 0.0)

    def noise(self, some: Sequence[int], others: Sequence[int]) -> float:
        """The standard deviation that chance gives `between`: from the two halves of each night, scaled by rows."""
        spreads = []
        for first in range(0, len(self.rows), 2):
            size = self._inverse([first], [first + 1])
            if np.isfinite(size):
                spreads.append(self._signed([first], [first + 1]) / size)
        if not spreads:
            return 0.0
        wanted = self._inverse(self._halves(some), self._halves(others))
        return float(np.sqrt(np.mean(np.square(spreads))) * wanted) if np.isfinite(wanted) else 0.0

    def _halves(self, nights: Sequence[int]) -> list[int]:
        return [half for night in nights for half in (2 * night, 2 * night + 1)]

    def _inverse(self, some: list[int], others: list[int]) -> float:
        counts = self.rows[some].sum(), self.rows[others].sum()
        return float(1 / counts[0] + 1 / counts[1]) if min(counts) > 1 else float("inf")

    def _signed(self, some: list[int], others: list[int]) -> float:
        n, m = self.rows[some].sum(), self.rows[others].sum()
        if min(n, m) < 2:
            return 0.0
        across = self.sums[np.ix_(some, others)].sum() / (n * m)
        within = self.sums[np.ix_(some, some)].sum() / (n * (n - 1))
        within_others = self.sums[np.ix_(others, others)].sum() / (m * (m - 1))
        return float((2 * across - within - within_others) / (2 * across)) if across > 0 else 0.0


def code_distances(halves: Sequence[Codes]) -> CodeDistances:
    """Measure how far half nights lie apart.

    Args:
        halves: Codes of each half, float32 [rows, code]; two a night, beside each other. All together say how wide
            each number of the code is.
    """
    scaled = _scaled(halves)
    rows = np.array([len(half) for half in scaled])
    together = np.concatenate(scaled)
    squares = np.square(together).sum(axis=1)
    ends = np.concatenate([[0], np.cumsum(rows)])
    sums = np.zeros((len(rows), len(rows)))
    # Half by half against all rows that follow: few large products are quicker than many small ones.
    for at, half in enumerate(scaled):
        start = ends[at]
        squared = squares[start : ends[at + 1], None] + squares[start:] - 2.0 * (half @ together[start:].T)
        np.fill_diagonal(squared, 0.0)
        apart = np.sqrt(np.maximum(squared, 0.0)).sum(axis=0, dtype=np.float64)
        sums[at, at:] = np.diff(np.concatenate([[0.0], np.cumsum(apart)])[ends[at:] - start])
    return CodeDistances(rows.astype(np.float64), sums + np.triu(sums, 1).T)


def _scaled(halves: Sequence[Codes]) -> list[Codes]:
    """Each number of the code less its median, over its width; one that never varies says nothing."""
    together = np.concatenate([half.astype(np.float64) for half in halves])
    if not len(together):
        return [half.astype(np.float32) for half in halves]
    low, middle, high = np.quantile(together, [0.25, 0.5, 0.75], axis=0)
    spread = (high - low) / NORMAL_IQR
    width = np.where(spread > 0, spread, together.std(axis=0))
    inverse = np.divide(1.0, width, out=np.zeros_like(width), where=width > 0)
    return [np.clip((half - middle) * inverse, -FARTHEST, FARTHEST).astype(np.float32) for half in halves]
