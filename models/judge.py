"""From an encoded row and its reconstruction to the parts of its score.

Residuals alone, or with the distance to near rows. These are different quantities; each is divided by its median over
usual rows. The inside of the score's logarithm is then their product, residuals to a power, and a column's part is the
mean of its shares in each, weighted by how much each decides. That power is the higher the fewer of all rows are in the
reference, since the autoencoders saw them all. A residual below the mean says little, as many an odd row is
reconstructed well: so the mean is added to it, and to a distance a twentieth of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from models.calibration import Matrix, ScoreMap
from models.nearest import Places
from models.neighbours import Neighbours, shares_of

NEAR_FLOOR, RESIDUAL_FLOOR = 0.05, 1.0  # of the mean: what is much smaller is as good as none
LEAST_FLOOR = 1e-6
LESS_WEIGHT = 0.25  # what the power of residuals, otherwise 1, loses where all rows are in the reference


@dataclass(frozen=True)
class Level:
    """A quantity of rows beside what is usual for it.

    Args:
        floor: Added before the logarithm.
        middle: Of the logarithms of usual rows.
        weight: The power to which the quantity enters.
    """

    floor: float
    middle: float
    weight: float = 1.0

    def of(self, values: Matrix) -> Matrix:
        """Levels [rows] of values [rows]: 0 for a usual row."""
        levels: Matrix = (np.log(values + self.floor) - self.middle) * self.weight
        return levels

    def says(self, values: Matrix) -> Matrix:
        """How much each of the values [rows] decides, [rows]: as good as nothing far below the floor."""
        decided: Matrix = self.weight * values / (values + self.floor)
        return decided


def fit_level(values: Matrix, floor: float, weight: float = 1.0) -> Level:
    """Learn a level from what usual rows have, float64 [rows], none of it negative; the floor in units of its mean."""
    added = max(float(np.mean(values)) * floor, LEAST_FLOOR)
    return Level(added, float(np.median(np.log(values + added))), weight)


@dataclass(frozen=True)
class Near:
    """Near rows beside residuals.

    Args:
        neighbours: The reference.
        distance: The level of the distance to it.
        residuals: The level of a row's residuals.
    """

    neighbours: Neighbours
    distance: Level
    residuals: Level


@dataclass(frozen=True)
class Judge:
    """What turns residuals, and distances where there are some, into a score's parts.

    Args:
        score_map: What residual is normal.
        near: Near rows; None where residuals alone count.
    """

    score_map: ScoreMap
    near: Near | None = None

    @property
    def neighbours(self) -> Neighbours | None:
        """The reference, if there is one."""
        return None if self.near is None else self.near.neighbours

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
        if self.near is None:
            return residuals
        far, parts = self.near.neighbours.terms(rows, of=of)
        left = residuals.sum(axis=1)
        inside = np.exp(self.near.distance.of(far) + self.near.residuals.of(left))
        parts = np.add.reduceat(parts, np.array(self.score_map.starts, dtype=np.intp), axis=1)
        shares = self.near.residuals.says(left)[:, None] * shares_of(residuals)
        shares += self.near.distance.says(far)[:, None] * parts
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
    residuals = fit_level(mean, RESIDUAL_FLOOR, 1.0 - LESS_WEIGHT * share)
    return Judge(score_map, Near(neighbours, fit_level(far, NEAR_FLOOR), residuals))
