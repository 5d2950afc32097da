"""Three disjoint parts of the window's sample, decided by each row's key alone.

A key is always in the same part, in every training and whatever the order of rows, so rows that calibrated one
detector never trained another. Only a sample of very few keys is cut by rank instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from schemas.errors import TrainingFailed

FIT, STOP = 0.7, 0.8
FEW_KEYS = 500
LEAST_KEYS = 20
ORDER = ("sereno_hash", "sereno_key", "night", "sereno_file", "sereno_line")

Hashes = np.ndarray[Any, np.dtype[np.uint64]]


@dataclass(frozen=True)
class Parts:
    """Fit, early stop, calibrate.

    Args:
        fit: Rows to learn from.
        stop: Rows that say when to stop and what residual is normal.
        calibrate: Rows that no step of the training saw.
    """

    fit: pd.DataFrame
    stop: pd.DataFrame
    calibrate: pd.DataFrame


def mixed(hashes: np.ndarray[Any, Any], salt: int) -> Hashes:
    """Mix 64-bit hashes anew (splitmix64): a night's sample has the smallest ones only."""
    with np.errstate(over="ignore"):
        x = hashes.astype(np.int64).view(np.uint64) + np.uint64((salt * 0x9E3779B97F4A7C15) % 2**64)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        result: Hashes = x ^ (x >> np.uint64(31))
    return result


def bounded(sample: pd.DataFrame, rows: int) -> pd.DataFrame:
    """At most that many rows, chosen and ordered by their keys, whatever the order they came in."""
    ordered = sample.sort_values([name for name in ORDER if name in sample.columns], kind="stable")
    if len(ordered) > rows:
        hashes = mixed(ordered["sereno_hash"].to_numpy(), salt=2)
        ordered = ordered.iloc[np.sort(np.argsort(hashes, kind="stable")[:rows])]
    return ordered.reset_index(drop=True)


def split(sample: pd.DataFrame) -> Parts:
    """Cut a sample into 70 % fit, 10 % early stop, 20 % calibrate.

    Raises:
        TrainingFailed: When there are too few keys.
    """
    keys = sample["sereno_hash"].to_numpy()
    distinct = np.unique(keys)
    if len(distinct) < LEAST_KEYS:
        raise TrainingFailed(
            f"the window's sample has {len(sample)} rows with {len(distinct)} different keys; "
            f"a detector needs at least {LEAST_KEYS}",
            hint="wait for more nights, or name a key whose values differ from row to row",
        )
    place = _places(keys)
    if len(distinct) < FEW_KEYS:
        order = distinct[np.argsort(mixed(distinct, salt=1), kind="stable")]
        rank = pd.Series(np.arange(len(order)), index=order)
        place = rank.loc[keys].to_numpy(dtype=np.float64) / len(order)
    is_fit, is_calibrate = place < FIT, place >= STOP
    return Parts(sample[is_fit], sample[~is_fit & ~is_calibrate], sample[is_calibrate])


def held_out(hashes: np.ndarray[Any, Any]) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Which keys no step of a training sees, bool [rows]; a sample of fewer than 500 keys is cut by rank instead."""
    return _places(hashes) >= STOP


def halves(hashes: np.ndarray[Any, Any]) -> np.ndarray[Any, np.dtype[np.intp]]:
    """Deal keys into two halves, 0 or 1 [rows], whatever their part."""
    return (mixed(hashes, salt=3) & np.uint64(1)).astype(np.intp)


def _places(hashes: np.ndarray[Any, Any]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Where keys lie among the parts, from 0 to 1, [rows]."""
    return mixed(hashes, salt=1).astype(np.float64) / 2.0**64
