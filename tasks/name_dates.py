"""A date in file names: which form it has, and the address template that it makes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date as Date
from datetime import datetime
from itertools import pairwise, takewhile

BEFORE, AFTER = r"(?<!\d)", r"(?!\d)"
YEAR, TWO = r"(?:19|20)\d\d", r"\d\d"
FORMS = (
    (rf"year={YEAR}/month={TWO}/day={TWO}", "year=%Y/month=%m/day=%d"),
    (rf"{YEAR}/{TWO}/{TWO}", "%Y/%m/%d"),
    (rf"{YEAR}-{TWO}-{TWO}", "%Y-%m-%d"),
    (rf"{YEAR}_{TWO}_{TWO}", "%Y_%m_%d"),
    (rf"{YEAR}\.{TWO}\.{TWO}", "%Y.%m.%d"),
    (rf"{YEAR}{TWO}{TWO}", "%Y%m%d"),
    (rf"{TWO}-{TWO}-{YEAR}", "%d-%m-%Y"),
    (rf"{TWO}-{TWO}-{YEAR}", "%m-%d-%Y"),
    (rf"{TWO}_{TWO}_{YEAR}", "%d_%m_%Y"),
    (rf"{TWO}_{TWO}_{YEAR}", "%m_%d_%Y"),
    (rf"{TWO}\.{TWO}\.{YEAR}", "%d.%m.%Y"),
    (rf"{TWO}\.{TWO}\.{YEAR}", "%m.%d.%Y"),
    (rf"{TWO}{TWO}{YEAR}", "%d%m%Y"),
)


@dataclass(frozen=True)
class DatedPaths:
    """Paths that one template leads to.

    Args:
        template: With `{date:FORM}`, and `*` where the rest of the names differs.
        dates: The date of each path.
        note: What a person should check, or nothing.
    """

    template: str
    dates: tuple[Date, ...]
    note: str = ""


def find_dates(paths: Sequence[str]) -> DatedPaths | None:
    """The template of paths that all hold a date in one form, or None.

    Args:
        paths: As they are to stand in the template, for example relative to the project folder.
    """
    fitting = [found for pattern, form in FORMS if (found := _by_form(paths, pattern, form)) is not None]
    if not fitting:
        return None
    best = fitting[0]
    rival = next((f for f in fitting[1:] if _same_place(best, f)), None)
    if rival is None:
        return best
    gaps = _largest_gap(best.dates), _largest_gap(rival.dates)
    if len(paths) < 2 or gaps[0] == gaps[1]:
        note = "day and month cannot be told apart in the file names: check `path`"
        return DatedPaths(best.template, best.dates, note)
    return best if gaps[0] < gaps[1] else rival


def _same_place(one: DatedPaths, other: DatedPaths) -> bool:
    swap = str.maketrans("dm", "md")
    return re.sub(r"%[dm]", lambda m: m.group().translate(swap), one.template) == other.template


def _largest_gap(dates: Sequence[Date]) -> int:
    return max(((b - a).days for a, b in pairwise(sorted(dates))), default=0)


def _by_form(paths: Sequence[str], pattern: str, form: str) -> DatedPaths | None:
    found = [_last(path, pattern, form) for path in paths]
    places = [place for place in found if place is not None]
    if not places or len(places) < len(paths):
        return None
    rests = [(path[:start], path[end:]) for path, (start, end, _) in zip(paths, places, strict=True)]
    before, after = _generalised([r[0] for r in rests]), _generalised([r[1] for r in rests])
    field = "/".join(_field(part) for part in form.split("/"))
    return DatedPaths(f"{before}{field}{after}", tuple(place[2] for place in places))


def _field(part: str) -> str:
    name, _, form = part.rpartition("=")
    return f"{name}={{date:{form}}}" if name else f"{{date:{form}}}"


def _last(path: str, pattern: str, form: str) -> tuple[int, int, Date] | None:
    """The last place of a path that reads as a date: what stands nearest to the name's end."""
    for match in reversed(list(re.finditer(f"{BEFORE}{pattern}{AFTER}", path))):
        try:
            return match.start(), match.end(), datetime.strptime(match.group(), form).date()  # noqa: DTZ007  no zone in a date
        except ValueError:
            continue
    return None


def _generalised(texts: Sequence[str]) -> str:
    """One pattern for texts that may differ: what they share at both ends, folder by folder, and `*` between."""
    if len(set(texts)) == 1:
        return texts[0]
    split = [text.split("/") for text in texts]
    if len({len(parts) for parts in split}) > 1:
        return _with_star(texts)
    return "/".join(_with_star(parts) for parts in zip(*split, strict=True))


def _with_star(texts: Sequence[str]) -> str:
    if len(set(texts)) == 1:
        return texts[0]
    # A digit that all of a few numbers share says nothing of the next one: hours 05 and 06 come before 10.
    start = re.sub(r"\d+$", "", _shared_start(texts))
    end = re.sub(r"\d+$", "", _shared_start([text[len(start) :][::-1] for text in texts]))[::-1]
    return f"{start}*{end}"


def _shared_start(texts: Sequence[str]) -> str:
    shortest = min(texts, key=len)
    same = (all(text[i] == c for text in texts) for i, c in enumerate(shortest))
    return shortest[: sum(1 for _ in takewhile(bool, same))]


def generalise(paths: Sequence[str]) -> str:
    """One address for files without a date: the path itself, or a pattern with `*`."""
    return _generalised(paths)
