"""Drift of columns: tonight's values against the nights before, judged by how much nights usually differ.

A column is held against three measures: the population stability index over the deciles (or the most frequent
categories) of the nights before, the share of missing values, and the share of values that no night before had. Each
night of the window is measured the same way against its fellows, so that a column that differs every night is not
called moved for differing tonight.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.features import ColumnType
from schemas.results import ColumnDrift, Drift
from tasks.column_measures import (
    Binned,
    Counts,
    binned_categories,
    binned_numbers,
    index_parts,
    spread_of_index,
    stability_index,
)
from tasks.report_text import number, percent, shortened

if TYPE_CHECKING:
    from schemas.dataset import Dataset

FEWEST_NIGHTS = 3
ROWS_A_NIGHT = 2_000  # what a night is measured by: those with the smallest hashes, the same ones each time
LEAST_INDEX, LEAST_SHARE = 0.1, 0.02  # below these no column is called moved, however alike the nights before were
BEYOND_USUAL, FAR = 1.5, 2.5
USUAL = 0.9  # nights of the window that differ no more than `usual`: one spoilt night must not hide the next
NOISE = 4.0  # standard deviations that chance may make
MANY = 0.25  # share of columns that make a person think of the source rather than of the columns
RECENT = 3
INDEX, MISSING, NEW_VALUES, NEW_RANGE = (
    "population stability index",
    "share of missing values",
    "share of values never seen before",
    "share of values outside the range so far",
)
NUMBERS = (ColumnType.INTEGER, ColumnType.NUMBER)
CATEGORIES = (ColumnType.CATEGORY, ColumnType.BOOLEAN)

Verdict = Literal["steady", "moved", "moved far"]
VERDICTS: tuple[Verdict, ...] = ("steady", "moved", "moved far")


@dataclass(frozen=True)
class Measured:
    """One measure of one column.

    Args:
        measure: In words.
        value: Tonight's.
        usual: What nine nights of ten before have at most.
        limit: Above it the column is called moved.
    """

    measure: str
    value: float
    usual: float
    limit: float

    @property
    def times(self) -> float:
        """How often the limit goes into the value."""
        return self.value / self.limit

    @property
    def verdict(self) -> Verdict:
        """By how far the limit is passed."""
        return VERDICTS[int(self.times > 1.0) + int(self.times > FAR)]


def watched_columns(dataset: Dataset) -> dict[str, ColumnType]:
    """The columns whose drift means something: what the detector reads and the entity, less times and free text."""
    names = [feature.column for feature in dataset.features]
    entity = [dataset.entity] if dataset.entity is not None and dataset.entity not in dataset.key else []
    types = {name: dataset.columns[name].type for name in dict.fromkeys([*names, *entity])}
    return {name: kind for name, kind in types.items() if kind in (*NUMBERS, *CATEGORIES)}


def drift_of(
    columns: Mapping[str, ColumnType], tonight: pa.Table, nights: Sequence[pa.Table], *, counts: bool = True
) -> Drift:
    """Judge tonight's columns.

    Args:
        columns: What to look at, with its type in the contract.
        tonight: Tonight's rows or a sample of them; has the columns.
        nights: The same of each night before, oldest first; a night without rows does not count.
        counts: Whether tonight's rows are accepted, so that trainings see them; not those of a night that is held.

    Returns:
        All columns, worst first; the verdict is `not known` where there are fewer than three nights before, or no rows.
    """
    window = [night for night in nights if night.num_rows]
    if not columns:
        return Drift(message="No column is watched for drift.", nights=len(window))
    if not tonight.num_rows:
        return Drift(message="Tonight has no rows to compare.", nights=len(window))
    if len(window) < FEWEST_NIGHTS:
        message = f"There are {len(window)} nights before to compare with; it takes {FEWEST_NIGHTS}."
        return Drift(message=message.replace("are 1 nights", "is 1 night"), nights=len(window))
    judged = []
    for name, kind in columns.items():
        values = [night.column(name) for night in (*window, tonight)]
        found = binned_numbers(values) if kind in NUMBERS else binned_categories(values)
        judged.append((_judged(name, found), _goes_on(found)))
    ranked = sorted(judged, key=lambda item: -item[0][1])
    verdict, message = _overall([column for (column, _), _ in ranked], [goes_on for _, goes_on in ranked], counts)
    shown = tuple(column for (column, _), _ in ranked)
    return Drift(columns=shown, verdict=verdict, message=message, nights=len(window))


def _judged(name: str, found: Binned) -> tuple[ColumnDrift, float]:
    """A column's verdict, by the measure that passes its limit most, and by how much it does."""
    measures = _measures(found)
    worst = max(measures, key=lambda measured: measured.times)
    shown = _plainest(found, worst, measures)
    drift = ColumnDrift(
        column=name,
        measure=shown.measure,
        value=round(shown.value, 6),
        usual=round(shown.usual, 6),
        verdict=worst.verdict,
        message="" if worst.verdict == "steady" else _what_moved(found, shown.measure),
    )
    return drift, worst.times


