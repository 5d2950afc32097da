"""What a night's alerts come to, in words."""

from __future__ import annotations

import shlex

from schemas.results import NightReport
from tasks.report_text import count

_TOLD = {"new": "new", "worse": "worse than before", "back": "back from a mute", "still": "still going on"}


def incidents_in_words(report: NightReport) -> str:
    """Return how many incidents the alerts make, and what people should hear of; empty where none are known."""
    if report.incidents is None or not (report.incidents.incidents or report.incidents.allowed):
        return ""
    found = report.incidents.incidents
    allowed = sum(rule.alerts for rule in report.incidents.allowed)
    why = [one.night.told for one in found]
    told = [f"{count(why.count(word))} {words}" for word, words in _TOLD.items() if word in why]
    silent = len(found) - sum(word is not None for word in why)
    said = [*told, *([f"{count(silent)} known and silent"] if silent else [])]
    sentence = f"They make {_incidents(len(found))}{f': {_listed(said)}' if said else ''}."
    return sentence + (f" {_alerts(allowed)} in none, by the allow-list." if allowed else "")


def first_step(report: NightReport) -> tuple[str, str] | None:
    """Return what to do about the worst incident that nobody took up, and the command for it; None where none is."""
    found = report.incidents.incidents if report.incidents is not None else ()
    first = next((one for one in found if one.status == "open" and one.id is not None), None)
    if first is None:
        return None
    name = shlex.quote(report.result.dataset)
    return "Take up the worst incident, or silence it with `mute`.", f"sereno incidents ack {name} {first.id}"


def _incidents(n: int) -> str:
    return "1 incident" if n == 1 else f"{count(n)} incidents"


def _alerts(n: int) -> str:
    return "1 alert is" if n == 1 else f"{count(n)} alerts are"


def _listed(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
