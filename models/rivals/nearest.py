"""k nearest neighbours: how far a row lies from the training rows nearest to it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np

from models.calibration import Matrix
from models.nearest import Nearest as Search
from models.rivals import Arrays, Given, Rival, Rows, register, shaped

COUNT = 5


@dataclass(frozen=True)
class Near:
    """The rows of a reference that are nearest to rows.

    Args:
        places: Where the reference has them, [rows, count].
        squares: Squared differences, float64 [rows, count, width].
        distances: float64 [rows, count].
    """

    places: np.ndarray[Any, np.dtype[np.intp]]
    squares: Matrix
    distances: Matrix


def near_rows(search: Search, rows: Rows, of: np.ndarray[Any, Any] | None = None) -> Near:
    """Find the nearest rows of a reference, and how far each is.

    Args:
        search: Among the reference.
        rows: At most `AT_ONCE` rows, float32 [rows, width].
        of: Where the reference has these very rows, which are no neighbours of themselves.
    """
    places = search.of(rows, of)
    squares = np.square(rows[:, None, :].astype(np.float64) - search.reference[places])
    return Near(places, squares, np.sqrt(squares.sum(axis=2)))


@register
@dataclass(frozen=True)
class Nearest(Rival):
    """Mean distance to the five nearest rows (Angiulli and Pizzuti, 2002).

    Args:
        reference: Rows that it learned from, float32 [references, width].
        count: How many near rows count.
    """

    reference: Rows
    count: int

    name = "nearest"
    title = "k nearest neighbours"

    @classmethod
    def fit(cls, given: Given) -> Self:
        """See `Rival.fit`."""
        rows = given.fit
        return cls(given.starts, rows, min(COUNT, len(rows) - 1))

    @classmethod
    def read(cls, arrays: Arrays, starts: tuple[int, ...], width: int) -> Self:
        """See `Rival.read`."""
        reference = shaped(arrays, "reference", [None, width]).astype(np.float32)
        return cls(starts, reference, count_in(arrays, len(reference)))

    def arrays(self) -> dict[str, np.ndarray[Any, Any]]:
        """See `Rival.arrays`."""
        return {"reference": self.reference, "count": np.array([self.count])}

    @cached_property
    def _search(self) -> Search:
        return Search(self.reference, self.count)

    def look_at(self, rows: Rows) -> tuple[Rows, Matrix]:
        """See `Rival.look_at`; the distance is dealt out by squared differences, what is expected is their middle."""
        near = near_rows(self._search, rows)
        expected = self.reference[near.places].mean(axis=1, dtype=np.float64).astype(np.float32)
        return expected, self.shared(near.distances.mean(axis=1), self.by_column(near.squares.mean(axis=1)))


def count_in(arrays: Arrays, references: int) -> int:
    """How many near rows count.

    Raises:
        ValueError: When they are more than the reference has.
    """
    count = int(shaped(arrays, "count", [1])[0])
    if not 0 < count < references:
        raise ValueError("the rival names more neighbours than its reference has")
    return count
