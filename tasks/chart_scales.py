"""Where a value lies on a chart: linear, logarithmic and bin scales, their ticks, and thinning of long series."""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

_T = TypeVar("_T")


LEAST_SPAN = 1e-300  # below, the steps between ticks are no numbers any more


@dataclass(frozen=True)
class Linear:
    """Maps `low`..`high` to 0..1; values outside are clamped."""

    low: float
    high: float

    def at(self, value: float) -> float:
        """Return the position in 0..1."""
        span = self.high - self.low
        return min(1.0, max(0.0, (value - self.low) / span)) if span > 0 else 0.5

    def ticks(self, most: int = 5) -> list[float]:
        """Return at most about `most` round values within the scale."""
        span = self.high - self.low
        if span <= LEAST_SPAN or not math.isfinite(span):
            return [self.low]
        rough = span / most
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(s * power for s in (1, 2, 2.5, 5, 10) if s * power >= rough * 0.999)
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [i * step for i in range(first, last + 1)]


@dataclass(frozen=True)
class LogCount:
    """Maps counts 0..`most` to 0..1: none is 0, a single one is already seen, then a step for each factor of ten."""

    most: float

    def at(self, value: float) -> float:
        """Return the position in 0..1; fractions below a third of one row vanish."""
        lift = 0.5
        height = math.log10(max(value, 10**-lift)) + lift
        return min(1.0, max(0.0, height / (math.log10(max(self.most, 2.0)) + lift)))

    def ticks(self) -> list[float]:
        """Return the powers of ten up to the largest count, thinned to six."""
        powers = range(math.floor(math.log10(max(self.most, 2.0))) + 1)
        return [float(10**p) for p in powers][:: max(1, math.ceil(len(powers) / 6))]


@dataclass(frozen=True)
class LogValue:
    """Maps positive values `low`..`high` to 0..1 by their logarithm."""

    low: float
    high: float

    def at(self, value: float) -> float:
        """Return the position in 0..1."""
        return Linear(math.log(self.low), math.log(self.high)).at(math.log(max(value, self.low)))

    def ticks(self, most: int = 5) -> list[float]:
        """Return round values (1, 2, 5 times a power of ten) within the scale."""
        first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
        found = [m * 10.0**p for p in range(first, last + 1) for m in (1, 2, 5) if self.low <= m * 10.0**p <= self.high]
        return thinned(found, most) if found else [self.low, self.high]


@dataclass(frozen=True)
class Bins:
    """Maps values to 0..1 so that equal steps of a histogram's edges, of whatever width, get equal space."""

    edges: tuple[float, ...]

    @property
    def uniform(self) -> bool:
        """Whether all bins have about the same width, so that the scale is linear."""
        widths = [b - a for a, b in zip(self.edges, self.edges[1:], strict=False)]
        return max(widths) < 1.5 * min(widths)

    def at(self, value: float) -> float:
        """Return the position in 0..1; values outside are clamped."""
        bins = len(self.edges) - 1
        i = min(max(bisect.bisect_right(self.edges, value) - 1, 0), bins - 1)
        left, right = self.edges[i], self.edges[i + 1]
        return (i + min(1.0, max(0.0, (value - left) / (right - left)))) / bins

    def ticks(self, most: int = 5) -> list[float]:
        """Return round values where the scale is linear, else some of the edges."""
        return Linear(self.edges[0], self.edges[-1]).ticks(most) if self.uniform else thinned(self.edges, most)


def rising(edges: Sequence[float]) -> bool:
    """Whether edges of bins are finite and each is above the one before."""
    return len(edges) > 1 and all(math.isfinite(e) for e in edges) and all(a < b for a, b in pairwise(edges))


def thinned(items: Sequence[_T], most: int) -> list[_T]:
    """Return at most `most` items, evenly spread, the first and the last among them."""
    if len(items) <= most:
        return list(items)
    return [items[round(i * (len(items) - 1) / (most - 1))] for i in range(most)]


def merged(counts: Sequence[float], edges: Sequence[float], most: int) -> tuple[list[float], list[float]]:
    """Return the histogram with at most `most` bins, neighbours added up."""
    step = max(1, math.ceil(len(counts) / most))
    joined = [float(sum(counts[i : i + step])) for i in range(0, len(counts), step)]
    return joined, [*edges[:-1:step], edges[-1]]
