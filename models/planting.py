"""The battery of planted anomalies: what a detector should find among usual rows, of sizes at which it does not.

Each row gets a twin that is spoilt in one of the ways of `models.spoiling`, made of the data's own values, so that
nobody need know the data. The same rows, columns and seed give the same twins, whoever is asked to find them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from models.spoiling import WAYS, Draft, Place, broken_pair

__all__ = ["FALLBACK", "Place", "Planted", "plant"]

FALLBACK = "broken pair"


@dataclass(frozen=True)
class Planted:
    """Spoilt twins of rows.

    Args:
        frame: As many rows, with the same types.
        kinds: In which way each is spoilt, [rows]; empty where it could not be, and stays as it is.
    """

    frame: pd.DataFrame
    kinds: np.ndarray[Any, Any]


def plant(frame: pd.DataFrame, columns: Sequence[Place], seed: int) -> Planted:
    """Spoil each row in one of the ways, about as many rows in each.

    Where a row cannot be spoilt in the way that it drew (it has no category, no number has a quantile that can be
    passed), a pair is broken instead. A row whose other row is its equal stays as it is.

    Args:
        frame: Usual rows.
        columns: The columns that a detector reads.
        seed: Decides what is planted.
    """
    draft = Draft(frame, columns)
    drawn = np.random.default_rng(seed).permutation(len(frame)) % len(WAYS)
    kinds = np.full(len(frame), "", dtype=object)
    for number, (name, spoil) in enumerate(WAYS.items()):
        at = np.flatnonzero(drawn == number)
        kinds[at[spoil(draft, at, np.random.default_rng([seed, number]))]] = name
    left = np.flatnonzero(kinds == "")
    kinds[left[broken_pair(draft, left, np.random.default_rng([seed, len(WAYS)]))]] = FALLBACK
    return Planted(draft.frame(), kinds)
