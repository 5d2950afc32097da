"""What people are told of how a night ended: its report in a few lines, so that who is woken knows whether to rise."""

from __future__ import annotations

import re
from datetime import date as Date
from typing import TYPE_CHECKING, Any

from schemas.message import Message
from schemas.notify import Kind, Severity
from tasks.report_advice import Verdict, verdict
from tasks.report_mask import masked
from tasks.report_text import count, moment, number, probability, readable, shortened

if TYPE_CHECKING:
    from infra.runtime.runs import Run
    from schemas.results import Alert, NightReport, NightResult, Status
    from tasks.services import Services

MOST_ALERTS = 5
MOST_COLUMNS = 3
MOST_LINES = 12
_ABOUT: dict[Status, tuple[Kind, Severity]] = {
    "done": ("night_done", "medium"),
    "skipped": ("night_done", "medium"),
    "partial": ("night_partial", "medium"),
    "failed": ("night_failed", "high"),
    "blocked": ("night_blocked", "high"),
    "missing": ("night_missing", "high"),
}
_BELOW = re.compile(r"\b(see(?: champion and challenger)?|the first alert|what failed) below\b")
_SAID_BEFORE = ("status", "alerts", "suppressed", "rows")
"""What two ends of a night must have in common, beside the first line of the reason, for the second to be no news."""


def night_message(report: NightReport, run_id: str) -> Message:
    """Return what is told of a night's end; values of sensitive columns are masked.

    Args:
        report: The night; most of it may be absent.
        run_id: The run that ended it: each end is told once.
    """
    shown = masked(report)
    result, top = shown.result, verdict(shown)
    kind, severity = _ABOUT[result.status]
    is_quiet = result.status == "done" and (not result.alerts or _is_old_news(report))
    return Message(
        kind=kind,
        about=f"night {result.dataset} {result.date} {run_id}",
        subject=f"{result.dataset} {result.date}: {top.word}",
        severity="low" if is_quiet else severity,
        quiet=is_quiet,
        dataset=result.dataset,
        night=Date.fromisoformat(result.date),
        lines=_lines(result, top),
        facts=_facts(result),
        header=_header(shown) if shown.alerts else (),
        rows=tuple(_row(alert, shown) for alert in shown.alerts[:MOST_ALERTS]),
        steps=tuple((_without_page(step.text), step.command) for step in top.steps),
        report=result.report is not None,
    )


def _is_old_news(report: NightReport) -> bool:
    """Whether all of its alerts belong to incidents that people know and that got no worse, or are allowed."""
    found = report.incidents
    if found is None or not (found.incidents or found.allowed):
        return False
    return all(one.night.told is None for one in found.incidents)


def is_news(services: Services, result: NightResult, kind: str) -> bool:
    """Whether a night ends otherwise than it did before; a run that died left no word, and is passed over."""
    night = Date.fromisoformat(result.date)
    ended = [run for run in services.state.recent(result.dataset, night=night) if _has_word(run)]
    newest, of_kind = next(iter(ended), None), next((run for run in ended if run.kind == kind), None)
    said = _outcome(result.model_dump(mode="json"))
    return all(run is None or _outcome(run.result) != said for run in (newest, of_kind))


def _has_word(run: Run) -> bool:
    return run.kind != "train" and run.status != "running" and "date" in run.result


def _outcome(result: dict[str, Any]) -> tuple[Any, ...]:
    return (*(result.get(name) for name in _SAID_BEFORE), str(result.get("reason", "")).partition("\n")[0])


def _lines(result: NightResult, top: Verdict) -> tuple[str, ...]:
    reasons = [f"{reason.rule}: {reason.text}" if reason.rule else _without_page(reason.text) for reason in top.reasons]
    said = [top.sentence, *reasons, *(f"Warning: {warning}" for warning in result.warnings)]
    more = [f"And {len(said) - MOST_LINES} more, see the report."] if len(said) > MOST_LINES else []
    return (*said[:MOST_LINES], *more)


def _without_page(text: str) -> str:
    """A sentence of the report that points at another place of its page, as a message says it."""
    return _BELOW.sub(r"\g<1> in the report", text).replace("see in the report", "see the report")


def _facts(result: NightResult) -> tuple[tuple[str, str], ...]:
    rows = result.rows
    known = (
        ("rows read", rows.read),
        ("accepted", rows.accepted),
        ("quarantined", rows.quarantined),
        ("held", rows.held),
        ("alerts", result.alerts),
        ("suppressed", result.suppressed),
    )
    facts = tuple((name, count(value)) for name, value in known if value)
    return (*facts, ("version", result.model.version)) if result.model.version else facts


def _header(report: NightReport) -> tuple[str, ...]:
    names = ("key", *(("entity",) if report.entity else ()), *(("time",) if report.event_time else ()))
    return (*names, "score", "p-value", "why")


def _row(alert: Alert, report: NightReport) -> tuple[str, ...]:
    where = [alert.key]
    where += [alert.entity or ""] if report.entity else []
    where += [moment(alert.event_time, report.result.date)] if report.event_time else []
    cells = (*where, number(alert.score), probability(alert.p_value), _why(alert))
    return tuple(shortened(cell, 400)[0] for cell in cells)


def _why(alert: Alert) -> str:
    return "; ".join(
        f"{part.column} {_value(part.actual)} (expected {_value(part.expected)})"
        for part in alert.contributions[:MOST_COLUMNS]
    )


def _value(text: str) -> str:
    return shortened(readable(text), 40)[0]
