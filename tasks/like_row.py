"""Beside each alert a normal row that agrees with it in every column that did not make the alert.

"Compared with what?" has an answer then: with a row that the detector takes for usual and that is otherwise as near to
the alert as any row known. Nearness is counted in the space that the detector itself sees, without the columns that
made the alert, and a column that differs wholly counts no more than a bounded amount, so that one far value does not
outweigh twenty that agree.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from schemas.results import Alert, Contribution, LikeRow

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd
    import pyarrow as pa

    from models.scoring import Scorer

MOST_CANDIDATES = 5_000
MOST_NUMBERS = 400_000_000  # encoded numbers that are compared for all alerts together
MADE_BY = 0.8  # the columns that make this share of the score, largest first, are the ones that made the alert
FARTHEST = 2.0  # a difference of two scaled units or more is simply "different"
PLACE = ("sereno_file", "sereno_line")

Floats: TypeAlias = np.ndarray[Any, np.dtype[np.float32]]


def with_like_rows(
    alerts: Sequence[Alert], rows: pd.DataFrame, candidates: pd.DataFrame, scorer: Scorer, entity: str | None = None
) -> tuple[Alert, ...]:
    """Find a like normal row for each alert.

    Args:
        alerts: Ranked alerts.
        rows: The alerts' own rows, found by file and line; the detector's columns, `entity` and the place. An alert
            whose row is not there stays as it is.
        candidates: Rows known from tonight's sample and the nights before; the same columns, `sereno_key` and `night`
            (ISO date). Those that are not normal are left out.
        scorer: The version that scored.
        entity: The entity column; a normal row of the alert's own entity goes before any other.

    Returns:
        The alerts in their order, with `like` where there is a normal row.
    """
    normal, scores = _normal(candidates, scorer)
    places = {place: at for at, place in enumerate(zip(*(rows[name] for name in PLACE), strict=True))}
    found = [places.get((alert.source_file, alert.source_line)) for alert in alerts]
    if not len(normal) or not any(at is not None for at in found):
        return tuple(alerts)
    pool = _bounded(normal, scores, len(alerts) * scorer.bundle.transform.width)
    normal, scores = pool
    search = _Search(scorer, rows, normal, entity)
    return tuple(
        alert if at is None else _with_like(alert, search.nearest(alert, at), normal, scores, scorer)
        for alert, at in zip(alerts, found, strict=True)
    )


def rows_of_alerts(alerts: Sequence[Alert], parts: Sequence[Path], columns: Sequence[str]) -> pa.Table:
    """The alerts' rows from the night's accepted parts; only parts that hold one are read whole.

    Args:
        alerts: What to look up, by file and line.
        parts: Parquet parts of `accepted`.
        columns: Columns to return, beside the place.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    wanted = {(alert.source_file, alert.source_line) for alert in alerts}
    lines = pa.array(sorted({line for _, line in wanted}), pa.int64())
    names = list(dict.fromkeys([*columns, *PLACE]))
    found = []
    for part in parts:
        near = pc.is_in(pq.read_table(part, columns=["sereno_line"]).column("sereno_line"), lines)
        if not pc.any(near).as_py():
            continue
        rows = pq.read_table(part, columns=names).filter(near)
        places = zip(*(rows.column(name).to_pylist() for name in PLACE), strict=True)
        found.append(rows.filter(pa.array([place in wanted for place in places], pa.bool_())))
    return pa.concat_tables(found) if found else pa.table({name: pa.array([], pa.null()) for name in names})


def columns_that_made(contributions: Sequence[Contribution]) -> tuple[str, ...]:
    """The columns that made an alert: those with the largest shares, until together they explain most of the score."""
    made: list[str] = []
    share = 0.0
    for item in contributions:
        if made and share >= MADE_BY:
            break
        made.append(item.column)
        share += item.share
    return tuple(made)


class _Search:
    """Encoded alerts and candidates.

    Args:
        scorer: The version that scored.
        rows: The alerts' rows.
        normal: The candidates, in the order in which the first of equal ones is taken.
        entity: The entity column.
    """

    def __init__(self, scorer: Scorer, rows: pd.DataFrame, normal: pd.DataFrame, entity: str | None) -> None:
        self._groups = scorer.bundle.transform.groups
        self._weights = scorer.bundle.transform.weights.astype(np.float32)
        self._rows = scorer.bundle.transform.apply(rows)
        self._normal = scorer.bundle.transform.apply(normal)
        self._entities = None if entity is None else (rows[entity].to_numpy(), normal[entity].to_numpy())

    def nearest(self, alert: Alert, at: int) -> int:
        """The place of the candidate that agrees best with the alert in the columns that did not make it."""
        weights = self._weights.copy()
        for column in columns_that_made(alert.contributions):
            if column in self._groups:
                weights[self._groups[column]] = 0.0
        kept = np.flatnonzero(weights)
        apart = np.abs(self._normal[:, kept] - self._rows[at, kept])
        distance = np.minimum(apart, FARTHEST, out=apart) @ weights[kept]
        if self._entities is not None:
            own = self._entities[1] == self._entities[0][at]
            distance = np.where(own, distance, np.inf) if own.any() else distance
        return int(np.argmin(distance))


def _normal(candidates: pd.DataFrame, scorer: Scorer) -> tuple[pd.DataFrame, Any]:
    """Candidates that score below the calibration's median; below the threshold where there are none."""
    if not len(candidates):
        return candidates, np.zeros(0)
    ordered = candidates.sort_values(["night", "sereno_key", *PLACE], ascending=[False, True, True, True])
    scores = scorer.score(ordered, top=0).score
    median = float(np.median(scorer.calibration)) if len(scorer.calibration) else scorer.threshold
    usual = scores <= min(median, scorer.threshold)
    chosen = usual if usual.any() else scores < scorer.threshold
    return ordered[chosen], scores[chosen]


def _bounded(normal: pd.DataFrame, scores: Any, numbers_a_candidate: int) -> tuple[pd.DataFrame, Any]:
    most = max(1, min(MOST_CANDIDATES, MOST_NUMBERS // max(numbers_a_candidate, 1)))
    return normal.iloc[:most], scores[:most]


def _with_like(alert: Alert, at: int, normal: pd.DataFrame, scores: Any, scorer: Scorer) -> Alert:
    row = normal.iloc[at : at + 1]
    transform = scorer.bundle.transform
    named = [item.column for item in alert.contributions if item.column in transform.columns]
    like = LikeRow(
        key=str(row["sereno_key"].iloc[0]),
        night=str(row["night"].iloc[0]),
        source_file=str(row["sereno_file"].iloc[0] or ""),
        source_line=int(row["sereno_line"].iloc[0] or 0),
        score=float(scores[at]),
        values={column: str(transform.actual_text(column, row)[0]) for column in named},
    )
    return alert.model_copy(update={"like": like})
