"""Values far out in one or two columns of otherwise normal rows, of a fixed size, and where there is room for them.

Beyond the marginal 99.9 % quantile means: that quantile of the rows that trained, plus a step times the width between
it and the 0.1 % quantile. So a heavy tail, a narrow column and one whose usual value is its largest are all left by the
same stretch of their own. The step 1 doubles the width; the step 0.1 is just beyond.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

    from models.transform import Transform
    from schemas.dataset import Dataset

LOW, HIGH = 0.001, 0.999
LEAST_VALUES = 3
ROWS_EACH = 60
PAIRS = 2_000
SEED = 7

Row = dict[str, str]


@dataclass(frozen=True)
class Room:
    """Where values can be planted.

    Args:
        values: Column to the text of its planted value.
        left_out: Column to why it has no room.
    """

    values: dict[str, str]
    left_out: dict[str, str]


@dataclass(frozen=True)
class Planted:
    """Rows with planted values.

    Args:
        rows: The rows, as text.
        guilty: The columns that were planted in, row by row.
    """

    rows: list[Row]
    guilty: list[tuple[str, ...]]


def find_room(fit: pd.DataFrame, transform: Transform, dataset: Dataset, step: float) -> Room:
    """Decide the value of each column that the detector reads as a number.

    Args:
        fit: Rows that trained.
        transform: What encodes them.
        dataset: Whose contract the values must meet.
        step: How far beyond the quantile, in widths.
    """
    from models.encoders import as_numbers

    values, left_out = {}, {}
    for encoder in transform.encoders:
        column = encoder.column
        if encoder.name != "numeric":
            left_out[column] = f"is read as {encoder.name}, which has no quantiles"
            continue
        numbers = as_numbers(fit[column])
        numbers = numbers[~np.isnan(numbers)]
        low, high = np.quantile(numbers, [LOW, HIGH])
        value = float(high + step * (high - low))
        text = str(math.ceil(value)) if dataset.columns[column].type.value == "integer" else repr(value)
        largest = dataset.columns[column].max
        if len(np.unique(numbers)) < LEAST_VALUES:
            left_out[column] = "has two values only"
        elif high <= low:
            left_out[column] = "its 0.1 % and 99.9 % quantiles are the same"
        elif largest is not None and float(text) > largest:
            left_out[column] = f"{text} is beyond what the contract allows"
        else:
            values[column] = text
    return Room(values, left_out)


def plant_one(normal: list[Row], room: Room) -> Planted:
    """Plant in each column in turn, the same number of rows for each."""
    guilty: list[tuple[str, ...]] = [(column,) for column in room.values for _ in range(ROWS_EACH)]
    return _plant(normal, room, guilty)


def plant_two(normal: list[Row], room: Room) -> Planted:
    """Plant in two columns of each row, chosen by chance."""
    random = np.random.default_rng(SEED)
    columns = list(room.values)
    pairs = [random.choice(len(columns), 2, replace=False) for _ in range(PAIRS)]
    return _plant(normal, room, [(columns[a], columns[b]) for a, b in pairs])


def _plant(normal: list[Row], room: Room, guilty: list[tuple[str, ...]]) -> Planted:
    chosen = np.random.default_rng(SEED).integers(0, len(normal), len(guilty))
    rows = [
        normal[at] | {column: room.values[column] for column in columns}
        for at, columns in zip(chosen, guilty, strict=True)
    ]
    return Planted(rows, guilty)


def share_found(first: list[list[str]], guilty: list[tuple[str, ...]]) -> float:
    """Share of rows all of whose guilty columns are among those named first.

    Args:
        first: The columns named first, row by row; none for a row that was not scored.
        guilty: The columns that were planted in, row by row.
    """
    return sum(set(columns) <= set(named) for named, columns in zip(first, guilty, strict=True)) / len(guilty)


def named_by_pca(fit: Any, rows: Any, transform: Transform, count: int) -> list[list[str]]:
    """The columns with the largest squared residuals of principal components, each over what is normal for it."""
    from models.baselines import fit_pca, project

    pca = fit_pca(fit, fit, transform)
    return _largest(pca.score_map.parts(rows, project(rows, pca.mean, pca.components)), transform, count)


def named_by_deviation(fit: Any, rows: Any, transform: Transform, count: int) -> list[list[str]]:
    """The columns with the largest z-scores, after the same maps that the detector uses."""
    deviations = np.abs(rows - fit.mean(axis=0)) / np.maximum(fit.std(axis=0), 1e-3)
    starts = [group.start for group in transform.groups.values()]
    return _largest(np.maximum.reduceat(deviations, starts, axis=1), transform, count)


def _largest(parts: Any, transform: Transform, count: int) -> list[list[str]]:
    best = np.argsort(-parts, axis=1, kind="stable")[:, :count]
    return [[transform.columns[at] for at in row] for row in best]
