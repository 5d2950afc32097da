"""How well scores separate rows, and how sure a difference between two detectors is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.calibration import Matrix

REPLICATES = 200


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
    first: tuple[Matrix, Matrix], second: tuple[Matrix, Matrix], seed: int, replicates: int = REPLICATES
) -> Difference:
    """Compare two detectors by AUROC.

    Args:
        first: Scores of usual rows and of their planted twins, each [rows].
        second: The other detector's scores of the same rows.
        seed: Of the bootstrap.
        replicates: Of the bootstrap.
    """
    rows = len(first[0])
    draws = np.random.default_rng(seed).multinomial(rows, np.full(rows, 1.0 / rows), size=replicates)
    weights = np.vstack([np.ones((1, rows)), draws])
    one, other = auroc(*first, weights), auroc(*second, weights)
    return Difference(float(one[0]), float(other[0]), float(np.std(one[1:] - other[1:])))


def auroc(usual: Matrix, planted: Matrix, weights: Matrix) -> Matrix:
    """Chance that a planted row scores above a usual one, for each weighting of the rows; ties count half.

    Args:
        usual: Scores [rows].
        planted: Scores of their twins [rows].
        weights: How often each row counts, [replicates, rows].

    Returns:
        [replicates].
    """
    rows = len(usual)
    values, place = np.unique(np.concatenate([usual, planted]), return_inverse=True)
    order = np.argsort(place, kind="stable")
    starts = np.searchsorted(place[order], np.arange(len(values)))
    is_usual, twin = order < rows, order % rows
    sorted_weights = weights[:, twin]
    below = np.add.reduceat(np.where(is_usual, sorted_weights, 0.0), starts, axis=1)
    above = np.add.reduceat(np.where(is_usual, 0.0, sorted_weights), starts, axis=1)
    wins = above * (np.cumsum(below, axis=1) - below / 2.0)
    total: Matrix = wins.sum(axis=1) / (below.sum(axis=1) * above.sum(axis=1))
    return total
