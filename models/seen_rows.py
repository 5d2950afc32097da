"""What a detector makes of rows, seen from inside: their codes, their scores, and what each column adds to a score.

As in scoring, a row's numbers do not depend on other rows, and neither Keras nor TensorFlow is needed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from models.bundle import BundleContents
from models.calibration import Matrix, scores_of
from models.scoring import Reconstructor, Scorer

if TYPE_CHECKING:
    import pandas as pd

Codes = np.ndarray[Any, np.dtype[np.float32]]


@dataclass(frozen=True)
class SeenRows:
    """Rows as a detector sees them.

    Args:
        codes: What its encoder gives, float32 [rows, code]; None where the bundle has no encoder by itself.
        score: Float64 [rows]; high is anomalous.
        parts: What each column adds to a row's score before the logarithm, float64 [rows, columns].
    """

    codes: Codes | None
    score: Matrix
    parts: Matrix

    def of(self, rows: Any) -> SeenRows:
        """Some of the rows, by mask, slice or places."""
        codes = None if self.codes is None else self.codes[rows]
        return SeenRows(codes, self.score[rows], self.parts[rows])


class Eye:
    """Looks at rows through a bundle.

    Args:
        bundle: What it holds.

    Raises:
        BundleError: When ONNX Runtime cannot open one of its graphs.
    """

    def __init__(self, bundle: BundleContents) -> None:
        self._bundle = bundle
        self._scorer = Scorer(bundle)
        self._encode = None if bundle.encoder is None else Reconstructor(bundle.encoder)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that a frame must have, in the order of `SeenRows.parts`."""
        return self._bundle.transform.columns

    def look(self, frame: pd.DataFrame) -> SeenRows:
        """Encode, reconstruct and judge rows.

        Args:
            frame: Has the detector's columns, in any order, with any others.

        Raises:
            UnreadableInput: When columns are missing.
        """
        rows = self._bundle.transform.apply(frame)
        _, parts = self._scorer.look(rows)
        return SeenRows(None if self._encode is None else self._encode(rows), scores_of(parts), parts)
