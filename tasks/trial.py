"""The trial of detectors: recent held-out rows, their planted twins, and how each detector scores both."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from schemas.battery import CHALLENGER, Battery, KindFound
from schemas.features import ColumnType

if TYPE_CHECKING:
    import pandas as pd

    from models.calibration import Matrix
    from models.comparison import Difference
    from models.planting import Place, Planted
    from models.scoring import Scorer
    from schemas.dataset import Dataset

MOST_ROWS = 5_000
RECENT = 0.5
LEAST_RECENT = 500
DIGITS = 4


@dataclass(frozen=True)
class Trial:
    """Rows to find planted anomalies among; all detectors are given the same.

    Args:
        usual: Rows as they came.
        planted: Their twins, each spoilt in one way.
        is_recent: Whether they are the newest of what could have been taken.
        found: Detector to its scores of the usual rows and of their twins, each [rows]; the challenger's come first.
    """

    usual: pd.DataFrame
    planted: Planted
    is_recent: bool = False
    found: dict[str, tuple[Matrix, Matrix]] = field(default_factory=dict)

    def enter(self, name: str, score: Callable[[pd.DataFrame], Matrix]) -> None:
        """Let a detector score the rows.

        Args:
            name: As tables say it.
            score: Rows to scores [rows].
        """
        self.found[name] = score(self.usual), score(self.planted.frame)

    @property
    def usual_scores(self) -> Matrix:
        """The challenger's scores of the usual rows, [rows]."""
        return self.found[CHALLENGER][0]

    @property
    def planted_scores(self) -> Matrix:
        """The challenger's scores of their twins, [rows]."""
        return self.found[CHALLENGER][1]

    @property
    def is_planted(self) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Which twins differ from their rows, [rows]."""
        flags: np.ndarray[Any, np.dtype[np.bool_]] = self.planted.kinds != ""
        return flags

    def against(self, name: str, seed: int, first: str = CHALLENGER) -> Difference:
        """One detector, the challenger where none is named, against another on these very rows."""
        from models.comparison import compare

        return compare(self.found[first], self.found[name], seed, among=self.is_planted)

    def battery(self) -> Battery:
        """What each detector finds, kind by kind."""
        from models.spoiling import WAYS

        kinds = [
            KindFound(kind=kind, rows=int(np.sum(self.planted.kinds == kind)), auroc=self._areas(kind))
            for kind in WAYS
            if (self.planted.kinds == kind).any()
        ]
        return Battery(rows=len(self.usual), is_recent=self.is_recent, all=self._areas(None), kinds=tuple(kinds))

    def _areas(self, kind: str | None) -> dict[str, float]:
        from models.comparison import auroc

        among = self.is_planted if kind is None else self.planted.kinds == kind
        once = np.ones((1, len(self.usual)))
        return {name: round(float(auroc(*pair, once, among)[0]), DIGITS) for name, pair in self.found.items()}


def trial(usual: pd.DataFrame, challenger: Scorer, places: list[Place], seed: int, *, is_recent: bool = False) -> Trial:
    """Plant among rows, and let the challenger score them.

    Args:
        usual: Rows as they came.
        challenger: Whose columns are planted in.
        places: See `places_of`.
        seed: Decides what is planted.
        is_recent: See `Trial`.
    """
    from models.planting import plant

    made = Trial(usual, plant(usual, places, seed), is_recent)
    made.enter(CHALLENGER, lambda rows: challenger.score(rows, top=0).score)
    return made


def recent(rows: pd.DataFrame, dataset: Dataset) -> tuple[pd.DataFrame, bool]:
    """The newest half of rows where that is enough and they have a time; else all of them, and False."""
    newest = newest_of(rows, dataset.event_time)
    if newest is None or int(newest.sum()) < LEAST_RECENT:
        return rows, False
    return rows.loc[newest], True


def newest_of(rows: pd.DataFrame, event_time: str | None) -> np.ndarray[Any, np.dtype[np.bool_]] | None:
    """Which rows are the newest half, bool [rows]; None where rows have no time."""
    if event_time is None or event_time not in rows.columns:
        return None
    rank = rows[event_time].rank(method="first", pct=True, na_option="top").to_numpy()
    newest: np.ndarray[Any, np.dtype[np.bool_]] = rank > 1.0 - RECENT
    return newest


def some_of(rows: pd.DataFrame, seed: int) -> pd.DataFrame:
    """At most as many rows as a trial takes."""
    if len(rows) <= MOST_ROWS:
        return rows
    chosen = np.random.default_rng(seed).choice(len(rows), MOST_ROWS, replace=False)
    return rows.iloc[np.sort(chosen)]


def places_of(dataset: Dataset, challenger: Scorer) -> list[Place]:
    """The columns that a detector reads, as planting wants to know them."""
    types = {feature["column"]: feature["type"] for feature in challenger.bundle.detector["features"]}
    return [place_of(dataset, name, types.get(name, "")) for name in challenger.columns]


def place_of(dataset: Dataset, name: str, kind: str) -> Place:
    """A column as planting wants to know it.

    Args:
        dataset: Whose contract bounds what is planted.
        name: The column's.
        kind: Its type, as `ColumnType` writes it.
    """
    from models.planting import Place

    column = dataset.columns.get(name)
    limits = (None, None) if column is None else (column.max, column.min)
    return Place(name, kind in (ColumnType.INTEGER, ColumnType.NUMBER), *limits)
