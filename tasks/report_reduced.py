"""What the second stage made of a night's alerts, in words."""

from __future__ import annotations

from schemas.results import Reduction
from tasks.report_text import count, percent


def reduced(reduction: Reduction | None) -> str:
    """Return what labels of earlier alerts changed tonight; empty where nobody labelled any."""
    if reduction is None:
        return ""
    if reduction.reason:
        return f"What people said of earlier alerts changes nothing tonight: {reduction.reason}."
    if not reduction.alike and not reduction.extreme:
        return "None of tonight's alerts is like those that people called false alarms."
    return " ".join([_found(reduction), *_promised(reduction), *_extreme(reduction)])


def _found(reduction: Reduction) -> str:
    one = reduction.alike == 1
    like = f"{count(reduction.alike)} {'alert is' if one else 'alerts are'} like those that people called false alarms"
    if reduction.policy == "hide":
        return f"{like}, and suppressed: {'it stands' if one else 'they stand'} in a section of their own."
    return f"{like}: listed last, and marked."


def _promised(reduction: Reduction) -> list[str]:
    if reduction.expected_alike is None or reduction.expected_lost is None:
        return []
    alike, lost = percent(reduction.expected_alike, 1), percent(reduction.expected_lost, 1)
    of = f"{alike} of the labelled false alarms and of {lost} of the labelled anomalies"
    return [f"On nights that were not learnt from, that is so of {of}."]


def _extreme(reduction: Reduction) -> list[str]:
    if not reduction.extreme:
        return []
    return [f"{count(reduction.extreme)} more would be, but for an extreme score."]
