"""The ways in which a row is spoilt, each for a fault that real data has, made of the data's own values.

A way is a function under `@spoils`: it is given rows, changes what it wants in their draft, and says which rows it
could spoil. Its docstring says what it stands for. Sizes are such that no detector finds all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

BEYOND = 0.999
MIXED, LEAST_MIXED = 0.1, 2
RARE_SHARE, ROWS_A_LEVEL = 0.02, 10
FACTORS = (1.5, 6.0)
STUCK_SHARE, RUN = 0.2, 10
NOISE = 0.02
TRIES = 12
# What float64 and int64 can both say.
LARGEST = float(2**62)

Places = np.ndarray[Any, np.dtype[np.intp]]
Flags = np.ndarray[Any, np.dtype[np.bool_]]
Numbers = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class Place:
    """A column to plant in.

    Args:
        name: Its name in the frame.
        numeric: Whether its values are numbers with an order.
        highest: Largest value that the contract allows, if it says one.
        lowest: Smallest value that the contract allows, if it says one.
    """

    name: str
    numeric: bool = False
    highest: float | None = None
    lowest: float | None = None


class Draft:
    """Rows that are being spoilt, beside what they were.

    Args:
        frame: Usual rows.
        places: The columns that may change.
    """

    def __init__(self, frame: pd.DataFrame, places: Sequence[Place]) -> None:
        self.rows = len(frame)
        self.places = tuple(places)
        self.numeric = tuple(at for at, place in enumerate(self.places) if place.numeric)
        self._frame = frame
        self._values = [frame[place.name].copy() for place in self.places]
        self.codes = np.column_stack([pd.factorize(frame[place.name])[0] for place in self.places])
        self.numbers = np.column_stack([_numbers(frame[p.name], p) for p in self.places])

    def is_integer(self, at: int) -> bool:
        """Whether a place holds whole numbers alone."""
        return bool(pd.api.types.is_integer_dtype(self._frame[self.places[at].name].dtype))

    def seen(self, at: int) -> Numbers:
        """The finite numbers that a place has, within what an integer can say; empty where it has none."""
        numbers = self.numbers[:, at]
        return np.clip(numbers[np.isfinite(numbers)], -LARGEST, LARGEST)

    def allowed(self, at: int, numbers: Numbers) -> Numbers:
        """Numbers as a place can hold them: of its type and within its contract."""
        place = self.places[at]
        low = -LARGEST if place.lowest is None else place.lowest
        high = LARGEST if place.highest is None else place.highest
        return np.clip(np.rint(numbers) if self.is_integer(at) else numbers, low, high)

    def take(self, at: int, rows: Places, donors: Places) -> None:
        """Put the values of other rows into a place of some rows."""
        if len(rows):
            self._values[at].iloc[rows] = self._frame[self.places[at].name].take(donors.tolist()).array

    def put(self, at: int, rows: Places, numbers: Numbers) -> None:
        """Put numbers, as `allowed` gives them, into a place of some rows."""
        if len(rows):
            own = self._values[at]
            own.iloc[rows] = pd.Series(numbers).astype(own.dtype).array

    def frame(self) -> pd.DataFrame:
        """The rows as they are now, with all other columns as they came."""
        result = self._frame.copy()
        for place, values in zip(self.places, self._values, strict=True):
            result[place.name] = values
        return result


Spoil = Callable[[Draft, Places, np.random.Generator], Flags]

WAYS: dict[str, Spoil] = {}
"""Every way of spoiling by its name, in the order in which people read them."""


def spoils(name: str) -> Callable[[Spoil], Spoil]:
    """Make a way of spoiling known under a name.

    Args:
        name: As the report says it.
    """

    def keep(spoil: Spoil) -> Spoil:
        WAYS[name] = spoil
        return spoil

    return keep


@spoils("extreme")
def extreme(draft: Draft, rows: Places, random: np.random.Generator) -> Flags:
    """A spike: one number lies beyond its column's 99.9 % quantile, by less than the column's own upper half.

    Stands for a flood, an overheated machine, a counter that overflowed.
    """
    raised = np.full((len(rows), len(draft.places)), np.nan)
    for at in draft.numeric:
        seen = draft.seen(at)
        if len(seen) == 0 or seen.min() == seen.max():
            continue
        middle, far = np.quantile(seen, [0.5, BEYOND])
        step = (far if far > middle else seen.max()) - middle
        values = far + random.random(len(rows)) * (step if step > 0 else seen.max() - seen.min())
        values = draft.allowed(at, np.floor(values) + 1.0 if draft.is_integer(at) else values)
        raised[:, at] = np.where(values > far, values, np.nan)
    return _put_one(draft, rows, raised, random)


@spoils("swapped columns")
def swapped_columns(draft: Draft, rows: Places, random: np.random.Generator) -> Flags:
    """Two numbers change places, each within what the other's column has.

    Stands for an exporter that writes its columns in another order, or source and destination exchanged.
    """
    done = np.zeros(len(rows), dtype=bool)
    ranges = {at: (seen.min(), seen.max()) for at in draft.numeric if len(seen := draft.seen(at))}
    pairs = [(a, b) for a in ranges for b in ranges if a < b and draft.is_integer(a) == draft.is_integer(b)]
    for _ in range(TRIES if pairs else 0):
        drawn = random.integers(0, len(pairs), len(rows))
        for number in np.unique(drawn[~done]):
            one, other = pairs[number]
            some = np.flatnonzero((drawn == number) & ~done)
            a, b = draft.numbers[rows[some], one], draft.numbers[rows[some], other]
            fits = (a != b) & _within(a, ranges[other]) & _within(b, ranges[one])
            draft.put(one, rows[some[fits]], b[fits])
            draft.put(other, rows[some[fits]], a[fits])
            done[some[fits]] = True
    return done


@spoils("broken pair")
def broken_pair(draft: Draft, rows: Places, random: np.random.Generator) -> Flags:
    """One value comes from another row: usual in its column, not beside the others.

    Stands for a sensor that no longer follows what it measures, or a field that an attacker forged.
    """
    return _take_some(draft, rows, _others(draft, rows, random), 1, random)


@spoils("mixed rows")
def mixed_rows(draft: Draft, rows: Places, random: np.random.Generator) -> Flags:
    """About a tenth of the columns, at least two, come from one other row, so they also go together among themselves.

    Stands for records that were joined by a wrong key, or lines that were cut and glued.
    """
    count = max(LEAST_MIXED, round(MIXED * len(draft.places)))
    return _take_some(draft, rows, _others(draft, rows, random), count, random)


@spoils("rare category")
def rare_category(draft: Draft, rows: Places, random: np.random.Generator) -> Flags:
    """One category becomes one of those that its column has least, two rows in a hundred together.

    Stands for a protocol, a firmware or a user agent that hardly ever occurs.
    """
    donors = np.full((len(rows), len(draft.places)), -1, dtype=np.intp)
    for at, place in enumerate(draft.places):
        rare = np.zeros(0, np.intp) if place.numeric else _rare_rows(draft.codes[:, at])
        if len(rare):
            chosen = random.choice(rare, len(rows))
            donors[:, at] = np.where(np.isin(rows, rare), -1, chosen)
    chosen_place = _one_of(donors >= 0, random)
    for at in np.unique(chosen_place[chosen_place >= 0]):
        some = np.flatnonzero(chosen_place == at)
        draft.take(int(at), rows[some], donors[some, at])
    spoilt: Flags = chosen_place >= 0
    return spoilt


@spoils("scale drift")
def scale_drift(draft: Draft, rows: Places, random: np.random.Generator) -> Flags:
    """One number is too large or too small by a factor between 1.5 and 6.

    Stands for a gain that drifts, or a unit that changed: bits for bytes, degrees of another scale.
    """
    scaled = np.full((len(rows), len(draft.places)), np.nan)
    for at in draft.numeric:
        own = draft.numbers[rows, at]
        low, high = (float(np.log(factor)) for factor in FACTORS)
        factors = np.exp(random.uniform(low, high, len(rows)) * random.choice([-1.0, 1.0], len(rows)))
        with np.errstate(over="ignore", invalid="ignore"):
            values = draft.allowed(at, own * factors)
        scaled[:, at] = np.where(np.isfinite(own) & (values != own), values, np.nan)
    return _put_one(draft, rows, scaled, random)


@spoils("stuck values")
def stuck_values(draft: Draft, rows: Places, random: np.random.Generator) -> Flags:
    """In runs of ten rows a fifth of the numbers stand still, at what one row has; all else goes on.

    Stands for sensors that hang at their last reading, or an exporter that repeats a cached field.
    """
    own = np.array(draft.numeric or range(len(draft.places)), dtype=np.intp)
    runs = np.arange(len(rows)) // RUN
    count = int(runs[-1]) + 1 if len(rows) else 0
    donors = random.integers(0, max(draft.rows, 1), count)[runs]
    columns = np.argsort(random.random((count, len(own))), axis=1)[:, : max(1, round(STUCK_SHARE * len(own)))]
    chosen = np.zeros((len(rows), len(draft.places)), dtype=bool)
    np.put_along_axis(chosen, own[columns][runs], values=True, axis=1)
    return _take(draft, rows, donors, chosen & (draft.codes[rows] != draft.codes[donors]))


@spoils("copied noise")
def copied_noise(draft: Draft, rows: Places, random: np.random.Generator) -> Flags:
    """The row is a copy whose numbers each carry noise: a fiftieth of what two other rows differ by.

    Stands for replayed records with jitter, a noisy line, or values that were made up where some were missing.
    """
    spoilt = np.zeros(len(rows), dtype=bool)
    for at in draft.numeric:
        seen = draft.seen(at)
        own = draft.numbers[rows, at]
        if len(seen) == 0:
            continue
        noise = NOISE * (
            seen[random.integers(0, len(seen), len(rows))] - seen[random.integers(0, len(seen), len(rows))]
        )
        values = draft.allowed(at, np.clip(own + noise, seen.min(), seen.max()))
        new = np.flatnonzero(np.isfinite(own) & (values != own))
        draft.put(at, rows[new], values[new])
        spoilt[new] = True
    return spoilt


def _numbers(values: pd.Series[Any], place: Place) -> Numbers:
    if not place.numeric:
        return np.full(len(values), np.nan)
    numbers: Numbers = pd.to_numeric(values, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    return numbers


def _within(numbers: Numbers, bounds: tuple[float, float]) -> Flags:
    inside: Flags = (numbers >= bounds[0]) & (numbers <= bounds[1])
    return inside


def _others(draft: Draft, rows: Places, random: np.random.Generator) -> Places:
    """Another row for each: a shift by a random distance, so that no row is its own donor."""
    donors: Places = (rows + random.integers(1, max(draft.rows, 2), len(rows))) % max(draft.rows, 1)
    return donors


def _rare_rows(codes: np.ndarray[Any, Any]) -> Places:
    """The rows that hold one of a column's rarest values; none where it has hardly any value twice."""
    counts = np.bincount(codes[codes >= 0])
    if not 1 < len(counts) <= max(2, len(codes) // ROWS_A_LEVEL):
        return np.zeros(0, np.intp)
    order = np.argsort(counts, kind="stable")
    rare = order[np.cumsum(counts[order]) <= RARE_SHARE * len(codes)]
    return np.flatnonzero(np.isin(codes, rare))


def _take_some(draft: Draft, rows: Places, donors: Places, count: int, random: np.random.Generator) -> Flags:
    """Take so many values from each row's donor, among those in which the two differ."""
    differs = draft.codes[rows] != draft.codes[donors]
    order = np.argsort(np.where(differs, random.random(differs.shape), 2.0), axis=1)
    rank = np.empty_like(order)
    np.put_along_axis(rank, order, np.arange(len(draft.places))[None, :], axis=1)
    return _take(draft, rows, donors, differs & (rank < count))


def _take(draft: Draft, rows: Places, donors: Places, chosen: Flags) -> Flags:
    for at in range(len(draft.places)):
        some = chosen[:, at]
        draft.take(at, rows[some], donors[some])
    spoilt: Flags = np.any(chosen, axis=1)
    return spoilt


def _put_one(draft: Draft, rows: Places, possible: Numbers, random: np.random.Generator) -> Flags:
    """Put one of each row's possible numbers, [rows, places], NaN where there is none."""
    chosen = _one_of(~np.isnan(possible), random)
    for at in np.unique(chosen[chosen >= 0]):
        some = np.flatnonzero(chosen == at)
        draft.put(int(at), rows[some], possible[some, at])
    spoilt: Flags = chosen >= 0
    return spoilt


def _one_of(possible: Flags, random: np.random.Generator) -> Places:
    """One of each row's possible places, [rows]; -1 where there is none."""
    drawn = np.where(possible, random.random(possible.shape), -1.0)
    return np.where(possible.any(axis=1), np.argmax(drawn, axis=1), -1)
