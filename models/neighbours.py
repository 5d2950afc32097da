"""How far a row lies from the training rows nearest to it, over how far these lie from theirs.

The mean distance to a few near rows finds what most detectors miss; over the local distance (as in LOF, Breunig et
al., 2000) it tells the edge of a loose crowd from a stranger beside a dense one. Near rows are sought twice, by the
scale of numbers and by their rank: each finds what the other does not. The reference is bounded, so that scoring costs
the same whatever was trained on; it lies in the bundle, as rows or as centroids.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np

from models.nearest import AT_ONCE, Nearest, Places, Rows
from models.ranks import Ranks

Matrix = np.ndarray[Any, np.dtype[np.float64]]

LOCAL_FLOOR = 0.1


@dataclass(frozen=True)
class View:
    """One space in which near rows are sought.

    Args:
        reference: float32 [references, numbers].
        spread: Mean distance of each to its own near ones, float64 [references].
        count: How many near rows count.
    """

    reference: Rows
    spread: Matrix
    count: int

    def terms(self, rows: Rows, own: Places | None) -> tuple[Matrix, Matrix]:
        """How far out each of at most `AT_ONCE` rows is, [rows], and what its numbers add to that, [rows, numbers].

        Args:
            rows: In this space.
            own: See `Nearest.of`.
        """
        near = self._search.of(rows, own)
        # Once more, and exactly: the search loses what is small beside the numbers themselves.
        squares = np.square(rows[:, None, :].astype(np.float64) - self.reference[near])
        mean = np.sqrt(squares.sum(axis=2)).mean(axis=1)
        local = self.spread[near].mean(axis=1)
        far: Matrix = mean * np.sqrt(mean / (local + self._floor))
        return far, squares.mean(axis=1)

    @cached_property
    def _search(self) -> Nearest:
        return Nearest(self.reference, self.count)

    @cached_property
    def _floor(self) -> float:
        """Distance below which no crowd counts as denser."""
        return float(max(np.median(self.spread) * LOCAL_FLOOR, 1e-9))


@dataclass(frozen=True)
class Neighbours:
    """Reference rows, and what distance is usual around each.

    Args:
        reference: float32 [references, width], and with ranks as many more as are ranked.
        spread: Mean distance of each to its own near ones, a column a view, float64 [references, views].
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
            How far out each row is in each view, [views, rows]; and the part of each number in that distance, [rows,
            width], added up over the views, each of which has parts that add up to 1 or to 0.
        """
        views = self._views
        far, parts = np.empty((len(views), len(rows))), np.zeros(rows.shape)
        for start in range(0, len(rows), AT_ONCE):
            some = slice(start, start + AT_ONCE)
            own = None if of is None else of[some]
            for place, view in enumerate(views):
                seen = rows[some] if place == 0 else _ranked(self.ranks, rows[some])
                far[place, some], squares = view.terms(seen, own)
                total = squares.sum(axis=1, keepdims=True)
                shares = np.divide(squares, total, out=np.zeros_like(squares), where=total > 0)
                parts[some][:, self._numbers(place)] += shares
        return far, parts

    def _numbers(self, place: int) -> Any:
        """Which numbers of a row a view looks at."""
        return slice(None) if place == 0 or self.ranks is None else self.ranks.at

    @cached_property
    def _views(self) -> tuple[View, ...]:
        references = _apart(self.reference, self.ranks)
        return tuple(View(reference, self.spread[:, place], self.count) for place, reference in enumerate(references))


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
    if ranks is not None and len(ranks.at) == 0:
        ranks = None
    if kind == "centroids":
        reference = _centroids(lift(rows, ranks), max(count + 1, min(most, len(rows) // 5)), seed)
    else:
        chosen = np.sort(np.random.default_rng(seed).permutation(len(rows))[:most])
        places[chosen] = np.arange(len(chosen))
        reference = lift(rows[chosen], ranks)
    count = min(count, len(reference) - 1)
    spread = np.column_stack([_spread(view, count) for view in _apart(reference, ranks)])
    return Neighbours(reference, spread, count, ranks), places


def lift(rows: Rows, ranks: Ranks | None) -> Rows:
    """Rows [rows, width] with their ranks behind them, where there are some."""
    return rows if ranks is None else np.concatenate([rows, ranks.of(rows)], axis=1)


def _ranked(ranks: Ranks | None, rows: Rows) -> Rows:
    return rows if ranks is None else ranks.of(rows)


def _apart(reference: Rows, ranks: Ranks | None) -> tuple[Rows, ...]:
    """A lifted reference view by view: on the scale, then by rank."""
    if ranks is None:
        return (reference,)
    width = reference.shape[1] - len(ranks.at)
    return np.ascontiguousarray(reference[:, :width]), np.ascontiguousarray(reference[:, width:])


def _spread(reference: Rows, count: int) -> Matrix:
    """Mean distance of each reference row to its own near ones, float64 [references]."""
    search = Nearest(reference, count)
    spread = np.empty(len(reference))
    for start in range(0, len(reference), AT_ONCE):
        some = np.arange(start, min(start + AT_ONCE, len(reference)))
        near = search.of(reference[some], some)
        squares = np.square(reference[some, None, :].astype(np.float64) - reference[near])
        spread[some] = np.sqrt(squares.sum(axis=2)).mean(axis=1)
    return spread


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
