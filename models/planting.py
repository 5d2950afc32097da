"""Planted anomalies: what a detector should find among usual rows, of a size at which it does not find all.

A row is spoilt in one of three ways, made of the data's own values, so that nobody need know the data:

    broken pair   one value comes from another row: usual in its column, not beside the others
    mixed rows    some values come from one other row, so they also go together among themselves
    beyond        one number lies beyond its column's 99.9 % quantile, by less than the column's own upper half
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

MIXED = 0.1
LEAST_MIXED = 2
BEYOND = 0.999
# What float64 and int64 can both say.
LARGEST = float(2**62)

Chosen = np.ndarray[Any, np.dtype[np.bool_]]


@dataclass(frozen=True)
class Place:
    """A column to plant in.

    Args:
        name: Its name in the frame.
        numeric: Whether its values are numbers with an order.
        highest: Largest value that the contract allows, if it says one.
    """

    name: str
    numeric: bool = False
    highest: float | None = None


def plant(frame: pd.DataFrame, columns: Sequence[Place], seed: int) -> pd.DataFrame:
    """Spoil each row in one of the three ways, a third of the rows each.

    Where a row cannot be spoilt in the way that it drew (no number has a quantile that can be passed), a pair is broken
    instead. A row whose other row is its equal stays as it is.

    Args:
        frame: Usual rows.
        columns: The columns that a detector reads.
        seed: Decides what is planted.

    Returns:
        As many rows, with the same types.
    """
    random = np.random.default_rng(seed)
    rows = len(frame)
    # A shift by a random distance: no row is its own donor.
    donors = (np.arange(rows) + random.integers(1, max(rows, 2), rows)) % max(rows, 1)
    way = random.permutation(rows) % 3
    raised = _raised(frame, columns, random)
    place = np.where((way == 2) & (raised.count(axis=1).to_numpy() > 0), _one_of(raised.notna(), random), -1)
    taken = _taken(frame, columns, donors, np.where(way == 1, max(LEAST_MIXED, round(MIXED * len(columns))), 1), random)
    planted = {}
    for at, column in enumerate(columns):
        own = frame[column.name]
        source = np.where(taken[:, at] & (place < 0), donors, np.arange(rows))
        values = own.take(source.tolist()).set_axis(frame.index)
        beyond = np.flatnonzero(place == at)
        if len(beyond):
            values.iloc[beyond] = raised[column.name].iloc[beyond].astype(own.dtype)
        planted[column.name] = values
    result = frame.copy()
    for name, values in planted.items():
        result[name] = values
    return result


def _taken(
    frame: pd.DataFrame, columns: Sequence[Place], donors: np.ndarray[Any, Any], count: Any, random: np.random.Generator
) -> Chosen:
    """Which values come from the donor, bool [rows, columns]: so many of those in which the two differ."""
    differs = np.column_stack([_differs(frame[column.name], donors) for column in columns])
    order = np.argsort(np.where(differs, random.random(differs.shape), 2.0), axis=1)
    rank = np.empty_like(order)
    np.put_along_axis(rank, order, np.arange(len(columns))[None, :], axis=1)
    chosen: Chosen = differs & (rank < np.asarray(count)[:, None])
    return chosen


def _differs(values: pd.Series[Any], donors: np.ndarray[Any, Any]) -> Chosen:
    codes, _ = pd.factorize(values)
    different: Chosen = codes != codes[donors]
    return different


def _raised(frame: pd.DataFrame, columns: Sequence[Place], random: np.random.Generator) -> pd.DataFrame:
    """A value beyond the quantile for each row and each number that has room there; missing elsewhere."""
    raised = pd.DataFrame(index=frame.index, columns=[column.name for column in columns], dtype=np.float64)
    for column in columns:
        draws = random.random(len(frame))
        if not column.numeric:
            continue
        numbers = pd.to_numeric(frame[column.name], errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
        seen = np.clip(numbers[np.isfinite(numbers)], -LARGEST, LARGEST)
        if len(seen) == 0 or seen.min() == seen.max():
            continue
        middle, far = np.quantile(seen, [0.5, BEYOND])
        step = (far if far > middle else seen.max()) - middle
        values = far + draws * (step if step > 0 else seen.max() - seen.min())
        if pd.api.types.is_integer_dtype(frame[column.name].dtype):
            values = np.floor(values) + 1.0
        values = np.minimum(values, LARGEST if column.highest is None else column.highest)
        raised[column.name] = np.where(values > far, values, np.nan)
    return raised


def _one_of(possible: pd.DataFrame, random: np.random.Generator) -> np.ndarray[Any, Any]:
    """One of each row's possible places, [rows]; meaningless where there is none."""
    allowed = possible.to_numpy()
    chosen: np.ndarray[Any, Any] = np.argmax(np.where(allowed, random.random(allowed.shape), -1.0), axis=1)
    return chosen
