"""What a benchmark is, and how its measures become lines of JSON.

A benchmark is a generator of `Measure`. The value is computed from the samples and the verdict from the bar, here and
nowhere else: no benchmark writes either by hand. One that cannot measure raises `NotMeasured` and prints no result.
"""

from __future__ import annotations

import json
import math
import operator
import statistics
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

Bar = tuple[str, float] | tuple[str, float, float]
COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    "<": operator.lt,
    ">=": operator.ge,
    ">": operator.gt,
    "==": operator.eq,
}
BETWEEN = "between"
SUMMARIES: dict[str, Callable[[list[float]], float]] = {
    "median": statistics.median,
    "mean": statistics.fmean,
    "max": max,
    "min": min,
}


class NotMeasured(Exception):
    """The machine or the checkout lacks what the benchmark needs; the message says what."""


@dataclass(frozen=True)
class Measure:
    """One measured quantity.

    Args:
        measure: Its name, unique in its benchmark.
        samples: What was measured, in order; at least one, all finite.
        unit: Unit of value, samples and peers; empty for a pure number.
        bar: What the value must meet, for example ``("<=", 0.5)`` or ``("between", 10, 30)``, ends included; none where
            nothing is promised.
        peer: The same quantity of others, measured in the same run, by name.
        of: How the samples become the value: median, mean, max or min.
    """

    measure: str
    samples: list[float]
    unit: str
    bar: Bar | None = None
    peer: Mapping[str, float] = field(default_factory=dict)
    of: str = "median"

    def __post_init__(self) -> None:
        """Refuse what was not measured."""
        if not self.samples or not all(math.isfinite(sample) for sample in self.samples):
            raise NotMeasured(f"{self.measure}: samples are missing or not finite: {self.samples}")
        known = [*COMPARISONS, BETWEEN]
        if self.bar is not None and self.bar[0] not in known:
            raise ValueError(f"{self.measure}: unknown comparison {self.bar[0]!r}; known: {', '.join(known)}")

    @property
    def value(self) -> float:
        """The samples in one number."""
        return SUMMARIES[self.of](self.samples)

    @property
    def holds(self) -> bool | None:
        """Whether the value meets the bar; None without one."""
        if self.bar is None:
            return None
        comparison, *limits = self.bar
        if comparison == BETWEEN:
            return limits[0] <= self.value <= limits[1]
        return COMPARISONS[comparison](self.value, limits[0])

    def line(self, bench: str) -> str:
        """Return the measure as one line of JSON."""
        bar = None if self.bar is None else f"{self.bar[0]} {' and '.join(f'{limit:g}' for limit in self.bar[1:])}"
        record = {"bench": bench, "measure": self.measure, "value": self.value, "unit": self.unit}
        record |= {"peer": dict(self.peer), "bar": bar, "holds": self.holds, "samples": self.samples}
        return json.dumps(record)


@dataclass(frozen=True)
class Benchmark:
    """A named generator of measures, with a line that says what it measures."""

    name: str
    description: str
    measure: Callable[[], Iterator[Measure]]
