"""Numbers on a scale that is bent: by their rank in a sample, and partly by their place on the scale.

A heavy tail leaves the many that are usual no room on a scale, and by rank alone what is far beyond is hardly farther
than what is just beyond. Ranks are known at the ends and the tertiles of the sample, and go evenly between them; with
many more knots they follow every crowd, and less is found.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from models.numeric_encoder import deviates_of

KNOTS = 4
BEYOND = 10.0  # steps of the deviate's logarithm over the sample's range
SCALE = 0.25  # of the place on the scale, beside 1 of the deviate

Rows = np.ndarray[Any, np.dtype[np.float32]]
Matrix = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class Ranks:
    """Where numbers stand among a sample's.

    Args:
        at: Which numbers of a row varied in it, int64 [ranked].
        knots: Values at evenly spaced ranks, one row a number, ascending, float64 [ranked, knots].
        center: Mean of the sample's deviates, which ties move, float64 [ranked].
        scale: Their deviation, float64 [ranked].
        beside: How much of the place on the scale counts beside 1 of the deviate.
        beyond: Steps of the deviate's logarithm over the sample's range.
    """

    at: np.ndarray[Any, np.dtype[np.int64]]
    knots: Matrix
    center: Matrix
    scale: Matrix
    beside: float = SCALE
    beyond: float = BEYOND

    def bend(self, rows: np.ndarray[Any, Any]) -> Rows:
        """Encoded rows, [rows, width], on the bent scale, float32 [rows, width].

        Of a number that never varied, which has no rank, the place on the scale is left.
        """
        bent = (self.beside * rows).astype(np.float32)
        bent[:, self.at] += self.of(rows)
        return bent

    def of(self, rows: np.ndarray[Any, Any]) -> Rows:
        """Deviates, float32 [rows, ranked], of encoded rows [rows, width]; they grow slowly beyond the sample."""
        found = np.empty((len(rows), len(self.at)), dtype=np.float32)
        for place, (at, (distinct, middle)) in enumerate(zip(self.at, self._maps, strict=True)):
            numbers = rows[:, at].astype(np.float64)
            step = max(distinct[-1] - distinct[0], 1e-9) / self.beyond
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
    at = np.flatnonzero((rows != rows[:1]).any(axis=0)).astype(np.int64)
    knots = np.quantile(rows[:, at].astype(np.float64), np.linspace(0.0, 1.0, KNOTS), axis=0).T
    plain = Ranks(at, knots, np.zeros(len(at)), np.ones(len(at)))
    deviates = plain.of(rows).astype(np.float64)
    scale = deviates.std(axis=0)
    return Ranks(at, knots, deviates.mean(axis=0), np.where(scale > 1e-9, scale, 1.0))
