"""The tail beyond what calibration scores can say: peaks over a threshold, as a generalised Pareto distribution.

Above a high quantile the excesses of nearly any distribution are generalised Pareto (Pickands, 1975), which is what
lets one ask for a risk below one in the number of rows (Siffer et al., 2017). It is fitted by probability-weighted
moments (Hosking and Wallis, 1987): in closed form, and steadier than maximum likelihood where excesses are few.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

Matrix = np.ndarray[Any, np.dtype[np.float64]]

TAIL_ROWS = 100
FEW_DIFFERENT = 20
SHAPES = (0.0, 0.5)
"""A shape below 0 would end the tail near the highest score, one above 0.5 has no variance to be fitted by."""


@dataclass(frozen=True)
class Tail:
    """A generalised Pareto tail.

    Args:
        start: The score above which it begins.
        share: Share of usual rows above the start.
        scale: Scale of the excesses, above 0.
        shape: Their shape; 0 is an exponential tail.
    """

    start: float
    share: float
    scale: float
    shape: float

    def score_at(self, risk: float) -> float:
        """The score above which a usual row lies with a chance of `risk`, at most the tail's share."""
        times = math.log(self.share / risk)
        if self.shape == 0.0:
            return self.start + self.scale * times
        return self.start + self.scale * math.expm1(self.shape * times) / self.shape


def least_rows(rows: int) -> int:
    """How many of so many calibration scores make the tail at least: a tenth, until they are `TAIL_ROWS`."""
    return max(1, min(TAIL_ROWS, rows // 10))


def fit_tail(calibration: Matrix, rows: int) -> Tail:
    """Fit the tail of the highest scores.

    Args:
        calibration: Sorted calibration scores.
        rows: How many of the highest make it; fewer where some of them equal the score at which it begins.
    """
    rows = max(1, min(rows, len(calibration) - 1))
    start = float(calibration[-rows - 1]) if len(calibration) > rows else float(calibration[0])
    excesses = calibration[np.searchsorted(calibration, start, side="right") :] - start
    if len(excesses) == 0:
        return Tail(start, 1.0 / len(calibration), 0.0, 0.0)
    scale, shape = fit_excesses(excesses)
    return Tail(start, len(excesses) / len(calibration), scale, shape)


def fit_excesses(excesses: Matrix) -> tuple[float, float]:
    """Scale and shape of sorted excesses above 0; an exponential tail where too few of them differ."""
    mean = float(excesses.mean())
    if len(np.unique(excesses)) < FEW_DIFFERENT:
        return mean, 0.0
    places = (np.arange(1, len(excesses) + 1) - 0.35) / len(excesses)
    weighted = float(((1.0 - places) * excesses).mean())
    shape = 2.0 - mean / (mean - 2.0 * weighted) if mean > 2.0 * weighted else -np.inf
    shape = float(np.clip(shape, *SHAPES))
    return mean * (1.0 - shape), shape  # where the shape meets a bound, the mean still holds
