"""The difference between two detectors as lines for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

NAMED_KEYS = 3
INDENT = "  "


def difference_lines(difference: Mapping[str, Any]) -> tuple[str, ...]:
    """What `models diff` prints.

    Args:
        difference: What `tasks.versions.diff_versions` found.

    Returns:
        Aligned lines: a verdict, then data, configuration and scores, each only as far as there is something to say.
    """
    parts = {
        "data": _data(difference),
        "configuration": [(name, _arrow(pair)) for name, pair in difference["settings"].items()],
        "scores": _scores(difference),
    }
    width = max((len(name) for rows in parts.values() for name, _ in rows), default=0)
    first, second = difference["versions"]
    lines = [f"{difference['dataset']}: version {first} -> version {second}", _verdict(difference)]
    for title, rows in parts.items():
        lines.append(title)
        lines += [f"{INDENT}{name:<{width}}  {value}".rstrip() for name, value in rows] or [f"{INDENT}the same"]
    return tuple(lines)


def _verdict(difference: Mapping[str, Any]) -> str:
    if difference["same"]:
        return "the same bundle: nothing differs"
    if difference["only_threshold"]:
        return "only the threshold differs: the same network gives every row the same score"
    changed = difference["changed"]
    return (
        f"differs in {', '.join(changed)}"
        if changed
        else "differs only in how it was made: seed, versions of libraries"
    )


def _data(difference: Mapping[str, Any]) -> list[tuple[str, str]]:
    nights, features = difference["nights"], difference["features"]
    rows = []
    if nights["only_first"] or nights["only_second"]:
        rows.append(("nights", _gone_and_new(_spans(nights["only_first"]), _spans(nights["only_second"]))))
        rows.append(("nights of both", _spans(nights["both"]) or "none"))
    rows += [(f"rows to {name}", _arrow(pair)) for name, pair in difference["rows"].items()]
    if features["only_first"] or features["only_second"]:
        rows.append(("features", _gone_and_new(", ".join(features["only_first"]), ", ".join(features["only_second"]))))
    if features["encoded_differently"]:
        rows.append(("encoded otherwise", ", ".join(features["encoded_differently"])))
    if features["width"][0] != features["width"][1]:
        rows.append(("numbers a row", _arrow(features["width"])))
    return rows


def _scores(difference: Mapping[str, Any]) -> list[tuple[str, str]]:
    rows = [("threshold", _arrow(difference["threshold"]))]
    rows += [
        (f"held-out {name}", _arrow(pair)) for name, pair in difference["calibration"].items() if pair[0] != pair[1]
    ]
    scores = difference["scores"]
    if not scores["rows"]:
        return [*rows, ("rows compared", f"none: {scores['note']}")]
    correlation, common = scores["rank_correlation"], scores["alerts_in_common"]
    rows += [
        ("rows compared", f"{scores['rows']:,}"),
        (
            "rank correlation",
            "none: one gives all rows the same score" if correlation is None else f"{correlation:.4f}",
        ),
        ("alerts", _arrow(scores["alerts"])),
        ("alerts in common", "no alerts" if common is None else f"{scores['alerts_of_both']} ({common:.0%} of all)"),
    ]
    versions = difference["versions"]
    for version, keys in zip(versions, (scores["alerts_of_first_only"], scores["alerts_of_second_only"]), strict=True):
        if keys:
            rows.append((f"only by {version}", _named(keys)))
    return rows


def _arrow(pair: Sequence[Any]) -> str:
    one, other = (_plain(value) for value in pair)
    return f"{one} -> {other}" if one != other else one


def _plain(value: Any) -> str:
    """One value in words."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.5g}"
    if isinstance(value, Mapping):
        value = [f"{name} {_plain(item)}" for name, item in value.items()]
    return " ".join(map(_plain, value)) or "none" if isinstance(value, (list, tuple)) else str(value)


def _gone_and_new(gone: str, new: str) -> str:
    return "; ".join(said for said in (f"without {gone}" if gone else "", f"with {new}" if new else "") if said)


def _spans(nights: Sequence[str]) -> str:
    """Nights as ranges: `2026-09-01..2026-09-07, 2026-09-09`."""
    from datetime import date, timedelta

    spans: list[list[date]] = []
    for night in sorted(date.fromisoformat(text) for text in nights):
        if spans and night - spans[-1][-1] == timedelta(days=1):
            spans[-1].append(night)
        else:
            spans.append([night])
    return ", ".join(f"{span[0]}..{span[-1]}" if len(span) > 1 else str(span[0]) for span in spans)


def _named(keys: Sequence[str]) -> str:
    """The first keys, as printable text whatever the data holds."""
    shown = ", ".join(ascii(key)[1:-1] if not key.isprintable() else key for key in keys[:NAMED_KEYS])
    return f"{shown}, ..." if len(keys) > NAMED_KEYS else shown
