"""From an encoded row and its reconstruction to the parts of its score.

Residuals alone, or with the distance to near rows. These are different quantities; each enters as its level, the
logarithm over the middle of usual rows, in units of how far usual rows rise above that middle. The inside of the
score's logarithm is then the exponential of the mean level, and a column's part is the mean of its shares in each.
Residuals weigh the more the fewer of all rows are in the reference, since the autoencoders saw them all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from models.calibration import Matrix, ScoreMap
from models.nearest import Places
from models.neighbours import Neighbours

FLOOR = 0.05  # of the middle: what is smaller than that is as good as none
LEAST_RISE = 0.1
LEAST_WEIGHT = 0.75  # of residuals, beside 1 for a view of near rows


@dataclass(frozen=True)
class Level:
    """A quantity of rows on a scale that all quantities share.

    Args:
        floor: Added before the logarithm.
        middle: Of the logarithms of usual rows.
        rise: By how much usual rows lie above that, root mean square over both halves alike.
        weight: In the mean of levels.
    """

    floor: float
    middle: float
    rise: float
    weight: float = 1.0

    def of(self, values: Matrix) -> Matrix:
        """Levels [rows] of values [rows]: 0 for a usual row."""
        levels: Matrix = (np.log(values + self.floor) - self.middle) / self.rise
        return levels


def fit_level(values: Matrix, weight: float = 1.0) -> Level:
    """Learn a level from what usual rows have, float64 [rows], none of it negative."""
    floor = max(float(np.median(values)) * FLOOR, 1e-9)
    logarithms = np.log(values + floor)
    middle = float(np.median(logarithms))
    rise = float(np.sqrt(2.0 * np.mean(np.square(np.maximum(logarithms - middle, 0.0)))))
    return Level(floor, middle, max(rise, LEAST_RISE), weight)


@dataclass(frozen=True)
class Judge:
    """What turns residuals, and distances where there are some, into a score's parts.

    Args:
        score_map: What residual is normal.
        neighbours: The reference; None where residuals alone count.
        levels: One for each of the reference's views, then one for residuals; none where these alone count.
    """

    score_map: ScoreMap
    neighbours: Neighbours | None = None
    levels: tuple[Level, ...] = ()

    def parts(
        self, rows: np.ndarray[Any, Any], reconstructed: np.ndarray[Any, Any], *, of: Places | None = None
    ) -> Matrix:
        """What each column adds, float64 [rows, columns]; a row's sum is `expm1` of its score.

        Args:
            rows: Encoded rows [rows, width].
            reconstructed: Their reconstructions [rows, width].
            of: Where the reference has these very rows; see `Neighbours.terms`.
        """
        residuals = self.score_map.parts(rows, reconstructed)
        if self.neighbours is None:
            return residuals
        far, squares = self.neighbours.terms(rows, of=of)
        mean = residuals.sum(axis=1)
        levels = [level.of(values) for level, values in zip(self.levels, (*far, mean), strict=True)]
        weights = [level.weight for level in self.levels]
        inside = np.exp(np.average(levels, axis=0, weights=weights))
        shares = np.divide(residuals, mean[:, None], out=np.zeros_like(residuals), where=mean[:, None] > 0)
        shares *= weights[-1]
        shares += np.add.reduceat(squares, np.array(self.score_map.starts, dtype=np.intp), axis=1)
        total = shares.sum(axis=1, keepdims=True)
        evenly = 1.0 / shares.shape[1]
        shares = np.divide(shares, total, out=np.full_like(shares, evenly), where=total > 0)
        found: Matrix = inside[:, None] * shares
        return found


def fit_judge(
    score_map: ScoreMap,
    neighbours: Neighbours,
    rows: np.ndarray[Any, Any],
    reconstructed: np.ndarray[Any, Any],
    of: Places,
    share: float,
) -> Judge:
    """Learn the levels of usual rows.

    Args:
        score_map: What residual is normal.
        neighbours: The reference.
        rows: Encoded rows [rows, width].
        reconstructed: Their reconstructions by what they did not teach, [rows, width].
        of: Where the reference has these very rows, [rows].
        share: Of all rows that there were, how many lie in the reference.
    """
    far, _ = neighbours.terms(rows, of=of)
    mean = score_map.parts(rows, reconstructed).sum(axis=1)
    levels = (*(fit_level(values) for values in far), fit_level(mean, LEAST_WEIGHT + 1.0 - share))
    return Judge(score_map, neighbours, levels)