def _plainest(found: Binned, worst: Measured, measures: Sequence[Measured]) -> Measured:
    """Where an index is so large for its missing or its unseen values, their share says it better."""
    if worst.measure != INDEX or worst.verdict == "steady":
        return worst
    parts = index_parts(found.own[-1:], found.others[-1:])[0]
    most, last = int(np.argmax(parts)), len(parts) - 1
    edges = {last: (MISSING,), last - 1: (NEW_VALUES, NEW_RANGE), 0: (NEW_RANGE,)}
    plain = [measured for measured in measures if measured.measure in edges.get(most, ())]
    return next((measured for measured in plain if measured.times > 1.0), worst)


def _measures(found: Binned) -> list[Measured]:
    rows, before = found.own.sum(axis=1)[-1], max(float(found.others.sum(axis=1)[-1]), 1.0)
    index = stability_index(found.own, found.others)
    noise = NOISE * float(spread_of_index(found.own[-1:], found.others[-1:])[0])
    measures = [_measured(INDEX, index, max(LEAST_INDEX, noise))]
    missing = found.shares[:, -1]
    chance = _chance(float(np.mean(missing[:-1])), rows, before)
    measures.append(_measured(MISSING, missing, LEAST_SHARE, add=chance))
    chance = _chance(float(np.mean(found.beyond[:-1])), rows, before)
    kind = NEW_VALUES if found.medians is None else NEW_RANGE
    measures.append(_measured(kind, found.beyond, LEAST_SHARE, add=chance))
    return measures


def _measured(measure: str, values: Counts, least: float, add: float = 0.0) -> Measured:
    """A measure of each night, tonight last; `add` is what chance adds to the usual of a share."""
    usual = float(np.quantile(values[:-1], USUAL, method="higher"))
    return Measured(measure, float(values[-1]), usual, max(least, BEYOND_USUAL * usual, usual + add))


def _chance(share: float, rows: float, before: float) -> float:
    """How far the share of a sample may lie above the share it comes from."""
    least = 1 / (before + 1)
    known = min(max(share, least), 1 - least)
    return float(NOISE * np.sqrt(known * (1 - known) * (1 / max(rows, 1.0) + 1 / before)))


def _what_moved(found: Binned, measure: str) -> str:
    """One sentence with numbers: the middle value where it left its range, else the bin that says most."""
    if measure == MISSING:
        return _bin_in_words(found, len(found.labels) - 1)
    middle = _median_in_words(found)
    if measure in (NEW_VALUES, NEW_RANGE):
        return "; ".join(said for said in (middle, _new_in_words(found, measure)) if said)
    parts = index_parts(found.own[-1:], found.others[-1:])[0]
    return middle or _bin_in_words(found, int(np.argmax(parts)))


def _median_in_words(found: Binned) -> str:
    """Tonight's median where no night before had one as low or as high, else nothing."""
    if found.medians is None:
        return ""
    known, tonight = found.medians[:-1][~np.isnan(found.medians[:-1])], float(found.medians[-1])
    if not len(known) or np.isnan(tonight) or known.min() <= tonight <= known.max():
        return ""
    return f"median {number(tonight)}, usually {_span(known, number)}"


