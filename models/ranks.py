"""Numbers by their rank in a sample: a normal deviate beside the place on the scale.

A heavy tail leaves the many that are usual no room on a scale; by rank they have it. Neither view finds all that the
other does, so near rows are sought in both. Ranks are known at the ends and the quartiles, and go evenly between them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from models.numeric_encoder import deviates_of

KNOTS = 5  # with many more, ranks follow every crowd of the sample, and less is found
BEYOND = 10.0  # steps of the deviate's logarithm over the sample's range
LEAST_VALUES = 2  # of a yes or no a rank says how rare it is, where the scale is bounded or none

Rows = np.ndarray[Any, np.dtype[np.float32]]
Matrix = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class Ranks:
    """Where numbers stand among a sample's.

    Args:
        at: Which numbers of a row, int64 [ranked].
        knots: Values at evenly spaced ranks, one row a number, ascending, float64 [ranked, knots].
        center: Mean of the sample's deviates, which ties move, float64 [ranked].
        scale: Their deviation, float64 [ranked].
    """

    at: np.ndarray[Any, np.dtype[np.int64]]
    knots: Matrix
    center: Matrix
    scale: Matrix

    def of(self, rows: np.ndarray[Any, Any]) -> Rows:
        """Deviates, float32 [rows, ranked], of encoded rows [rows, width]; they grow slowly beyond the sample."""
        found = np.empty((len(rows), len(self.at)), dtype=np.float32)
        for place, (at, (distinct, middle)) in enumerate(zip(self.at, self._maps, strict=True)):
            numbers = rows[:, at].astype(np.float64)
            step = max(distinct[-1] - distinct[0], 1e-9) / BEYOND
            deviates = np.interp(numbers, distinct, middle)
            deviates += np.log1p(np.maximum(numbers - distinct[-1], 0.0) / step)
            deviates -= np.log1p(np.maximum(distinct[0] - numbers, 0.0) / step)
            found[:, place] = (deviates - self.center[place]) / self.scale[place]
        return found

    @cached_property
    def _maps(self) -> list[tuple[Matrix, Matrix]]:
        """Each number's distinct knots, and the middle of the deviates of equal ones."""
        return [_map(knots) for knots in self.knots]


def _map(knots: Matrix) -> tuple[Matrix, Matrix]:
    distinct, where = np.unique(knots, return_inverse=True)
    return distinct, np.bincount(where, weights=deviates_of(len(knots))) / np.bincount(where)


def fit_ranks(rows: Rows) -> Ranks:
    """Ranks of a sample's numbers, float32 [rows, width]; those that never vary have none."""
    at = np.array([at for at in range(rows.shape[1]) if len(np.unique(rows[:, at])) >= LEAST_VALUES], dtype=np.int64)
    knots = np.quantile(rows[:, at].astype(np.float64), np.linspace(0.0, 1.0, KNOTS), axis=0).T
    plain = Ranks(at, knots, np.zeros(len(at)), np.ones(len(at)))
    deviates = plain.of(rows).astype(np.float64)
    scale = deviates.std(axis=0)
    return Ranks(at, knots, deviates.mean(axis=0), np.where(scale > 1e-9, scale, 1.0))
