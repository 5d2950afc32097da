"""What people labelled, as rows that a challenger and the champion rank."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date as Date
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

    from schemas.dataset import Dataset
    from tasks.services import Services

LEAST_OF_EACH = 20


@dataclass(frozen=True)
class Labelled:
    """Rows that people labelled.

    Args:
        rows: A frame with the columns that detectors read.
        is_anomaly: What was said of each, bool [rows].
    """

    rows: pd.DataFrame
    is_anomaly: np.ndarray[Any, np.dtype[np.bool_]]

    @property
    def of_each(self) -> tuple[int, int]:
        """How many anomalies there are, and how many others."""
        anomalies = int(np.sum(self.is_anomaly))
        return anomalies, len(self.is_anomaly) - anomalies

    @property
    def is_enough(self) -> bool:
        """Whether they are enough of each sort to compare detectors."""
        return min(self.of_each) >= LEAST_OF_EACH


def labels_before(services: Services, dataset: Dataset, before: Date) -> Labelled | None:
    """What people said of rows of nights before one, with what these held when it was said.

    Args:
        services: The stores.
        dataset: The dataset.
        before: The night.

    Returns:
        None where nothing was said.
    """
    from tasks.labels import MOST_LABELS, labelled_frame

    said = services.state.labels(dataset.name, before=before, most=MOST_LABELS)
    if not said:
        return None
    columns = [feature.column for feature in dataset.features]
    rows = labelled_frame(dataset, [label.row.values for label in said], columns)
    return Labelled(rows, np.array([label.row.word == "anomaly" for label in said], dtype=bool))
