"""Planted anomalies: rows that look usual column by column and are not usual together.

Made of the data's own values, so they need no knowledge of it, and a check of single columns does not see them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

SWAPPED = 0.3


def swap_values(frame: pd.DataFrame, columns: Sequence[str], seed: int, share: float = SWAPPED) -> pd.DataFrame:
    """Give each row some values of other rows.

    Args:
        frame: Usual rows.
        columns: The columns to swap in.
        seed: Decides what is swapped.
        share: Of a row's columns, about that share gets another row's value; at least one does.

    Returns:
        As many rows, with the same types.
    """
    random = np.random.default_rng(seed)
    rows = len(frame)
    chosen = random.random((rows, len(columns))) < share
    chosen[np.arange(rows), random.integers(0, len(columns), rows)] = True
    planted = {}
    for at, column in enumerate(columns):
        # A shift by a random distance: no row is its own donor.
        donors = (np.arange(rows) + random.integers(1, max(rows, 2), rows)) % max(rows, 1)
        source = np.where(chosen[:, at], donors, np.arange(rows))
        planted[column] = frame[column].take(source.tolist()).set_axis(frame.index)
    return frame.assign(**planted)
