"""From reconstruction to score, p-value and alert: frozen arithmetic in float64.

A row's score is log(1 + m), m the mean over columns of squared residuals divided by what is normal for each number, so
a score of a night means the same as that of any other night.

The p-value is conformal (Vovk et al., 2005) on held-out rows: (1 + calibration scores at or above) / (rows + 1). The
calibration scores are *not* trimmed for contamination: the alert budget counts a usual night as it comes, and a p-value
that errs is too large, never too small. What is trimmed is the training.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from models.tails import fit_tail, least_rows

Matrix = np.ndarray[Any, np.dtype[np.float64]]

DIGITS = 9
FLOOR = 2e-3  # below, numbers that hardly vary would fill the explanations with differences that nobody sees


@dataclass(frozen=True)
class ScoreMap:
    """Residuals to parts of a score.

    Args:
        factors: What each squared residual is multiplied with, [width]: weight within its column over normal variance.
        starts: Where each column's numbers start, [columns].
    """

    factors: tuple[float, ...]
    starts: tuple[int, ...]

    def parts(self, rows: np.ndarray[Any, Any], reconstructed: np.ndarray[Any, Any]) -> Matrix:
        """What each column adds to the mean, float64 [rows, columns]; a row's sum is `expm1` of its score."""
        residuals = rows.astype(np.float64) - reconstructed.astype(np.float64)
        squares = residuals * residuals * np.array(self.factors)
        columns: Matrix = np.add.reduceat(squares, np.array(self.starts, dtype=np.intp), axis=1)
        return columns / len(self.starts)


def fit_score_map(
    rows: np.ndarray[Any, Any],
    reconstructed: np.ndarray[Any, Any],
    weights: Matrix,
    starts: Sequence[int],
) -> ScoreMap:
    """Learn what residual is normal for each number, on held-out rows.

    Args:
        rows: Encoded rows [rows, width].
        reconstructed: Their reconstructions [rows, width].
        weights: How much each number counts within its column, [width].
        starts: Where each column's numbers start, [columns].
    """
    residuals = rows.astype(np.float64) - reconstructed.astype(np.float64)
    squares: Matrix = residuals * residuals
    factors = weights / np.maximum(squares.sum(axis=0) / len(squares), FLOOR)
    return ScoreMap(tuple(factors.tolist()), tuple(int(start) for start in starts))


def scores_of(parts: Matrix) -> Matrix:
    """Scores [rows] of parts [rows, columns]; rounded, so that the last bits of another machine do not show."""
    scores: Matrix = np.round(np.log1p(parts.sum(axis=1)), DIGITS)
    return scores


def p_values(scores: Matrix, calibration: Matrix) -> Matrix:
    """Conformal p-values [rows] against sorted calibration scores."""
    at_or_above = len(calibration) - np.searchsorted(calibration, scores, side="left")
    values: Matrix = np.asarray((1.0 + at_or_above) / (len(calibration) + 1.0), dtype=np.float64)
    return values


def threshold_for(calibration: Matrix, share: float) -> float:
    """The score above which a row is an alert, for a wished share of alerts among a usual night's rows.

    It lies midway between two neighbouring calibration scores, so that none equals it. A share below one calibration
    row is beyond what they can say: the tail of the largest ones is then followed further out.

    Args:
        calibration: Sorted calibration scores.
        share: Alert budget over the rows of a usual night.
    """
    above = int(min(share, 1.0) * len(calibration))
    if above < 1:
        return score_beyond(calibration, share)
    if above >= len(calibration):
        return float(calibration[0]) - 1.0
    upper = int(np.searchsorted(calibration, calibration[-above - 1], side="right"))
    if upper == len(calibration):
        return float(calibration[-1]) + 10.0**-DIGITS
    return float(calibration[upper - 1] + calibration[upper]) / 2.0


def score_beyond(calibration: Matrix, share: float) -> float:
    """Where the tail of the highest scores leaves a share below one calibration row; above all of them.

    Args:
        calibration: Sorted calibration scores.
        share: Above 0.
    """
    tail = fit_tail(calibration, least_rows(len(calibration)))
    return max(tail.score_at(share), float(calibration[-1]) + 10.0**-DIGITS)
