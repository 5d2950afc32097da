"""The rows of a bounded reference that are nearest to others: exact, and the same for a row in any company."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

Rows = np.ndarray[Any, np.dtype[np.float32]]
Places = np.ndarray[Any, np.dtype[np.intp]]

AT_ONCE = 512  # rows; always as many, filled up: a product of another shape rounds differently
GROUPS = 16


@dataclass(frozen=True)
class Nearest:
    """A search among reference rows.

    Args:
        reference: float32 [references, width].
        count: How many are looked for; fewer than there are.
    """

    reference: Rows
    count: int

    def of(self, rows: Rows, own: Places | None = None) -> Places:
        """The nearest references of at most `AT_ONCE` rows, [rows, count], the nearest first.

        The smallest of each group comes first, which costs one pass: the nearest `count` stand in the `count` groups
        whose smallest are smallest.

        Args:
            rows: As wide as the reference.
            own: Where the reference has each of these very rows, -1 where it has not; none where it has none of them.
        """
        padded = np.zeros((AT_ONCE, rows.shape[1] + 1), np.float32)
        padded[: len(rows), :-1] = rows
        padded[:, -1] = 1.0
        # Without the row's own square, which changes no order.
        distances = (padded @ self._product)[: len(rows)]
        if own is not None:
            among = np.flatnonzero(own >= 0)
            distances[among, own[among]] = np.inf
        size = distances.shape[1] // GROUPS
        if size <= self.count:
            return _least(distances, self.count)
        chosen = _least(distances.reshape(len(rows), GROUPS, size).min(axis=1), self.count)
        places = (chosen[:, None, :] + size * np.arange(GROUPS)[None, :, None]).reshape(len(rows), -1)
        best = _least(np.take_along_axis(distances, places, axis=1), self.count)
        return np.take_along_axis(places, best, axis=1)

    @cached_property
    def _product(self) -> Rows:
        """-2 times the reference over its squared norms, [width + 1, groups * size]; filled up with what is nowhere."""
        count = -(-len(self.reference) // GROUPS) * GROUPS
        product = np.zeros((self.reference.shape[1] + 1, count), np.float32)
        product[:-1, : len(self.reference)] = -2.0 * self.reference.T
        product[-1] = np.inf
        product[-1, : len(self.reference)] = np.square(self.reference).sum(axis=1)
        return product


def _least(values: Rows, count: int) -> Places:
    """Places of the smallest of each row, [rows, count], ascending; the values are used up."""
    places = np.empty((len(values), count), np.intp)
    rows = np.arange(len(values))
    for at in range(count):
        places[:, at] = values.argmin(axis=1)
        values[rows, places[:, at]] = np.inf
    return places
