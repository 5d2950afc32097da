"""k-means: how far a row lies from the nearest of a few centroids."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from models.calibration import Matrix
from models.nearest import Nearest
from models.rivals import Arrays, Given, Rival, Rows, register, shaped

CLUSTERS = 32
ROWS_A_CLUSTER = 20


@register
@dataclass(frozen=True)
class KMeans(Rival):
    """Squared distance to the nearest centroid (Lloyd, 1982).

    Args:
        centroids: float32 [clusters, width].
    """

    centroids: Rows

    name = "k_means"
    title = "k-means"

    @classmethod
    def fit(cls, given: Given) -> Self:
        """See `Rival.fit`."""
        from sklearn.cluster import MiniBatchKMeans

        rows = given.fit
        clusters = max(2, min(CLUSTERS, len(rows) // ROWS_A_CLUSTER))
        found = MiniBatchKMeans(clusters, random_state=given.seed % 2**32, n_init=1, batch_size=4_096).fit(rows)
        return cls(given.starts, found.cluster_centers_.astype(np.float32))

    @classmethod
    def read(cls, arrays: Arrays, starts: tuple[int, ...], width: int) -> Self:
        """See `Rival.read`."""
        return cls(starts, shaped(arrays, "centroids", [None, width]).astype(np.float32))

    def arrays(self) -> dict[str, np.ndarray[Any, Any]]:
        """See `Rival.arrays`."""
        return {"centroids": self.centroids}

    def look_at(self, rows: Rows) -> tuple[Rows, Matrix]:
        """See `Rival.look_at`; a column's part is its squared difference to the centroid."""
        near = Nearest(self.centroids, 1).of(rows)[:, 0]
        expected = self.centroids[near]
        return expected, self.by_column(np.square(rows.astype(np.float64) - expected))
