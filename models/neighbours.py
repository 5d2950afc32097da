"""How far a row lies from the training rows nearest to it, on a bent scale.

The mean distance to a few near rows finds what most detectors miss, if neither a heavy tail nor a crowd decides what is
far: see `models.ranks`. The reference is bounded, so that scoring costs the same whatever was trained on; it lies in
the bundle, as rows or as centroids.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np

from models.nearest import AT_ONCE, Nearest, Places, Rows
from models.ranks import Ranks, fit_ranks

Matrix = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class Neighbours:
    """Reference rows that others are compared with.

    Args:
        reference: On the bent scale, float32 [references, width].
        count: How many near rows count.
        ranks: What bends the scale.
    """

    reference: Rows
    count: int
    ranks: Ranks

    def terms(self, rows: Rows, *, of: Places | None = None) -> tuple[Matrix, Matrix]:
        """What near rows say of rows [rows, width].

        Args:
            rows: Encoded rows.
            of: Where the reference has each of these very rows, [rows], and -1 where it has not: a row is no neighbour
                of itself.

        Returns:
            How far out each row is, [rows]; and the part of each number in that distance, [rows, width], which add up
            to 1 or to 0.
        """
        far, parts = np.empty(len(rows)), np.empty(rows.shape)
        for start in range(0, len(rows), AT_ONCE):
            some = slice(start, start + AT_ONCE)
            bent = self.ranks.bend(rows[some])
            near = self._search.of(bent, None if of is None else of[some])
            # Once more, and exactly: the search loses what is small beside the numbers themselves.
            squares = np.square(bent[:, None, :].astype(np.float64) - self.reference[near])
            far[some] = np.sqrt(squares.sum(axis=2)).mean(axis=1)
            parts[some] = shares_of(squares.mean(axis=1))
        return far, parts

    @cached_property
    def _search(self) -> Nearest:
        return Nearest(self.reference, self.count)


def shares_of(amounts: Matrix) -> Matrix:
    """What each of a row's amounts [rows, n] is of their sum, [rows, n]; 0 where that is 0."""
    total = amounts.sum(axis=1, keepdims=True)
    shares: Matrix = np.divide(amounts, total, out=np.zeros_like(amounts), where=total > 0)
    return shares


def fit_neighbours(
    rows: Rows, count: int, most: int, seed: int, kind: Literal["rows", "centroids"] = "rows"
) -> tuple[Neighbours, Places]:
    """Choose a reference among rows.

    Args:
        rows: Encoded rows, float32 [rows, width].
        count: How many near rows count.
        most: Most rows of the reference.
        seed: Decides which.
        kind: Rows as they are, or centroids of k-means (Lloyd, 1982), a fifth as many as rows, of which none is a row.

    Returns:
        The neighbours, and where the reference has each row, -1 where it has not.
    """
    ranks = fit_ranks(rows)
    places = np.full(len(rows), -1, np.intp)
    if kind == "centroids":
        reference = _centroids(ranks.bend(rows), max(count + 1, min(most, len(rows) // 5)), seed)
    else:
        chosen = np.sort(np.random.default_rng(seed).permutation(len(rows))[:most])
        places[chosen] = np.arange(len(chosen))
        reference = ranks.bend(rows[chosen])
    return Neighbours(reference, min(count, len(reference) - 1), ranks), places


def _centroids(rows: Rows, count: int, seed: int) -> Rows:
    from sklearn.cluster import MiniBatchKMeans

    found = MiniBatchKMeans(count, random_state=seed % 2**32, n_init=1, batch_size=4_096).fit(rows)
    centroids: Rows = found.cluster_centers_.astype(np.float32)
    _, distinct = np.unique(rows, axis=0, return_index=True)
    # The centroid of one row alone, or of its equals, is that row.
    lone = np.bincount(found.labels_[distinct], minlength=count) < 2
    others = np.concatenate([centroids[~lone], rows.mean(axis=0, keepdims=True)])
    search = Nearest(others, 1)
    for at in np.flatnonzero(lone):
        centroids[at] = (centroids[at] + others[search.of(centroids[[at]])[0, 0]]) / 2
    return centroids
