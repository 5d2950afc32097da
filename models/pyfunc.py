"""MLflow's loader module: `mlflow.pyfunc.load_model("models:/NAME@champion").predict(frame)`, without TensorFlow."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.scoring import Scorer
from schemas.errors import BundleError

if TYPE_CHECKING:
    import pandas as pd


class Detector:
    """A bundle with the method that MLflow calls.

    Args:
        scorer: The bundle, ready to score.
    """

    def __init__(self, scorer: Scorer) -> None:
        self._scorer = scorer

    def predict(self, frame: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Score rows.

        Args:
            frame: Has the detector's columns, typed as the contract says, in any order, with any others.
            params: MLflow's; none is known.

        Returns:
            score (float64), p_value (float64), is_alert (bool), with the frame's index.

        Raises:
            UnreadableInput: Columns are missing.
        """
        import pandas as pd

        del params
        found = self._scorer.score(frame, top=0)
        columns = {"score": found.score, "p_value": found.p_value, "is_alert": found.is_alert}
        return pd.DataFrame(columns, index=frame.index)


def _load_pyfunc(path: str) -> Detector:
    """Open a bundle, whose folder is named by its hash.

    Raises:
        BundleError: It was changed since it was registered.
    """
    folder = Path(path)
    if len(folder.name) != 64:
        raise BundleError(f"{folder}: a bundle's folder is named by its hash.", hint="load it as it was registered")
    return Detector(Scorer(folder, folder.name))
