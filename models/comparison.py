"""How well scores separate rows, and how sure a difference between two detectors is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from models.calibration import Matrix

REPLICATES = 200

Flags = np.ndarray[Any, np.dtype[np.bool_]]


@dataclass(frozen=True)
class Difference:
    """One detector against another on the same rows.

    Args:
        first: AUROC of the first.
        second: AUROC of the second.
        error: Standard error of the difference, by paired bootstrap over rows.
    """

    first: float
    second: float
    error: float

    def at_least(self, margin: float) -> float:
        """The AUROC that the first must reach: the second's, less one standard error or the margin, if that is more."""
        return self.second - max(self.error, margin)

    def is_worse(self, margin: float = 0.0) -> bool:
        """Whether the first is worse by more than one standard error and by more than the margin."""
        return self.first < self.at_least(margin)


def compare(
    first: tuple[Matrix, Matrix],
    second: tuple[Matrix, Matrix],
    seed: int,
    replicates: int = REPLICATES,
    among: Flags | None = None,
) -> Difference:
    """Compare two detectors by AUROC.

    Args:
        first: Scores of usual rows and of their planted twins, each [rows].
        second: The other detector's scores of the same rows.
        seed: Of the bootstrap.
        replicates: Of the bootstrap.
        among: Which twins count, [rows]; all of them where none are given.
    """
    weights = _weights(len(first[0]), seed, replicates)
    return _difference(auroc(*first, weights, among), auroc(*second, weights, among))


def compare_labelled(
    first: Matrix, second: Matrix, is_anomaly: Flags, seed: int, replicates: int = REPLICATES
) -> Difference:
    """Compare two detectors by AUROC on rows of which it is known whether they are anomalies.

    Args:
        first: Scores [rows].
        second: The other detector's scores of the same rows.
        is_anomaly: Bool [rows].
        seed: Of the bootstrap, which draws from each sort as many as there are.
        replicates: Of the bootstrap.
    """
    weights = np.ones((replicates + 1, len(first)))
    for sort in (0, 1):
        at = np.flatnonzero(is_anomaly == bool(sort))
        weights[:, at] = _weights(len(at), seed + sort, replicates)
    return _difference(area(first, is_anomaly, weights), area(second, is_anomaly, weights))


def auroc(usual: Matrix, planted: Matrix, weights: Matrix, among: Flags | None = None) -> Matrix:
    """Chance that a planted row scores above a usual one, for each weighting of the rows; ties count half.

    Args:
        usual: Scores [rows].
        planted: Scores of their twins [rows].
        weights: How often each row counts, [replicates, rows].
        among: Which twins count, [rows]; all of them where none are given.

    Returns:
        [replicates].
    """
    counted = weights if among is None else weights * among
    is_planted = np.repeat([False, True], len(usual))
    return area(np.concatenate([usual, planted]), is_planted, np.concatenate([weights, counted], axis=1))


def area(scores: Matrix, is_anomaly: Flags, weights: Matrix) -> Matrix:
    """Chance that an anomaly scores above another row, for each weighting; ties count half.

    Args:
        scores: [rows].
        is_anomaly: Bool [rows].
        weights: How often each row counts, [replicates, rows].

    Returns:
        [replicates]; a half where one of the sorts has no weight.
    """
    values, place = np.unique(scores, return_inverse=True)
    order = np.argsort(place, kind="stable")
    starts = np.searchsorted(place[order], np.arange(len(values)))
    above_side, sorted_weights = is_anomaly[order], weights[:, order]
    below = np.add.reduceat(np.where(above_side, 0.0, sorted_weights), starts, axis=1)
    above = np.add.reduceat(np.where(above_side, sorted_weights, 0.0), starts, axis=1)
    wins = above * (np.cumsum(below, axis=1) - below / 2.0)
    pairs = below.sum(axis=1) * above.sum(axis=1)
    found: Matrix = np.divide(wins.sum(axis=1), pairs, out=np.full(len(weights), 0.5), where=pairs > 0)
    return found


def _weights(rows: int, seed: int, replicates: int) -> Matrix:
    """All rows once, then draws with replacement, [1 + replicates, rows]."""
    draws = np.random.default_rng(seed).multinomial(rows, np.full(rows, 1.0 / rows), size=replicates)
    return np.vstack([np.ones((1, rows)), draws])


def _difference(one: Matrix, other: Matrix) -> Difference:
    return Difference(float(one[0]), float(other[0]), float(np.std(one[1:] - other[1:])))
