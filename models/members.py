"""The members of an ensemble, and which rows each of them is not taught.

Bagging (Breiman, 1996) without a draw: what a row holds decides the one member that it does not teach. Equal rows
teach the same members, so that member meets none of them, and its residuals say what is normal for rows never seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

TURNS = 37.0  # more would tell apart rows that differ by rounding alone

Rows = np.ndarray[Any, np.dtype[np.float32]]


@dataclass(frozen=True)
class Folds:
    """Rows to members.

    Args:
        members: Members of the ensemble.
        width: Numbers of a row.
    """

    members: int
    width: int

    @cached_property
    def _direction(self) -> Rows:
        return np.random.default_rng(self.width).standard_normal((self.width, 1)).astype(np.float32)

    def of(self, rows: Any, ops: Any = np) -> Any:
        """The member that each row does not teach, as float32 [rows]; `ops` is numpy, or Keras' operations."""
        turned = ops.matmul(rows, self._direction)[:, 0] * TURNS
        return ops.floor((turned - ops.floor(turned)) * self.members)


@dataclass(frozen=True)
class Members:
    """An ensemble, member by member.

    Args:
        each: Keras model from rows [rows, width] to what each member gives, [members, rows, width], on the mean path.
        folds: Which member a row does not teach.
    """

    each: Any
    folds: Folds

    def by_untaught(self, rows: Rows) -> Rows:
        """Rows [rows, width] as the member that each did not teach gives them."""
        reconstructed = np.empty_like(rows)
        for start in range(0, len(rows), 1_024):
            some = slice(start, start + 1_024)
            given = np.asarray(self.each(rows[some], training=False))
            # A number that rounds up to 1 is no turn at all.
            member = np.minimum(self.folds.of(rows[some]), self.folds.members - 1).astype(np.intp)
            reconstructed[some] = given[member, np.arange(given.shape[1])]
        return reconstructed
