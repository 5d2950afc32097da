"""Local outlier factor: how much sparser it is around a row than around the rows nearest to it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np

from models.calibration import Matrix
from models.nearest import AT_ONCE
from models.nearest import Nearest as Search
from models.rivals import Arrays, Given, Rival, Rows, register, shaped
from models.rivals.nearest import Near, count_in, near_rows

COUNT = 20
LEAST_REACH = 1e-10  # as scikit-learn: rows that are there many times would have no density else


@register
@dataclass(frozen=True)
class Lof(Rival):
    """Local outlier factor over twenty neighbours (Breunig et al., 2000), for rows that it did not learn from.

    Args:
        reference: Rows that it learned from, float32 [references, width].
        reach: Distance of each to its farthest neighbour that counts, float64 [references].
        density: Local reachability density of each, float64 [references].
        count: How many near rows count.
    """

    reference: Rows
    reach: Matrix
    density: Matrix
    count: int

    name = "lof"
    title = "LOF"

    @classmethod
    def fit(cls, given: Given) -> Self:
        """See `Rival.fit`."""
        rows = given.fit
        count = min(COUNT, len(rows) - 1)
        among = Search(rows, count)
        blocks = [np.arange(start, min(start + AT_ONCE, len(rows))) for start in range(0, len(rows), AT_ONCE)]
        places, distances = [], []
        for block in blocks:
            near = near_rows(among, rows[block], block)
            places.append(near.places)
            distances.append(near.distances)
        near_places, near_distances = np.concatenate(places), np.concatenate(distances)
        reach: Matrix = near_distances.max(axis=1)
        density = 1.0 / (np.maximum(near_distances, reach[near_places]).mean(axis=1) + LEAST_REACH)
        return cls(given.starts, rows, reach, density, count)

    @classmethod
    def read(cls, arrays: Arrays, starts: tuple[int, ...], width: int) -> Self:
        """See `Rival.read`."""
        reference = shaped(arrays, "reference", [None, width]).astype(np.float32)
        reach, density = (shaped(arrays, name, [len(reference)]) for name in ("reach", "density"))
        return cls(starts, reference, reach, density, count_in(arrays, len(reference)))

    def arrays(self) -> dict[str, np.ndarray[Any, Any]]:
        """See `Rival.arrays`."""
        return {
            "reference": self.reference,
            "reach": self.reach,
            "density": self.density,
            "count": np.array([self.count]),
        }

    @cached_property
    def _search(self) -> Search:
        return Search(self.reference, self.count)

    def factor(self, near: Near) -> Matrix:
        """The local outlier factor of rows, [rows]."""
        own = 1.0 / (np.maximum(near.distances, self.reach[near.places]).mean(axis=1) + LEAST_REACH)
        factor: Matrix = self.density[near.places].mean(axis=1) / own
        return factor

    def look_at(self, rows: Rows) -> tuple[Rows, Matrix]:
        """See `Rival.look_at`; the factor is dealt out by squared differences to the near rows."""
        near = near_rows(self._search, rows)
        expected = self.reference[near.places].mean(axis=1, dtype=np.float64).astype(np.float32)
        return expected, self.shared(self.factor(near), self.by_column(near.squares.mean(axis=1)))
