"""What a detector must beat to be worth its cost: plain methods on the same numbers, numpy alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from models.calibration import Matrix, ScoreMap, fit_score_map, scores_of
from models.transform import Transform

EXPLAINED = 0.95


@dataclass(frozen=True)
class PcaBaseline:
    """Reconstruction by principal components, scored like an autoencoder's.

    Args:
        mean: [width].
        components: Orthonormal rows, [rank, width].
        score_map: Residuals to parts of a score.
    """

    mean: Matrix
    components: Matrix
    score_map: ScoreMap

    def score(self, rows: np.ndarray[Any, Any]) -> Matrix:
        """Scores [rows] of encoded rows [rows, width]; high is anomalous."""
        return scores_of(self.score_map.parts(rows, project(rows, self.mean, self.components)))


def fit_pca(
    rows: np.ndarray[Any, Any], held_out: np.ndarray[Any, Any], transform: Transform, explained: float = EXPLAINED
) -> PcaBaseline:
    """Fit principal components.

    Args:
        rows: Encoded rows to learn from, [rows, width].
        held_out: Encoded rows that say which residual is normal, [rows, width].
        transform: What encoded them.
        explained: Share of the variance that the kept components explain.
    """
    mean: Matrix = rows.mean(axis=0, dtype=np.float64)
    centred = rows.astype(np.float64) - mean
    variances, vectors = np.linalg.eigh(centred.T @ centred / max(len(rows), 1))
    variances, vectors = np.maximum(variances[::-1], 0.0), vectors[:, ::-1]
    reached = np.cumsum(variances) >= explained * variances.sum()
    rank = min(int(np.argmax(reached)) + 1, max(1, rows.shape[1] - 1))
    components: Matrix = vectors[:, :rank].T
    starts = [group.start for group in transform.groups.values()]
    score_map = fit_score_map(held_out, project(held_out, mean, components), transform.weights, starts)
    return PcaBaseline(mean, components, score_map)


def project(rows: np.ndarray[Any, Any], mean: Matrix, components: Matrix) -> Matrix:
    """Reconstruct encoded rows [rows, width] from their principal components."""
    projected: Matrix = (rows.astype(np.float64) - mean) @ components.T @ components + mean
    return projected
