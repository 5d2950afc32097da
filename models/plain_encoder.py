"""Numbers that enter as they are, shifted and scaled: what `models.autoencoder` puts in its bundles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import pandas as pd

from models.encoders import Matrix, Texts, as_numbers, as_texts, named
from models.numeric_encoder import hard_unbound, soft_bound
from schemas.features import ColumnType

Scaling = Literal["standard", "minmax", "none"]

BOUND = 1e6  # in units of the scale; an infinity scores as this, and its square is a finite float32


@dataclass(frozen=True)
class PlainEncoder:
    """A number, less its center, over its scale.

    Args:
        column: The column it reads.
        center: What becomes 0.
        scale: What becomes 1.
        fill: Raw value that stands for a missing one: the sample's median.
        low: Smallest raw value of the sample.
        high: Largest raw value of the sample.
    """

    name: ClassVar[str] = "plain"

    column: str
    center: float
    scale: float
    fill: float
    low: float
    high: float

    @property
    def weights(self) -> tuple[float, ...]:
        """One number."""
        return (1.0,)

    def encode(self, values: pd.Series[Any]) -> Matrix:
        """Raw values to float64 [rows, 1]."""
        numbers = as_numbers(values)
        with np.errstate(over="ignore"):
            scaled = (np.where(np.isnan(numbers), self.fill, numbers) - self.center) / self.scale
        bounded: Matrix = np.clip(scaled, -BOUND, BOUND)[:, None]
        return bounded

    def decode(self, reconstructed: Matrix, near: pd.Series[Any] | None = None) -> pd.Series[Any]:
        """Raw values of encoded ones [rows, 1]."""
        del near  # a number says it all
        return pd.Series(reconstructed[:, 0] * self.scale + self.center)

    def expected(self, reconstructed: Matrix) -> Texts:
        """The reconstruction on the raw scale."""
        return as_texts(self.decode(reconstructed), ColumnType.NUMBER)

    def actual(self, values: pd.Series[Any]) -> Texts:
        """The raw values as text [rows]."""
        return named(as_texts(values, ColumnType.NUMBER))

    def example(self, draws: Matrix) -> pd.Series[Any]:
        """Values between the smallest and the largest of the sample."""
        return pd.Series(self.low + draws * (self.high - self.low))


@dataclass(frozen=True)
class BoundedPlainEncoder(PlainEncoder):
    """A number, less its center, over its scale, softly bounded: a far one still exceeds a large one, by little."""

    name: ClassVar[str] = "bounded_plain"

    def encode(self, values: pd.Series[Any]) -> Matrix:
        """Raw values to float64 [rows, 1]."""
        return soft_bound(super().encode(values))

    def decode(self, reconstructed: Matrix, near: pd.Series[Any] | None = None) -> pd.Series[Any]:
        """Raw values of encoded ones [rows, 1]."""
        return super().decode(hard_unbound(reconstructed), near)


def fit_plain(
    columns: Sequence[str], sample: Matrix, scaling: Scaling, *, as_they_are: int = 0, bounded: bool = False
) -> list[PlainEncoder]:
    """One encoder a column.

    Args:
        columns: Their names.
        sample: float64 [rows, columns]; NaN where a value is missing.
        scaling: standard: mean 0 and deviation 1; minmax: from 0 to 1; none. A constant column is only shifted.
        as_they_are: How many columns at the end are not scaled.
        bounded: Whether the others are softly bounded.
    """
    encoders = []
    for at, column in enumerate(columns):
        seen = sample[:, at][~np.isnan(sample[:, at])]
        facts = {"mean": seen.mean(), "deviation": seen.std(), "low": seen.min(), "high": seen.max()}
        values = {name: float(fact) for name, fact in facts.items()} | {"median": float(np.median(seen))}
        is_scaled = at < len(columns) - as_they_are
        encoders.append(plain_encoder(column, values, scaling if is_scaled else "none", bounded=bounded and is_scaled))
    return encoders


def plain_encoder(column: str, values: Mapping[str, float], scaling: Scaling, *, bounded: bool = False) -> PlainEncoder:
    """An encoder of what is known of a column.

    Args:
        column: Its name.
        values: Its mean, deviation, low, high and median.
        scaling: See `fit_plain`.
        bounded: Likewise.
    """
    center, scale = 0.0, 1.0
    if scaling == "standard":
        center, scale = values["mean"], values["deviation"]
    elif scaling == "minmax":
        center, scale = values["low"], values["high"] - values["low"]
    if scale <= 1e-12 * max(1.0, abs(center)):
        scale = 1.0
    kind = BoundedPlainEncoder if bounded else PlainEncoder
    return kind(column, center, scale, values["median"], values["low"], values["high"])
