"""What every encoder shares, and how a raw column becomes float64 or text.

An encoder turns one column into one or more numbers, row by row: a row's numbers never depend on other rows. It is a
frozen dataclass whose fields are JSON values, so a bundle holds it as data.
"""

from __future__ import annotations

from typing import Any, ClassVar, Protocol

import numpy as np
import pandas as pd

from schemas.features import ColumnType

Matrix = np.ndarray[Any, np.dtype[np.float64]]
Texts = np.ndarray[Any, np.dtype[np.object_]]

MISSING = "missing"


class Encoder(Protocol):
    """One column's way into the detector; a frozen dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Any]]
    name: ClassVar[str]

    @property
    def column(self) -> str:
        """The column it reads."""

    @property
    def weights(self) -> tuple[float, ...]:
        """How much each encoded number counts within the column; as many as `encode` gives columns."""

    def encode(self, values: pd.Series[Any]) -> Matrix:
        """Raw values to float64 [rows, width]."""

    def expected(self, reconstructed: Matrix) -> Texts:
        """What the detector expected, as text [rows], from its reconstruction [rows, width]."""

    def decode(self, reconstructed: Matrix, near: pd.Series[Any] | None = None) -> pd.Series[Any]:
        """Raw values [rows] of the column's own type, from reconstructed numbers; none is missing if it can be helped.

        Args:
            reconstructed: float64 [rows, width].
            near: The rows' own raw values [rows], where there are some: they decide what the numbers leave open.
        """

    def actual(self, values: pd.Series[Any]) -> Texts:
        """The raw values as text [rows]."""

    def example(self, draws: Matrix) -> pd.Series[Any]:
        """Made-up but plausible raw values, from uniform draws [rows] in 0..1."""


def as_numbers(values: pd.Series[Any]) -> Matrix:
    """Any column as float64 [rows]; what is no number is NaN, infinities become the largest finite number."""
    if values.dtype == object or pd.api.types.is_string_dtype(values.dtype):
        values = pd.to_numeric(values, errors="coerce")
    if pd.api.types.is_datetime64_any_dtype(values.dtype):
        return np.full(len(values), np.nan)
    numbers = values.to_numpy(dtype=np.float64, na_value=np.nan)
    big = np.finfo(np.float64).max
    bounded: Matrix = np.clip(numbers, -big, big)
    return bounded


def as_texts(values: pd.Series[Any], kind: ColumnType) -> Texts:
    """Any column as objects [rows]: text, or None where the value is missing."""
    if kind is ColumnType.INTEGER:
        return _distinct(as_numbers(values), lambda number: str(int(number)))
    if kind is ColumnType.NUMBER:
        return _distinct(as_numbers(values), lambda number: f"{number:.6g}")
    missing = values.isna().to_numpy()
    texts = values.astype(object).to_numpy(copy=True)
    texts[missing] = None
    for at in [at for at, text in enumerate(texts) if text is not None and not isinstance(text, str)]:
        texts[at] = str(texts[at])
    return texts


def _distinct(numbers: Matrix, form: Any) -> Texts:
    """Format each distinct number once."""
    distinct, where = np.unique(numbers, return_inverse=True)
    texts = np.array([None if np.isnan(n) else form(n) for n in distinct], dtype=object)
    found: Texts = texts[where.reshape(-1)] if len(numbers) else np.array([], dtype=object)
    return found


def named(texts: Texts) -> Texts:
    """Texts [rows] with the word for a missing value in place of None."""
    return np.array([MISSING if text is None else text for text in texts], dtype=object)
