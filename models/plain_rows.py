"""Rows of numbers before and after an autoencoder: what can be learned from, in three parts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from models.plain_encoder import Scaling, fit_plain
from models.row_source import Rows
from models.transform import Transform
from schemas.errors import UnreadableInput, listed

Matrix = np.ndarray[Any, np.dtype[np.float64]]

FIT, STOP = 0.7, 0.8
FIT_TO_THE_FULL, STOP_TO_THE_FULL = 0.85, 0.9
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


def prepare_rows(
    numbers: Matrix,
    columns: tuple[str, ...],
    scaling: Scaling,
    seed: int,
    *,
    as_they_are: int,
    bounded: bool = False,
    to_the_full: bool = False,
) -> tuple[Transform, Rows, Rows, Rows]:
    """Split rows into parts, and scale them.

    Args:
        numbers: What `check_rows` let pass, [rows, width].
        columns: Their names.
        scaling: See `fit_plain`.
        seed: Decides which part a row is in.
        as_they_are: How many columns at the end are not scaled.
        bounded: Whether the others are softly bounded.
        to_the_full: Whether more rows teach and all say the scales, as where others than held-out ones tell what is
            normal.

    Returns:
        The transform; fit, early-stop and calibration rows, float32 [rows, width] each.
    """
    parts = _parts_of(numbers, seed, (FIT_TO_THE_FULL, STOP_TO_THE_FULL) if to_the_full else (FIT, STOP))
    # For the ends of a range all rows count: a loss that needs values within 0 and 1 would refuse held-out ones beyond.
    seen = np.concatenate(parts) if scaling == "minmax" or to_the_full else parts[0]
    transform = Transform(tuple(fit_plain(columns, seen, scaling, as_they_are=as_they_are, bounded=bounded)))
    fit, stop, calibrate = (transform.apply(pd.DataFrame(part, columns=list(columns))) for part in parts)
    return transform, fit, stop, calibrate


def _parts_of(numbers: Matrix, seed: int, ends: tuple[float, float]) -> list[Matrix]:
    """Fit, early stop and calibration rows; `ends` are those of the first two, as shares."""
    order = np.random.default_rng(seed).permutation(len(numbers))
    parts = np.split(numbers[order], [int(end * len(numbers)) for end in ends])
    # A column that has values in other parts alone is one that the transform could not learn.
    bare = np.isnan(parts[0]).all(axis=0)
    if bare.any():
        parts[0] = np.concatenate(
            [parts[0], numbers[[np.flatnonzero(~np.isnan(numbers[:, at]))[0] for at in np.flatnonzero(bare)]]]
        )
    return parts
