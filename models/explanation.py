"""Which columns made a row's score: mend the row column by column, and see what the score loses.

A value far out bends what the network expects of every column: its own residual may be small, and the largest ones
stand where nothing is wrong. So a suspect's value is taken out, the row is reconstructed without it, and the drop is
what the suspect contributed; the best mend is kept and the search goes on from the mended row. What is expected of a
column is read from the row so mended.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from models.calibration import Matrix

MENDS = 3
WORST_FITTING, FARTHEST_OUT = 3, 2
ROWS_AT_ONCE = 1_024

Rows = np.ndarray[Any, np.dtype[np.float32]]
Flags = np.ndarray[Any, np.dtype[np.bool_]]


class Judging(Protocol):
    """What turns rows and reconstructions into parts of a score."""

    def parts(self, rows: Rows, reconstructed: Rows, /) -> Matrix:
        """What each column adds, float64 [rows, columns]."""
        ...


@dataclass(frozen=True)
class Explanation:
    """What made each row's score.

    Args:
        shares: Each column's share of the row's score before the logarithm, float64 [rows, columns]; not negative, and
            a row adds up to 1, or to 0 where all fits.
        expected: Encoded rows as they were expected, float32 [rows, width].
    """

    shares: Matrix
    expected: Rows


def shares_of(parts: Matrix) -> Matrix:
    """Parts of scores [rows, columns] as shares of each row's sum."""
    total = parts.sum(axis=1, keepdims=True)
    shares: Matrix = np.divide(parts, total, out=np.zeros_like(parts), where=total > 0)
    return shares


@dataclass(frozen=True)
class Explainer:
    """Explains rows, each by itself.

    Args:
        reconstruct: Encoded rows to reconstructed rows, both float32 [rows, width].
        judge: Rows and reconstructions to parts of a score.
        groups: Each column's place in an encoded row, in order.
        neutral: What says nothing of a column, number by number, float32 [width].
    """

    reconstruct: Callable[[Rows], Rows]
    judge: Judging
    groups: Sequence[slice]
    neutral: Rows

    def explain(self, rows: Rows, reconstructed: Rows) -> Explanation:
        """Explain encoded rows [rows, width] by mending up to three columns of each.

        What a mend takes from the score is the mended column's; what is left after the last mend is split as it stands.
        """
        shares = np.zeros((len(rows), len(self.groups)))
        expected = np.empty_like(rows)
        for start in range(0, len(rows), ROWS_AT_ONCE):
            some = slice(start, start + ROWS_AT_ONCE)
            shares[some], expected[some] = self._explain(rows[some], reconstructed[some])
        return Explanation(shares, expected)

    def _explain(self, rows: Rows, reconstructed: Rows) -> tuple[Matrix, Rows]:
        state = _State(rows, reconstructed, self.judge.parts(rows, reconstructed))
        at = np.arange(len(rows))
        drops, mended = np.zeros_like(state.parts), np.zeros(state.parts.shape, dtype=bool)
        for _ in range(min(MENDS, len(self.groups))):
            suspects = self._suspects(state, mended)
            totals = np.column_stack([self._without(state, column).total for column in suspects.T])
            column = suspects[at, np.argmin(totals, axis=1)]
            better = state.where_smaller(self._mend(state, column))
            drops[at, column] += state.total - better.total
            mended[at, column] = True
            state = better
        return shares_of(drops + state.parts), state.reconstructed

    def _suspects(self, state: _State, mended: Flags) -> np.ndarray[Any, np.dtype[np.intp]]:
        """The columns that fit worst and those farthest out, of those not mended yet, [rows, suspects]."""
        distance = np.maximum.reduceat(
            np.abs(state.rows - self.neutral), [group.start for group in self.groups], axis=1
        )
        ranked = [
            # Stable, so that equal columns keep their order.
            np.argsort(np.where(mended, np.inf, -size), axis=1, kind="stable")[:, :count]
            for size, count in ((state.parts, WORST_FITTING), (distance, FARTHEST_OUT))
        ]
        return np.concatenate(ranked, axis=1)

    def _without(self, state: _State, column: np.ndarray[Any, np.dtype[np.intp]]) -> _State:
        """Each row with nothing said of one column, [rows]."""
        return self._reconstructed(np.where(self._masks[column], self.neutral, state.rows))

    def _mend(self, state: _State, column: np.ndarray[Any, np.dtype[np.intp]]) -> _State:
        """Each row with one column, [rows], as it is expected without its value."""
        hoped = self._without(state, column).reconstructed
        return self._reconstructed(np.where(self._masks[column], hoped, state.rows))

    def _reconstructed(self, rows: Rows) -> _State:
        reconstructed = self.reconstruct(rows)
        return _State(rows, reconstructed, self.judge.parts(rows, reconstructed))

    @cached_property
    def _masks(self) -> Flags:
        """Which numbers are a column's, [columns, width]."""
        masks = np.zeros((len(self.groups), len(self.neutral)), dtype=bool)
        for at, group in enumerate(self.groups):
            masks[at, group] = True
        return masks


@dataclass(frozen=True)
class _State:
    """Rows at some point of their mending, with their reconstructions and the parts of their scores."""

    rows: Rows
    reconstructed: Rows
    parts: Matrix

    @property
    def total(self) -> Matrix:
        """The sum of each row's parts, [rows]."""
        total: Matrix = self.parts.sum(axis=1)
        return total

    def where_smaller(self, other: _State) -> _State:
        """The other's rows where they score less."""
        less = (other.total < self.total)[:, None]
        return _State(
            np.where(less, other.rows, self.rows),
            np.where(less, other.reconstructed, self.reconstructed),
            np.where(less, other.parts, self.parts),
        )
