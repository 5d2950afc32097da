"""What people labelled, as rows that a challenger and the champion rank."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date as Date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from schemas.tables import accepted_schema

if TYPE_CHECKING:
    import pandas as pd

    from schemas.dataset import Dataset
    from tasks.services import Services

LEAST_OF_EACH = 20
MOST_LABELS = 5_000


@dataclass(frozen=True)
class RowLabel:
    """What a person said of one row.

    Args:
        night: The night of the row.
        key: Its key, as `sereno_key` has it.
        label: `anomaly`, or why it is none: `false_alarm`, `expected`.
    """

    night: Date
    key: str
    label: str


@dataclass(frozen=True)
class Labelled:
    """Rows that people labelled.

    Args:
        rows: A frame with the dataset's columns, or a Parquet file of one.
        is_anomaly: What was said of each, bool [rows].
    """

    rows: pd.DataFrame | Path
    is_anomaly: np.ndarray[Any, np.dtype[np.bool_]]

    def frame(self) -> pd.DataFrame:
        """The rows."""
        import pandas as pd

        return pd.read_parquet(self.rows) if isinstance(self.rows, Path) else self.rows

    @property
    def of_each(self) -> tuple[int, int]:
        """How many anomalies there are, and how many others."""
        anomalies = int(np.sum(self.is_anomaly))
        return anomalies, len(self.is_anomaly) - anomalies

    @property
    def is_enough(self) -> bool:
        """Whether they are enough of each sort to compare detectors."""
        return min(self.of_each) >= LEAST_OF_EACH


def labels_in_state(services: Services, dataset: Dataset, before: Date) -> Sequence[RowLabel]:
    """What people said of a dataset's rows on nights before one, by the state; the newest labels count."""
    said = services.state.labels(dataset.name, before=before, most=MOST_LABELS, values=False)
    return [RowLabel(label.night, label.row.key, label.row.word) for label in said]


def labelled_rows(services: Services, dataset: Dataset, labels: Sequence[RowLabel]) -> Labelled | None:
    """The rows that were labelled, read from the lake at the versions that the state pins; the newest labels count.

    Args:
        services: The stores.
        dataset: The dataset.
        labels: What was said; a row that is not in the lake any more is left out.

    Returns:
        None where no labelled row is there.
    """
    import pyarrow.compute as pc

    newest = sorted(labels, key=lambda label: (label.night, label.key))[-MOST_LABELS:]
    said = {(label.night, label.key): label.label for label in newest}
    pinned = services.state.pins(dataset.name, "accepted", {label.night for label in newest}) if newest else {}
    frames, flags = [], []
    for night, version in sorted(pinned.items()):
        keys = {key for of, key in said if of == night}
        table = services.lake.read(dataset.name, "accepted", {night: version}, schema=accepted_schema(dataset))
        frame = table.filter(pc.is_in(table["sereno_key"], value_set=_texts(keys))).to_pandas()
        frames.append(frame)
        flags += [said[night, key] == "anomaly" for key in frame["sereno_key"]]
    if not flags:
        return None
    import pandas as pd

    return Labelled(pd.concat(frames, ignore_index=True), np.array(flags, dtype=bool))


def _texts(values: set[str]) -> Any:
    import pyarrow as pa

    return pa.array(sorted(values), pa.string())
