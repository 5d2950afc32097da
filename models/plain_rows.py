"""Rows of numbers before and after an autoencoder: what can be learned from, in three parts."""

from __future__ import annotations

from typing import Any

import numpy as np

from models.plain_encoder import Scaling
from schemas.errors import UnreadableInput, listed

Matrix = np.ndarray[Any, np.dtype[np.float64]]

FIT, STOP = 0.7, 0.8
LEAST_ROWS = 20


def check_rows(numbers: Matrix, names: tuple[str, ...] | None) -> None:
    """Refuse what nothing can be learned from.

    Raises:
        UnreadableInput: When there are too few rows, an infinity, or a column without a value.
    """
    if numbers.shape[1] == 0:
        raise UnreadableInput("the rows have no column", hint="give at least one column of numbers")
    if len(numbers) < LEAST_ROWS:
        raise UnreadableInput(
            f"{len(numbers)} rows are too few: an autoencoder needs at least {LEAST_ROWS}",
            hint="some thousand are better",
        )

    def told(at: int) -> str:
        return f"column {names[at]!r}" if names else f"column {at}"

    infinite = np.argwhere(np.isinf(numbers))
    if len(infinite):
        row, at = infinite[0]
        raise UnreadableInput(
            f"{len(infinite)} values are infinite, the first in {told(int(at))}, row {int(row) + 1}",
            hint="leave these rows out, or make the values NaN: they then count as missing",
        )
    empty = np.flatnonzero(np.isnan(numbers).all(axis=0))
    if len(empty):
        raise UnreadableInput(
            f"all values are missing in {listed(told(int(at)) for at in empty)}", hint="leave these columns out"
        )


def parts_of(numbers: Matrix, seed: int) -> list[Matrix]:
    """Fit, early stop and calibration rows."""
    order = np.random.default_rng(seed).permutation(len(numbers))
    first, second = int(FIT * len(numbers)), int(STOP * len(numbers))
    parts = np.split(numbers[order], [first, second])
    # A column that has values in other parts alone is one that the transform could not learn.
    bare = np.isnan(parts[0]).all(axis=0)
    if bare.any():
        parts[0] = np.concatenate(
            [parts[0], numbers[[np.flatnonzero(~np.isnan(numbers[:, at]))[0] for at in np.flatnonzero(bare)]]]
        )
    return parts


def rows_for_scale(parts: list[Matrix], scaling: Scaling) -> Matrix:
    """The rows that say how columns are scaled: those that are learned from; for the ends of a range, all.

    Args:
        parts: What `parts_of` gave.
        scaling: See `models.plain_encoder.fit_plain`.
    """
    # A held-out row beyond 0 and 1 would be refused by the losses that need values within them.
    return np.concatenate(parts) if scaling == "minmax" else parts[0]
