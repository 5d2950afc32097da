"""How the values of a set of files are spelt: missing, true and false, decimal mark, groups of digits."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from schemas.dataset import Source

NEVER_A_NAME = ("-", "--", "?", "(empty)", "\\N", "<NA>", "<null>", "<nil>", "#N/A", "n/a", "NaT")
AMONG_NUMBERS = (
    ".",
    "..",
    "none",
    "na",
    "Na",
    "Nan",
    "-nan",
    "nil",
    "NIL",
    "missing",
    "MISSING",
    "undefined",
    "#NULL!",
    "*",
    "x",
)
TRUE_FALSE = (("true", "false"), ("yes", "no"), ("t", "f"), ("y", "n"), ("on", "off"), ("ja", "nein"), ("oui", "non"))
NUMBER = re.compile(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?")
INFINITE = re.compile(r"[+-]?(inf|infinity|nan)", re.IGNORECASE)
COMMA = re.compile(r"[+-]?\d*,\d+([eE][+-]?\d+)?")
POINT = re.compile(r"[+-]?\d*\.\d+([eE][+-]?\d+)?")
THOUSAND_COMMA = re.compile(r"[+-]?\d{1,3}(,\d{3})+")
GROUPED = {
    ".": re.compile(r"[+-]?\d{1,3}(\.\d{3})+,\d+|[+-]?\d{1,3}(\.\d{3}){2,}"),
    ",": re.compile(r"[+-]?\d{1,3}(,\d{3})+\.\d+|[+-]?\d{1,3}(,\d{3}){2,}"),
    " ": re.compile("[+-]?\\d{1,3}([ \u00a0\u202f]\\d{3})+([.,]\\d+)?"),
    "'": re.compile(r"[+-]?\d{1,3}('\d{3})+(\.\d+)?"),
}
Counts = Mapping[str, int]


@dataclass(frozen=True)
class Words:
    """Spelling, as it stands in `source`."""

    null_values: tuple[str, ...]
    true_values: tuple[str, ...]
    false_values: tuple[str, ...]
    decimal: str = "."
    thousands: str | None = None


def find_words(columns: Iterable[Counts], delimiter: str | None) -> Words:
    """Look at the distinct values of all text columns.

    Args:
        columns: Value to count, for each column.
        delimiter: Of the files; where it is a comma, a comma inside a number was quoted.
    """
    counts = list(columns)
    defaults = Source.model_validate({"path": "x"})
    nulls, true, false = list(defaults.null_values), list(defaults.true_values), list(defaults.false_values)
    for column in counts:
        present = {value for value in column if value not in nulls}
        nulls += sorted(_null_words(present, column))
        for pair in TRUE_FALSE:
            if 0 < len(present) <= 6 and {value.lower() for value in present} <= set(pair):
                true += sorted(value for value in present if value.lower() == pair[0] and value not in true)
                false += sorted(value for value in present if value.lower() == pair[1] and value not in false)
    decimal, thousands = _marks(counts, set(nulls), delimiter)
    return Words(tuple(dict.fromkeys(nulls)), tuple(true), tuple(false), decimal, thousands)


def _null_words(present: set[str], counts: Counts) -> set[str]:
    """Texts of one column that say that nothing is there."""
    never, maybe = present.intersection(NEVER_A_NAME), present.intersection(AMONG_NUMBERS)
    if not never and not maybe:
        return set()
    rest = present - never - maybe
    if not any(any(c.isalnum() for c in value) for value in rest):
        return set()
    weight = sum(counts[value] for value in rest)
    numeric = sum(counts[value] for value in rest if NUMBER.fullmatch(value) or INFINITE.fullmatch(value))
    return never | maybe if numeric >= 0.99 * weight else never


def _marks(columns: list[Counts], nulls: set[str], delimiter: str | None) -> tuple[str, str | None]:
    commas = points = 0
    thousands: str | None = None
    grouped_commas = False
    for column in columns:
        values = [value for value in column if value not in nulls][:2_000]
        if not values:
            continue
        group = next((mark for mark, form in GROUPED.items() if _mostly(form, values)), None)
        if group is not None:
            thousands = group
            commas += any("," in value for value in values) and group != ","
            continue
        if _mostly(COMMA, values, NUMBER) and not any("." in value for value in values):
            only_thousands = all(THOUSAND_COMMA.fullmatch(v) for v in values if "," in v)
            grouped_commas |= only_thousands and delimiter != ";"
            commas += not (only_thousands and delimiter != ";")
        points += _mostly(POINT, values, NUMBER)
    if grouped_commas and not commas:
        thousands = ","
    decimal = "," if commas and not points and thousands != "," else "."
    return decimal, thousands


def _mostly(form: re.Pattern[str], values: list[str], others: re.Pattern[str] | None = None) -> bool:
    """Whether some values have a form, and the rest is plain numbers."""
    some = sum(bool(form.fullmatch(value)) for value in values)
    rest = others or NUMBER
    every = sum(bool(form.fullmatch(value) or rest.fullmatch(value)) for value in values)
    return some > 0 and every >= 0.99 * len(values)
