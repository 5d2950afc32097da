"""Principal components: a row is reconstructed from the few directions that explain most of the variance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from models.baselines import PcaBaseline, fit_pca, project
from models.calibration import Matrix, ScoreMap
from models.rivals import Arrays, Given, Rival, Rows, register, shaped


@register
@dataclass(frozen=True)
class Pca(Rival):
    """Residuals of principal components (Shyu et al., 2003), scored like an autoencoder's.

    Args:
        baseline: Mean, components, and what residual is normal.
    """

    baseline: PcaBaseline

    name = "pca"
    title = "PCA"

    @classmethod
    def fit(cls, given: Given) -> Self:
        """See `Rival.fit`."""
        return cls(given.starts, fit_pca(given.fit, given.stop, given.transform))

    @classmethod
    def read(cls, arrays: Arrays, starts: tuple[int, ...], width: int) -> Self:
        """See `Rival.read`."""
        mean, components = shaped(arrays, "mean", [width]), shaped(arrays, "components", [None, width])
        factors = tuple(shaped(arrays, "factors", [width]).tolist())
        return cls(starts, PcaBaseline(mean, components, ScoreMap(factors, starts)))

    def arrays(self) -> dict[str, np.ndarray[Any, Any]]:
        """See `Rival.arrays`."""
        own = self.baseline
        return {"mean": own.mean, "components": own.components, "factors": np.array(own.score_map.factors)}

    def look_at(self, rows: Rows) -> tuple[Rows, Matrix]:
        """See `Rival.look_at`; a column's part is its squared residual over what is normal."""
        projected = project(rows, self.baseline.mean, self.baseline.components)
        return projected.astype(np.float32), self.baseline.score_map.parts(rows, projected)
