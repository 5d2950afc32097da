"""What a whole batch must meet, derived from the nights that were looked at; and whether the time of day matters."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date as Date

import numpy as np
import numpy.typing as npt

from schemas.expectation_rules import Expectation, Freshness, KnownValues, Median, Nulls, Volume
from schemas.features import FeatureKind
from tasks.left_out import LABEL
from tasks.physical_ranges import is_port
from tasks.profile import ColumnFacts, Profile
from tasks.propose import Decision, Roles, shown_number

DAY = 86_400
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Nights:
    """The night of each row.

    Args:
        of: Days since 1970 of each row, -1 where unknown `[rows]`.
        counts: Rows of each whole night, by day.
        from_names: Whether the files' names say so; else the event time.
    """

    of: Ints
    counts: dict[int, int]
    from_names: bool

    @property
    def days(self) -> list[int]:
        """The whole nights, in order."""
        return sorted(self.counts)


@dataclass(frozen=True)
class Rule:
    """One expectation and, in words, why it is so."""

    rule: Expectation
    why: str


def find_nights(profile: Profile, facts: Mapping[str, ColumnFacts], time: str | None) -> Nights:
    """The nights of the rows, by file names or else by event time, where half nights at the ends do not count."""
    if all(file.night is not None for file in profile.files):
        of_file = np.array([_day(file.night) for file in profile.files if file.night is not None], dtype=np.int64)
        counts: dict[int, int] = {}
        for file, day in zip(profile.files, of_file.tolist(), strict=True):
            counts[day] = counts.get(day, 0) + file.rows
        return Nights(of_file[profile.file_of], counts, from_names=True)
    seconds = facts[time].numbers if time else None
    if seconds is None:
        return Nights(
            np.full(profile.rows, -1, dtype=np.int64), {0: sum(f.rows for f in profile.files)}, from_names=False
        )
    known = np.isfinite(seconds)
    of = np.where(known, np.floor(np.where(known, seconds, 0) / DAY), -1).astype(np.int64)
    days, rows = np.unique(of[known], return_counts=True)
    counts = dict(zip(days.tolist(), rows.tolist(), strict=True))
    ends = days.tolist()
    if len(ends) > 3:
        counts = {day: rows for day, rows in counts.items() if day not in (ends[0], ends[-1])}
    return Nights(of, counts, from_names=False)


def _day(night: Date) -> int:
    return (night - Date(1970, 1, 1)).days


def propose_rules(
    facts: Mapping[str, ColumnFacts], decisions: Mapping[str, Decision], roles: Roles, nights: Nights
) -> list[Rule]:
    """Expectations with bands that every observed night keeps with room to spare."""
    rules = _volume(nights)
    rules += _freshness(facts, roles, nights)
    for name, decision in decisions.items():
        rules += _nulls(name, facts[name], decision, nights)
    for name, decision in decisions.items():
        if name not in (*roles.key, roles.time, roles.entity):
            rules += _median(name, facts[name], decision, nights)
            rules += _known_values(name, facts[name], decision, nights)
    return rules


def _volume(nights: Nights) -> list[Rule]:
    rows = np.array(list(nights.counts.values()), dtype=float)
    usual = max(1, round(float(np.median(rows))))
    if len(rows) < 2:
        one = "one night was looked at: narrow the bands when more are known"
        return [
            Rule(Volume(expect="volume", usual=usual, between=(0.5, 2.0), policy="warn"), one),
            Rule(Volume(expect="volume", usual=usual, between=(0.2, 5.0), policy="block"), ""),
        ]
    least, most = rows.min() / usual, rows.max() / usual
    spoke = f"{len(rows)} nights had {int(rows.min()):,} to {int(rows.max()):,} rows"
    warn = (_down(min(0.75, least * 0.9)), _up(max(1.4, most * 1.1)))
    block = (_down(min(0.5, least * 0.6)), _up(max(2.0, most * 1.6)))
    return [
        Rule(Volume(expect="volume", usual=usual, between=warn, policy="warn"), spoke),
        Rule(Volume(expect="volume", usual=usual, between=block, policy="block"), ""),
    ]


def _freshness(facts: Mapping[str, ColumnFacts], roles: Roles, nights: Nights) -> list[Rule]:
    if not nights.from_names or roles.time is None:
        return []
    seconds = facts[roles.time].numbers
    if seconds is None:
        return []
    shares = [
        float(np.mean(np.floor(seconds[nights.of == day] / DAY) == day))
        for day in nights.days
        if (nights.of == day).any()
    ]
    if not shares or min(shares) < 0.8:
        return []
    why = f"at least {min(shares):.0%} of each file's rows were of its date"
    return [Rule(Freshness(expect="freshness", column=roles.time, at_least=0.5, policy="block"), why)]


def _nulls(name: str, facts: ColumnFacts, decision: Decision, nights: Nights) -> list[Rule]:
    if not decision.column.nullable or decision.column.left_out or not facts.rows:
        return []
    missing = facts.codes < 0
    shares = [float(missing[nights.of == day].mean()) for day in nights.days if (nights.of == day).any()]
    worst = max(shares, default=facts.missing / facts.rows)
    at_most = round(min(1.0, worst + max(0.05, 0.5 * min(worst, 1 - worst))), 3)
    if at_most >= 1:
        return []
    return [Rule(Nulls(expect="nulls", column=name, at_most=at_most), f"{worst:.1%} on the worst night")]


def _median(name: str, facts: ColumnFacts, decision: Decision, nights: Nights) -> list[Rule]:
    column = decision.column
    coded = column.feature in (FeatureKind.ONE_HOT, FeatureKind.HASH)
    if (
        not facts.is_numeric
        or column.left_out
        or coded
        or facts.numbers is None
        or min(facts.finite.size, 20 * facts.distinct) < 60
    ):
        return []
    low, high = (float(q) for q in np.quantile(facts.finite, [0.05, 0.95]))
    if low >= high:
        return []
    medians = [float(np.median(v)) for day in nights.days if (v := _finite(facts.numbers[nights.of == day])).size >= 5]
    medians = medians or [float(np.median(facts.finite))]
    spread = max(medians) - min(medians)
    room = max(spread, 0.1 * (high - low))
    low, high = min(low, min(medians) - room), max(high, max(medians) + room)
    if column.min is not None or facts.finite.min() >= 0:
        low = max(low, column.min or 0.0)
    wanders = spread > 0.5 * (high - low) / 2
    few = len(medians) < 3
    why = f"medians so far {shown_number(min(medians))} to {shown_number(max(medians))}"
    if spread == 0:
        why = f"median so far {shown_number(medians[0])}"
    if few or wanders:
        why += "; warns: " + ("too few nights to block" if few else "it wanders from night to night")
    digits = 4 + max(0, math.ceil(math.log10(max(abs(low), abs(high)) / (high - low))))
    band = (_down(low, digits), _up(high, digits))
    return [Rule(Median(expect="median", column=name, between=band, policy="warn" if few or wanders else "block"), why)]


def _finite(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return values[np.isfinite(values)]


def _known_values(name: str, facts: ColumnFacts, decision: Decision, nights: Nights) -> list[Rule]:
    if decision.column.values is None or decision.column.left_out or not nights.days:
        return []
    at_least = 0.95 if facts.present >= 200 else 0.8
    return [Rule(KnownValues(expect="known_values", column=name, at_least=at_least), "")]


def _down(value: float, digits: int = 2) -> float:
    return _rounded(value, digits, math.floor)


def _up(value: float, digits: int = 2) -> float:
    return _rounded(value, digits, math.ceil)


def _rounded(value: float, digits: int, to: Callable[[float], int]) -> float:
    if value == 0 or not math.isfinite(value):
        return value
    scale = 10.0 ** (digits - 1 - math.floor(math.log10(abs(value))))
    return float(f"{to(value * scale) / scale:.{digits}g}")


def daily_rhythm(facts: Mapping[str, ColumnFacts], time: str | None, nights: Nights) -> str | None:
    """In words why the time of day matters, or None: measured on three nights or more, alike in both halves."""
    if time is None or len(nights.days) < 3:
        return None
    seconds = facts[time].numbers
    if seconds is None:
        return None
    known = np.isfinite(seconds) & np.isin(nights.of, nights.days)
    if known.sum() < 200:
        return None
    hours = np.where(known, np.where(known, seconds, 0) // 3600 % 24, 0).astype(int)
    position = np.searchsorted(np.array(nights.days), nights.of)
    odd = position % 2 == 1
    profiles = [np.bincount(hours[known & half], minlength=24).astype(float) for half in (odd, ~odd)]
    mean = profiles[0] + profiles[1]
    if min(p.sum() for p in profiles) and mean.max() > 1.8 * mean.mean() and _alike(*profiles):
        return f"time of day matters: the busiest hour has {mean.max() / mean.mean():.1f} times the rows of a mean one"
    for name, column in facts.items() if len(nights.days) > 3 else ():
        is_code = is_port(name, column) or LABEL.search(name.lower()) is not None
        if column.is_numeric and column.numbers is not None and column.distinct > 2 and not is_code:
            share = _explained(column.numbers, hours, odd, known)
            if share > 0.1:
                return f"time of day matters: {share:.0%} of how {_short(name)} varies goes with the hour"
    return None


def _explained(
    numbers: npt.NDArray[np.float64], hours: Ints, odd: npt.NDArray[np.bool_], known: npt.NDArray[np.bool_]
) -> float:
    """Share of a column's rank variance that the hour explains, 0 where the halves of the nights do not agree."""
    use = known & np.isfinite(numbers)
    if use.sum() < 200:
        return 0.0
    ranks = np.full(len(numbers), np.nan)
    _, inverse, counts = np.unique(numbers[use], return_inverse=True, return_counts=True)
    ranks[use] = (np.cumsum(counts) - counts / 2)[inverse] / use.sum()
    means = [_hourly(ranks, hours, use & half) for half in (odd, ~odd)]
    both = np.isfinite(means[0]) & np.isfinite(means[1])
    if both.sum() < 6 or not _alike(means[0][both], means[1][both]):
        return 0.0
    overall = _hourly(ranks, hours, use)
    variance = float(np.nanvar(ranks))
    return float(np.nanvar(overall[hours[use]]) / variance) if variance > 0 else 0.0


def _hourly(values: npt.NDArray[np.float64], hours: Ints, use: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    counts = np.bincount(hours[use], minlength=24)
    sums = np.bincount(hours[use], weights=values[use], minlength=24)
    means: npt.NDArray[np.float64] = np.where(counts >= 3, sums / np.maximum(counts, 1), np.nan)
    return means


def _alike(one: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> bool:
    if np.std(one) == 0 or np.std(other) == 0:
        return False
    return float(np.corrcoef(one, other)[0, 1]) > 0.6


def _short(name: str) -> str:
    return name if len(name) <= 40 else f"{name[:40]}..."
