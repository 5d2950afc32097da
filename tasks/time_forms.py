"""Which form the times of a column have."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache

import pyarrow as pa

from tasks.coerce_times import read_times

DATES = (
    "%Y/%m/%d", "%Y.%m.%d", "%Y-%m-%d", "%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%d-%m-%Y", "%m-%d-%Y",
    "%d/%m/%y", "%m/%d/%y", "%d.%m.%y", "%d-%b-%Y", "%d/%b/%Y", "%d %b %Y", "%b %d %Y", "%b %d, %Y",
    "%a %b %d %H:%M:%S %Y",
)  # fmt: skip
GLUE = (" ", "T", ".", ":", "-", "_", ", ")
CLOCKS = (
    "%H:%M:%S", "%H:%M", "%H:%M:%S.%f", "%H", "%I:%M:%S %p", "%I:%M %p", "%H.%M.%S", "%H.%M", "%H-%M-%S", "%H%M%S",
    "%H:%M:%S %z", "%H:%M:%S%z",
)  # fmt: skip
TIME_NAME = re.compile(
    r"(^|[^a-z])(ts|time|timestamp|epoch|date|datetime|day|utc|stime|ltime|starttime|endtime|when|seen|created|updated)([^a-z]|$)"
    r"|timestamp|datetime|[a-z]time$|_at$|^(start|end)_?time",
    re.IGNORECASE,
)
DIRECTIVES = {
    "Y": r"(?:19|20|21)\d\d", "y": r"\d\d(?!\d)", "m": r"(?:1[0-2]|0?[1-9])", "d": r"(?:3[01]|[12]\d|0?[1-9])",
    "H": r"(?:2[0-3]|[01]?\d)", "I": r"(?:1[0-2]|0?[1-9])", "M": r"[0-5]\d", "S": r"[0-5]\d", "f": r"\d{1,6}",
    "p": r"[AaPp][Mm]", "b": r"[A-Z][a-z]{2}", "a": r"[A-Z][a-z]{2}", "z": r"(?:Z|[+-]\d{2}:?\d{2})",
}  # fmt: skip
UNIX = (("unix_s", 1.0), ("unix_ms", 1e3), ("unix_us", 1e6), ("unix_ns", 1e9))
SINCE, UNTIL = 631_152_000, 4_102_444_800  # 1990 to 2100
MOST = 2_000


def find_time_form(name: str, values: Sequence[str], null_values: Sequence[str]) -> tuple[str, bool] | None:
    """The form of a column's times.

    Args:
        name: The column's; plain numbers are times only where the name says so.
        values: Distinct texts that are not missing.
        null_values: Words for missing.

    Returns:
        The form as it stands in a contract, and whether day and month could be the other way round; None for no times.
    """
    sample = [value.strip() for value in values[:MOST]]
    if not sample:
        return None
    named = bool(TIME_NAME.search(name))
    if all(re.fullmatch(r"\d+(\.\d*)?", value) for value in sample):
        return _from_numbers(sample, null_values) if named else None
    if not any(c.isdigit() for c in sample[0]) or max(map(len, sample)) > 60:
        return None
    if _reads(sample, "iso8601", null_values):
        return "iso8601", False
    fitting = [form for form in _candidates(sample) if _reads(sample, form, null_values)]
    if not fitting:
        return None
    return fitting[0], any(_swapped(fitting[0]) == other for other in fitting[1:])


def _from_numbers(sample: Sequence[str], null_values: Sequence[str]) -> tuple[str, bool] | None:
    numbers = [float(value) for value in sample]
    for form, scale in UNIX:
        if all(SINCE * scale <= number <= UNTIL * scale for number in numbers):
            return form, False
    whole = all(re.fullmatch(r"(19|20)\d{6}(\d{4}|\d{6})?", value) for value in sample)
    return ("iso8601", False) if whole and _reads(sample, "iso8601", null_values) else None


def _candidates(sample: Sequence[str]) -> list[str]:
    """Forms whose shape a few of the values have."""
    shapes = [set(_shapes(value)) for value in (sample[0], sample[len(sample) // 2], sample[-1])]
    return [form for form in _shapes(sample[0]) if all(form in others for others in shapes)]


def _shapes(text: str) -> list[str]:
    found = []
    for date in DATES:
        match = _expression(date).match(text)
        rest = text[match.end() :] if match else None
        if rest == "":
            found.append(date)
        elif rest is not None:
            glues = [glue for glue in GLUE if rest.startswith(glue)]
            found += [date + g + c for g in glues for c in CLOCKS if _expression(c).fullmatch(rest[len(g) :])]
    return found


@cache
def _expression(form: str) -> re.Pattern[str]:
    pieces = re.split(r"%(.)", form)
    return re.compile("".join(DIRECTIVES[p] if i % 2 else re.escape(p) for i, p in enumerate(pieces)))


def _reads(sample: Sequence[str], form: str, null_values: Sequence[str]) -> bool:
    _, lost = read_times(pa.array(list(sample), pa.string()), form, "UTC", null_values)
    return float(lost.mean()) <= 0.01


def _swapped(form: str) -> str:
    return form.replace("%d", "%0").replace("%m", "%d").replace("%0", "%m")
