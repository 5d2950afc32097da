"""What retention takes away, and what it leaves although it is old: plain facts, for people and for those who do it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, timedelta
from datetime import date as Date
from datetime import datetime as DateTime
from typing import Any, Literal, TypeAlias

Kind: TypeAlias = Literal["rows", "unnamed", "reports", "detector", "logs", "resumes", "runs"]
"""Rows of nights, files that no version names, pages, a version of a detector, files of runs, rows of the state."""


@dataclass(frozen=True)
class Going:
    """One thing that goes, or would.

    Args:
        kind: What kind of thing.
        dataset: Whose; empty for what belongs to no dataset.
        what: The table, the version, or what people call it.
        count: How many files, versions or rows.
        bytes: What they take, about.
        why: By which rule.
        nights: The nights that they belong to, oldest first.
        names: Paths, or numbers of rows, where the kind has such.
    """

    kind: Kind
    dataset: str
    what: str
    count: int
    bytes: int
    why: str
    nights: tuple[Date, ...] = ()
    names: tuple[str, ...] = field(default=(), repr=False)

    @property
    def in_words(self) -> str:
        """The thing, without its size."""
        days = f" of {nights_in_words(self.nights)}" if self.nights else ""
        return f"{self.dataset} {self.what}{days}".strip()

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        values = {name: value for name, value in asdict(self).items() if name != "names"}
        return {**values, "nights": [night.isoformat() for night in self.nights]}


@dataclass(frozen=True)
class Staying:
    """Something that is old enough to go, and stays.

    Args:
        dataset: Whose.
        what: As for `Going`.
        why: What needs it.
        nights: As for `Going`.
    """

    dataset: str
    what: str
    why: str
    nights: tuple[Date, ...] = ()

    @property
    def in_words(self) -> str:
        """The thing and what needs it."""
        days = f" of {nights_in_words(self.nights)}" if self.nights else ""
        return f"{f'{self.dataset} {self.what}'.strip()}{days}: {self.why}"

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "nights": [night.isoformat() for night in self.nights]}


@dataclass(frozen=True)
class Plan:
    """What goes and what stays.

    Args:
        going: What goes.
        staying: What stays although it is old.
        failures: What could not be looked at, or could not be done.
    """

    going: tuple[Going, ...] = ()
    staying: tuple[Staying, ...] = ()
    failures: tuple[str, ...] = ()

    @property
    def bytes(self) -> int:
        """What goes takes, about."""
        return sum(one.bytes for one in self.going)

    def __add__(self, other: Plan) -> Plan:
        return Plan(self.going + other.going, self.staying + other.staying, self.failures + other.failures)


def beyond(kept: int | timedelta | None, nights: Collection[Date], today: Date | None = None) -> list[Date]:
    """The nights that are older than a rule keeps, oldest first.

    Args:
        kept: So many of the newest, or those not older than a length of time; None keeps all.
        nights: Those that are there.
        today: The day; today (UTC) where none is given.
    """
    ordered = sorted(nights)
    if kept is None:
        return []
    if isinstance(kept, int):
        return ordered[:-kept]
    first = (today or DateTime.now(UTC).date()) - kept
    return [night for night in ordered if night < first]


def rule_in_words(kept: int | timedelta | None, things: str = "nights") -> str:
    """Why something goes."""
    if isinstance(kept, timedelta):
        return f"older than {kept.days} days"
    return f"not among the newest {kept:,} {things}"


def nights_in_words(nights: Sequence[Date]) -> str:
    """Nights by their number and the first and last of them."""
    if len(nights) < 3:
        return " and ".join(night.isoformat() for night in nights)
    return f"{len(nights):,} nights, {nights[0]} to {nights[-1]}"


def size_in_words(size: int) -> str:
    """A size for people."""
    amount = float(size)
    for unit in ("bytes", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:,.0f} {unit}" if unit == "bytes" else f"{amount:,.1f} {unit}"
        amount /= 1000
    return f"{amount:,.1f} TB"


def in_groups(nights: Iterable[Date], reasons: dict[Date, str]) -> dict[str, tuple[Date, ...]]:
    """Nights by the reason for which they stay, in the order of the first of each."""
    found: dict[str, tuple[Date, ...]] = {}
    for night in sorted(nights):
        found[reasons[night]] = (*found.get(reasons[night], ()), night)
    return found
