"""Numbers: linear, signed log or quantile map, scaled, with a soft bound and a missing indicator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from statistics import NormalDist
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from models.encoders import MISSING, Matrix, Texts, as_numbers, as_texts, named
from schemas.features import ColumnType, Feature, FeatureKind

BOUND = 5.0
KNOTS = 201
SMALL_COUNT = 10.0
HEAVY_TAIL = 4.0
LARGEST = 1e150  # its square is still finite
LARGEST_WHOLE = 2.0**63 - 1024  # the largest float64 that is an int64


def soft_bound(scaled: Matrix) -> Matrix:
    """Leave -5..5 as it is and grow like a logarithm beyond, so that an extreme value still exceeds a large one."""
    size = np.abs(scaled)
    beyond = BOUND + np.log1p(np.maximum(size - BOUND, 0.0))
    bounded: Matrix = np.where(size > BOUND, np.sign(scaled) * beyond, scaled)
    return bounded


def hard_unbound(bounded: Matrix) -> Matrix:
    """The inverse of `soft_bound`."""
    size = np.abs(bounded)
    beyond = BOUND + np.expm1(np.clip(size - BOUND, 0.0, 700.0))
    scaled: Matrix = np.where(size > BOUND, np.sign(bounded) * beyond, bounded)
    return scaled


@dataclass(frozen=True)
class NumericEncoder:
    """A number as its place on a scale that the sample gave.

    Args:
        column: The column it reads.
        type: Its type in the contract.
        kind: signed_log, robust or quantile.
        center: Middle of the sample, after the map.
        scale: Spread of the sample, after the map.
        fill: Raw value that stands for a missing one.
        low: Smallest raw value of the sample.
        high: Largest raw value of the sample.
        indicator: Whether a second number says that the value is missing.
        knots: With kind quantile: raw values at evenly spaced ranks.
    """

    name: ClassVar[str] = "numeric"

    column: str
    type: str
    kind: str
    center: float
    scale: float
    fill: float
    low: float
    high: float
    indicator: bool
    knots: tuple[float, ...] = ()

    @property
    def weights(self) -> tuple[float, ...]:
        """The value and its indicator count fully each."""
        return (1.0, 1.0) if self.indicator else (1.0,)

    def encode(self, values: pd.Series[Any]) -> Matrix:
        """Raw values to float64 [rows, 1 or 2]."""
        numbers = as_numbers(values)
        missing = np.isnan(numbers)
        mapped = self.map(np.where(missing, self.fill, numbers))
        with np.errstate(over="ignore"):
            scaled = np.clip((mapped - self.center) / self.scale, -1e300, 1e300)
        parts = [soft_bound(scaled)] + ([missing.astype(np.float64)] if self.indicator else [])
        return np.column_stack(parts)

    def expected(self, reconstructed: Matrix) -> Texts:
        """The reconstruction on the raw scale, within the sample's range."""
        raw = self._raw(reconstructed)
        show = _whole if self.type == ColumnType.INTEGER else "{:.4g}".format
        texts = np.array([show(number) for number in raw], dtype=object)
        if self.indicator:
            texts[reconstructed[:, 1] > 0.5] = MISSING
        return texts

    def decode(self, reconstructed: Matrix, near: pd.Series[Any] | None = None) -> pd.Series[Any]:
        """Numbers within the sample's range, float64 or int64 [rows]; the indicator of a missing value is not asked."""
        del near  # a place on the scale is one number
        raw = pd.Series(self._raw(reconstructed))
        return as_whole(raw) if self.type == ColumnType.INTEGER else raw

    def actual(self, values: pd.Series[Any]) -> Texts:
        """The raw values as text [rows]."""
        return named(as_texts(values, ColumnType(self.type)))

    def example(self, draws: Matrix) -> pd.Series[Any]:
        """Values between the smallest and the largest of the sample, evenly on the mapped scale."""
        ends = self.map(np.array([self.low, self.high]))
        raw = self._unmap(ends[0] + draws * (ends[1] - ends[0]))
        return pd.Series(np.rint(raw) if self.type == ColumnType.INTEGER else raw)

    def map(self, numbers: Matrix) -> Matrix:
        """Raw numbers before they are scaled, [rows]."""
        if self.kind == FeatureKind.SIGNED_LOG:
            mapped: Matrix = np.sign(numbers) * np.log1p(np.abs(numbers))
            return mapped
        if self.kind == FeatureKind.QUANTILE:
            return to_deviate(numbers, np.array(self.knots))
        return numbers

    def _raw(self, reconstructed: Matrix) -> Matrix:
        """The reconstruction on the raw scale, within the sample's range, float64 [rows]."""
        with np.errstate(over="ignore"):
            mapped = hard_unbound(reconstructed[:, 0]) * self.scale + self.center
        raw: Matrix = np.clip(self._unmap(mapped), self.low, self.high)
        return raw

    def _unmap(self, mapped: Matrix) -> Matrix:
        if self.kind == FeatureKind.SIGNED_LOG:
            raw: Matrix = np.sign(mapped) * np.expm1(np.minimum(np.abs(mapped), 709.0))
            return raw
        if self.kind == FeatureKind.QUANTILE:
            interpolated: Matrix = np.interp(mapped, deviates_of(len(self.knots)), np.array(self.knots))
            return interpolated
        return mapped


