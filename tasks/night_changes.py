"""What is not as it was on the last night: rows, alerts, the version, the dataset file, expectations, drift."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from typing import Any

from schemas.results import Change, ExpectationOutcome, NightReport, NightResult
from tasks.report_text import count, number, percent, shortened

FEWEST_NIGHTS = 3
UNUSUAL = 3.5  # robust standard deviations from the median of the nights before
SIGMA = 1.4826  # median absolute deviation to standard deviation
MOST_KEYS = 40
LONGEST = 160
ABSENT = "not there"


def changes_between(before: NightReport, tonight: NightReport) -> tuple[Change, ...]:
    """Compare tonight with the last night.

    Args:
        before: The last night's report; only its result where no more of it is left.
        tonight: Tonight's, with its timeline in `history`; what it says of values is masked already.

    Returns:
        What differs, in the order of a report: outcome, rows, alerts, version, expectations, drift, dataset file.
    """
    history = [point for point in tonight.history if point.get("date") != tonight.result.date]
    return (
        *_outcome(before.result, tonight.result),
        *_counts(before.result, tonight.result, history),
        *_detector(before, tonight),
        *_expectations(before.expectation_outcomes, tonight.expectation_outcomes),
        *_drift(before, tonight),
        *configuration_changes(before.configuration, tonight.configuration),
    )


def configuration_changes(before: Mapping[str, Any], tonight: Mapping[str, Any]) -> tuple[Change, ...]:
    """The keys of the dataset file that changed, by dotted path; nothing where one of the two is not known.

    A column (or any other part) that is new or gone is one change, not one for each of its keys.
    """
    if not before or not tonight:
        return ()
    found = list(_differences(before, tonight, ""))
    shown = [Change(what=path, before=_brief(a), tonight=_brief(b), notable=True) for path, a, b in found[:MOST_KEYS]]
    if len(found) > MOST_KEYS:
        more = f"{len(found) - MOST_KEYS:,} more keys changed"
        shown.append(Change(what="dataset file", before="", tonight=more, notable=True))
    return tuple(shown)


def is_unusual(value: float, before: Sequence[float], least: float) -> bool:
    """Whether a value lies beyond what the values before differ by; never while there are fewer than three.

    Args:
        value: Tonight's.
        before: The same of the nights before.
        least: The smallest standard deviation to reckon with.
    """
    if len(before) < FEWEST_NIGHTS:
        return False
    middle = median(before)
    spread = max(SIGMA * median(abs(other - middle) for other in before), least)
    return abs(value - middle) > UNUSUAL * spread


def _outcome(before: NightResult, tonight: NightResult) -> Iterator[Change]:
    if before.status != tonight.status:
        yield Change(what="status", before=before.status, tonight=tonight.status, notable=True)


def _counts(before: NightResult, tonight: NightResult, history: Sequence[Mapping[str, Any]]) -> Iterator[Change]:
    """Rows and alerts, each held against what the nights before differ by."""
    full = [point for point in history if point.get("read")]
    read = [float(point["read"]) for point in full]
    yield from _count("rows read", before.rows.read, tonight.rows.read, read)
    shares = [float(point.get("quarantined", 0)) / float(point["read"]) for point in full]
    yield from _share_changed(before, tonight, shares)
    if before.rows.held != tonight.rows.held:
        yield Change(what="rows held", before=count(before.rows.held), tonight=count(tonight.rows.held), notable=True)
    if before.threshold is not None and tonight.threshold is not None:
        alerts = [float(point.get("alerts", 0)) for point in full if point.get("version")]
        yield from _count("alerts", before.alerts, tonight.alerts, alerts)


def _count(what: str, before: int, tonight: int, history: Sequence[float]) -> Iterator[Change]:
    if before == tonight:
        return
    middle = median(history) if history else 0.0
    notable = is_unusual(tonight, history, max(1.0, math.sqrt(middle), 0.02 * middle))
    yield Change(what=what, before=count(before), tonight=count(tonight), notable=notable)


def _share_changed(before: NightResult, tonight: NightResult, history: Sequence[float]) -> Iterator[Change]:
    pairs = [(result.rows.quarantined, result.rows.read) for result in (before, tonight)]
    said = [_share_in_words(*pair) for pair in pairs]
    if said[0] == said[1] or not all(read for _, read in pairs):
        return
    rows, share = float(tonight.rows.read), tonight.rows.quarantined / tonight.rows.read
    middle = max(median(history) if history else 0.0, 1.0 / rows)
    notable = is_unusual(share, history, max(0.001, math.sqrt(middle / rows)))
    yield Change(what="rows quarantined", before=said[0], tonight=said[1], notable=notable)


def _share_in_words(part: int, whole: int) -> str:
    return f"{count(part)} ({percent(part, whole)})"


def _detector(before: NightReport, tonight: NightReport) -> Iterator[Change]:
    old, new = before.result, tonight.result
    pairs = [
        ("version that scored", old.model.version, new.model.version, False),
        ("champion", old.model.champion, new.model.champion, False),
        ("family", old.model.family, new.model.family, True),
    ]
    for what, one, other, notable in pairs:
        if one is not None and other is not None and one != other:
            yield Change(what=what, before=one, tonight=other, notable=notable)
    if old.threshold is not None and new.threshold is not None and number(old.threshold) != number(new.threshold):
        yield Change(what="threshold", before=number(old.threshold), tonight=number(new.threshold))


def _expectations(before: Sequence[ExpectationOutcome], tonight: Sequence[ExpectationOutcome]) -> Iterator[Change]:
    held = {_place(outcome): outcome.success for outcome in before}
    for outcome in tonight:
        did = held.get(_place(outcome))
        if did is None or did == outcome.success:
            continue
        observed = f": {shortened(outcome.observed, LONGEST)[0]}" if outcome.observed else ""
        words = ("held", f"fails{observed}") if did else ("failed", f"holds again{observed}")
        yield Change(what=outcome.rule, before=words[0], tonight=words[1], notable=not outcome.success)


def _place(outcome: ExpectationOutcome) -> tuple[str, str | None, str]:
    """Which expectation it is; words that name the night or its usual size are others every night."""
    moving = outcome.expect in ("volume", "freshness")
    return outcome.expect, outcome.column, "" if moving else outcome.rule


def _drift(before: NightReport, tonight: NightReport) -> Iterator[Change]:
    if before.drift is None or tonight.drift is None or "not known" in (before.drift.verdict, tonight.drift.verdict):
        return
    if before.drift.verdict != tonight.drift.verdict:
        yield Change(
            what="drift of the columns",
            before=before.drift.verdict,
            tonight=tonight.drift.verdict,
            notable=tonight.drift.verdict != "steady",
        )
    seen = before.drift.detector, tonight.drift.detector
    if seen[0] is None or seen[1] is None or "not known" in (seen[0].verdict, seen[1].verdict):
        return
    if seen[0].verdict != seen[1].verdict:
        yield Change(
            what="drift as the detector sees it",
            before=seen[0].verdict,
            tonight=seen[1].verdict,
            notable=seen[1].wants_a_person,
        )


def _differences(before: Any, tonight: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
    if before == tonight:
        return
    if isinstance(before, Mapping) and isinstance(tonight, Mapping):
        for key in dict.fromkeys([*before, *tonight]):
            inner = f"{path}.{key}" if path else str(key)
            yield from _differences(before.get(key, _NOTHING), tonight.get(key, _NOTHING), inner)
    elif _holds_parts(before) and _holds_parts(tonight):
        yield from _parts(before, tonight, path)
    else:
        yield path, before, tonight


def _parts(before: Sequence[Any], tonight: Sequence[Any], path: str) -> Iterator[tuple[str, Any, Any]]:
    """Lists of parts (expectations) by content: one that was put in does not make all after it differ."""
    yield from ((path, part, _NOTHING) for part in before if part not in tonight)
    yield from ((path, _NOTHING, part) for part in tonight if part not in before)


def _holds_parts(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and all(isinstance(part, Mapping) for part in value)


class _Nothing:
    """Stands for a key that is not there, which is not the same as one that is empty."""


_NOTHING = _Nothing()


def _brief(value: Any) -> str:
    if value is _NOTHING:
        return ABSENT
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (int, float)):
        return number(value) if isinstance(value, float) else count(value)
    if isinstance(value, str):
        return shortened(value, LONGEST)[0]
    if isinstance(value, Mapping):
        value = {name: part for name, part in value.items() if part not in (None, [], {})}
    text = json.dumps(value, ensure_ascii=False)
    shown, cut = shortened(text, LONGEST)
    return f"{shown}…" if cut else shown
