"""How far a row lies from the training rows nearest to it, over how far these lie from theirs.

The mean distance to a few near rows finds what most detectors miss; over the local distance (as in LOF, Breunig et
al., 2000) it tells the edge of a loose crowd from a stranger beside a dense one. The reference is bounded, so that
scoring costs the same whatever was trained on; it lies in the bundle, as rows or as centroids.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np

from models.ranks import Ranks

Rows = np.ndarray[Any, np.dtype[np.float32]]
Matrix = np.ndarray[Any, np.dtype[np.float64]]
Places = np.ndarray[Any, np.dtype[np.intp]]

AT_ONCE = 1_024  # rows; always as many, filled up: a product of another shape rounds differently
GROUPS = 16
LOCAL_FLOOR = 0.1


@dataclass(frozen=True)
class Neighbours:
    """Reference rows, and what distance is usual around each.

    Args:
        reference: float32 [references, width], and with ranks as many more as are ranked.
        spread: Mean distance of each to its own near ones, float64 [references].
        count: How many near rows count.
        ranks: What gives a row's ranks, which stand behind its numbers; None where scales alone count.
    """

    reference: Rows
    spread: Matrix
    count: int
    ranks: Ranks | None = None

    def terms(self, rows: Rows, *, of: Places | None = None) -> tuple[Matrix, Matrix]:
        """What near rows say of rows [rows, width].

        Args:
            rows: Encoded rows.
            of: Where the reference has each of these very rows, [rows], and -1 where it has not: a row is no neighbour
                of itself.

        Returns:
            How far out each row is, [rows], 1 for a usual one; and the part of each number in its distance, [rows,
            width], which adds up to 1 or to 0.
        """
        far, parts = np.empty(len(rows)), np.empty(rows.shape)
        for start in range(0, len(rows), AT_ONCE):
            some = slice(start, start + AT_ONCE)
            lifted = lift(rows[some], self.ranks)
            far[some], squares = self._terms(lifted, None if of is None else of[some])
            parts[some] = squares[:, : rows.shape[1]]
            if self.ranks is not None:
                parts[some][:, self.ranks.at] += squares[:, rows.shape[1] :]
        return far, parts

    def _terms(self, rows: Rows, of: Places | None) -> tuple[Matrix, Matrix]:
        near = self.nearest(rows, of)
        # Once more, and exactly: the product above loses what is small beside the numbers themselves.
        squares = np.square(rows[:, None, :].astype(np.float64) - self.reference[near])
        distances = np.sqrt(squares.sum(axis=2))
        mean = distances.mean(axis=1)
        local = self.spread[near].mean(axis=1)
        far = mean * np.sqrt(mean / (local + self._floor)) / self._usual
        parts = squares.mean(axis=1)
        total = parts.sum(axis=1, keepdims=True)
        return far, np.divide(parts, total, out=np.zeros_like(parts), where=total > 0)

    @cached_property
    def _floor(self) -> float:
        """Distance below which no crowd counts as denser."""
        return float(max(np.median(self.spread) * LOCAL_FLOOR, 1e-9))

    @cached_property
    def _usual(self) -> float:
        """The middle of what the reference's own rows would get."""
        of_rows = self.spread * np.sqrt(self.spread / (self.spread + self._floor))
        return float(max(np.median(of_rows), self._floor))

    @cached_property
    def _blocks(self) -> tuple[Rows, Rows]:
        """The reference in groups of equal size: -2 times its rows [width, groups * size], and their squared norms."""
        count = -(-len(self.reference) // GROUPS) * GROUPS
        filled = np.zeros((count, self.reference.shape[1]), np.float32)
        filled[: len(self.reference)] = self.reference
        norms = np.full(count, np.inf, np.float32)
        norms[: len(self.reference)] = np.square(self.reference).sum(axis=1)
        return np.ascontiguousarray(-2.0 * filled.T), norms

    def nearest(self, rows: Rows, of: Places | None = None) -> Places:
        """The nearest references of at most `AT_ONCE` rows that have their ranks, [rows, count], in no order.

        The smallest of each group comes first, which costs one pass: the nearest `count` stand in the `count` groups
        whose smallest are smallest.

        Args:
            rows: As wide as the reference.
            of: See `terms`.
        """
        product, norms = self._blocks
        padded = np.zeros((AT_ONCE, rows.shape[1]), np.float32)
        padded[: len(rows)] = rows
        # Without the row's own square, which changes no order.
        distances = (padded @ product)[: len(rows)]
        distances += norms
        if of is not None:
            own = np.flatnonzero(of >= 0)
            distances[own, of[own]] = np.inf
        size = distances.shape[1] // GROUPS
        grouped = distances.reshape(len(rows), GROUPS, size)
        if size <= self.count:
            return np.argpartition(distances, self.count - 1, axis=1)[:, : self.count]
        smallest = grouped.min(axis=1)
        chosen = np.argpartition(smallest, self.count - 1, axis=1)[:, : self.count]
        among = (chosen[:, None, :] + size * np.arange(GROUPS)[None, :, None]).reshape(len(rows), -1)
        best = np.argpartition(np.take_along_axis(distances, among, axis=1), self.count - 1, axis=1)[:, : self.count]
        return np.take_along_axis(among, best, axis=1)


def fit_neighbours(
    rows: Rows,
    count: int,
    most: int,
    seed: int,
    kind: Literal["rows", "centroids"] = "rows",
    ranks: Ranks | None = None,
) -> tuple[Neighbours, Places]:
    """Choose a reference among rows, and measure it.

    Args:
        rows: Encoded rows, float32 [rows, width].
        count: How many near rows count.
        most: Most rows of the reference.
        seed: Decides which.
        kind: Rows as they are, or centroids of k-means (Lloyd, 1982), a fifth as many as rows, of which none is a row.
        ranks: What gives a row's ranks.

    Returns:
        The neighbours, and where the reference has each row, -1 where it has not.
    """
    places = np.full(len(rows), -1, np.intp)
    if kind == "centroids":
        reference = _centroids(lift(rows, ranks), max(count + 1, min(most, len(rows) // 5)), seed)
    else:
        chosen = np.sort(np.random.default_rng(seed).permutation(len(rows))[:most])
        places[chosen] = np.arange(len(chosen))
        reference = lift(rows[chosen], ranks)
    count = min(count, len(reference) - 1)
    draft = Neighbours(reference, np.ones(len(reference)), count)
    spread = np.empty(len(reference))
    for start in range(0, len(reference), AT_ONCE):
        some = np.arange(start, min(start + AT_ONCE, len(reference)))
        near = draft.nearest(reference[some], some)
        squares = np.square(reference[some, None, :].astype(np.float64) - reference[near])
        spread[some] = np.sqrt(squares.sum(axis=2)).mean(axis=1)
    return Neighbours(reference, spread, count, ranks), places


def lift(rows: Rows, ranks: Ranks | None) -> Rows:
    """Rows [rows, width] with their ranks behind them, where there are some."""
    return rows if ranks is None else np.concatenate([rows, ranks.of(rows)], axis=1)


def _centroids(rows: Rows, count: int, seed: int) -> Rows:
    from sklearn.cluster import MiniBatchKMeans

    found = MiniBatchKMeans(count, random_state=seed, n_init=1, batch_size=4_096).fit(rows)
    centroids: Rows = found.cluster_centers_.astype(np.float32)
    return centroids