def _new_in_words(found: Binned, measure: str) -> str:
    usual = _span(found.beyond[:-1], _share)
    if measure == NEW_RANGE:
        return (
            f"{_share(float(found.beyond[-1]))} of the values outside the range of the nights before, usually {usual}"
        )
    most = "" if found.newest is None else f", most often {shortened(repr(found.newest), 60)[0]}"
    return f"{_share(float(found.beyond[-1]))} of the rows with values never seen before{most}, usually {usual}"


def _bin_in_words(found: Binned, at: int) -> str:
    shares = found.shares[:, at]
    label = shortened(found.labels[at], 60)[0]
    return f"{label} in {_share(float(shares[-1]))} of the rows, usually {_span(shares[:-1], _share)}"


def _share(value: float) -> str:
    return percent(value, 1.0)


def _span(values: Counts, form: Any) -> str:
    low, high = form(float(values.min())), form(float(values.max()))
    return low if low == high else f"{low} to {high}"


def _goes_on(found: Binned) -> bool:
    """Whether the last nights before tonight are like it, so that the move is not tonight's."""
    last = found.own[-1 - RECENT : -1].sum(axis=0, keepdims=True)
    old = found.own[: -1 - RECENT].sum(axis=0, keepdims=True)
    if not old.sum():
        return False
    near, far = (float(stability_index(found.own[-1:], others)[0]) for others in (last, old))
    return near < LEAST_INDEX and near < far / 2


def _overall(columns: Sequence[ColumnDrift], goes_on: Sequence[bool], counts: bool) -> tuple[Verdict, str]:
    moved = [column for column in columns if column.verdict != "steady"]
    if not moved:
        return "steady", "No column differs from the nights before by more than nights usually do."
    verdict: Verdict = "moved far" if any(column.verdict == "moved far" for column in moved) else "moved"
    worst = moved[0]
    named = f"{shortened(worst.column, 60)[0]}: {worst.message}"
    counted = f"{len(moved)} of {len(columns)} columns moved" if len(moved) > 1 else "1 column moved"
    lasts = all(goes_on[: len(moved)])
    said = _advice(moved, columns, lasts) if counts else _advice_of_held(lasts)
    return verdict, f"{counted}. {named}. {said}"


def _advice(moved: Sequence[ColumnDrift], columns: Sequence[ColumnDrift], lasts: bool) -> str:
    if lasts:
        return (
            "The last nights moved the same way: trainings take it in as they leave the window's older nights behind."
        )
    if any(column.measure in (MISSING, NEW_VALUES) for column in moved):
        return (
            "Look at the source: values are missing or new. If they are right, the training takes them in from the "
            "next night on."
        )
    if len(moved) >= max(2, MANY * len(columns)):
        return (
            "So many columns at once point to the source (a unit, a sensor, another mix of traffic): look there first. "
            "If it is meant to stay, the training takes it in from the next night on."
        )
    return "If it is meant to stay, the training takes it in from the next night on; if not, look at the source."


def _advice_of_held(lasts: bool) -> str:
    before = "The last nights moved the same way. " if lasts else ""
    return f"{before}Nothing was scored and no training sees these rows: look at the source before they are taken."


def bounded(rows: pa.Table, most: int = ROWS_A_NIGHT) -> pa.Table:
    """The rows with the smallest hashes, in no order that means anything; the same rows whatever order they come in."""
    from tasks.preprocess import smallest

    return rows if rows.num_rows <= most else smallest(rows, most)


def by_night(rows: pa.Table) -> dict[Any, pa.Table]:
    """Rows with a column `night` as a table a night, oldest night first."""
    nights = sorted(pc.unique(rows.column("night")).to_pylist())
    return {night: rows.filter(pc.equal(rows.column("night"), pa.scalar(night, pa.date32()))) for night in nights}
