"""From an encoded row and its reconstruction to the parts of its score.

Residuals alone, or with the distance to near rows: the inside of the logarithm is then how far out the row lies times
the root of its mean squared residual, and a column's part is half its share of the residuals, half its share of the
distance.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from models.calibration import Matrix, ScoreMap
from models.neighbours import Neighbours, Places

FLOOR = 0.01  # of what a usual row has: a perfect reconstruction does not excuse a distant row, nor the reverse


@dataclass(frozen=True)
class Judge:
    """What turns residuals, and distances where there are some, into a score's parts.

    Args:
        score_map: What residual is normal.
        neighbours: The reference; None where residuals alone count.
    """

    score_map: ScoreMap
    neighbours: Neighbours | None = None

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
        inside = (far + FLOOR) * np.sqrt(mean + FLOOR)
        shares = np.divide(residuals, mean[:, None], out=np.zeros_like(residuals), where=mean[:, None] > 0)
        shares += np.add.reduceat(squares, np.array(self.score_map.starts, dtype=np.intp), axis=1)
        total = shares.sum(axis=1, keepdims=True)
        evenly = 1.0 / shares.shape[1]
        shares = np.divide(shares, total, out=np.full_like(shares, evenly), where=total > 0)
        found: Matrix = inside[:, None] * shares
        return found