def as_whole(numbers: pd.Series[Any]) -> pd.Series[Any]:
    """Finite numbers as int64, rounded; those beyond its range as its ends."""
    whole: pd.Series[Any] = numbers.round().clip(-LARGEST_WHOLE, LARGEST_WHOLE).astype(np.int64)
    return whole


def _whole(number: float) -> str:
    """An expected count: small ones with a fraction, or `0, expected 0` would explain nothing."""
    if abs(number) >= SMALL_COUNT:
        return f"{number:.0f}"
    return f"{round(number, 2) + 0.0:g}"


@lru_cache(maxsize=8)
def deviates_of(count: int) -> Matrix:
    """Normal deviates of evenly spaced ranks, [count]."""
    normal = NormalDist()
    return np.array([normal.inv_cdf((at + 0.5) / count) for at in range(count)])


def to_deviate(numbers: Matrix, knots: Matrix) -> Matrix:
    """Rank among the knots as a normal deviate; beyond the ends it goes on growing, slowly.

    Equal knots (a value that many rows share) get the middle of their ranks.
    """
    deviates = deviates_of(len(knots))
    distinct, where = np.unique(knots, return_inverse=True)
    middle = np.bincount(where, weights=deviates) / np.bincount(where)
    spread = max(float(knots[-1] - knots[0]), 1e-9) / 10.0
    inside = np.interp(numbers, distinct, middle)
    with np.errstate(over="ignore"):
        above = np.log1p(np.clip((numbers - knots[-1]) / spread, 0.0, 1e300))
        below = np.log1p(np.clip((knots[0] - numbers) / spread, 0.0, 1e300))
    mapped: Matrix = inside + above - below
    return mapped


def is_heavy_tailed(numbers: Sequence[float] | Matrix) -> bool:
    """Whether the far quantiles lie much further out than a normal's would, on the wider side."""
    numbers = np.clip(np.asarray(numbers, dtype=np.float64), -LARGEST, LARGEST)
    if len(numbers) == 0:
        return False
    low, q25, q50, q75, high = np.quantile(numbers, [0.005, 0.25, 0.5, 0.75, 0.995])
    reach = max(high - q50, q50 - low)
    return bool(reach > HEAVY_TAIL * max(q75 - q25, 1e-12))


def fit_numeric(feature: Feature, values: pd.Series[Any], *, indicator: bool) -> NumericEncoder:
    """Fit the scale of one numeric column on the sample; `auto` takes the signed log for heavy tails."""
    numbers = as_numbers(values)
    seen = numbers[~np.isnan(numbers)]
    indicator = indicator or len(seen) < len(numbers)
    kind = feature.kind
    if kind is FeatureKind.AUTO:
        kind = FeatureKind.SIGNED_LOG if is_heavy_tailed(seen) else FeatureKind.ROBUST
    if len(seen) == 0:
        seen = np.zeros(1)
    knots = tuple(np.quantile(seen, np.linspace(0.0, 1.0, KNOTS)).tolist()) if kind is FeatureKind.QUANTILE else ()
    fill, low, high = float(np.median(seen)), float(seen.min()), float(seen.max())
    draft = NumericEncoder(feature.column, feature.type.value, kind.value, 0.0, 1.0, fill, low, high, indicator, knots)
    center, scale = _location(draft.map(seen))
    return replace(draft, center=center, scale=scale)


def _location(mapped: Matrix) -> tuple[float, float]:
    mapped = np.clip(mapped, -LARGEST, LARGEST)
    center, scale = float(np.mean(mapped)), float(np.std(mapped))
    if scale <= 1e-9 * max(1.0, abs(center)):
        scale = max(abs(center) * 0.1, 1.0)
    return center, scale
