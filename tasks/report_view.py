"""The report as its page shows it: lists cut to what a person reads, with how many more there are, and the charts."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from markupsafe import Markup

from schemas.incident_results import Allowed, Incident, NightIncidents
from schemas.results import Alert, Change, ColumnDrift, ExpectationOutcome, NightReport, QuarantineSample
from tasks import charts
from tasks.chart_nights import Night, timeline
from tasks.chart_svg import NOTHING
from tasks.report_advice import Verdict, off_by, recalibrate, verdict
from tasks.report_reduced import reduced
from tasks.report_tables import (
    BinRow,
    CurveRow,
    EpochRow,
    StageRow,
    bin_rows,
    curve_rows,
    epoch_rows,
    stage_rows,
)
from tasks.report_text import decimals_of, number, size

_T = TypeVar("_T")
_CHECK_KEYS = (
    "check",
    "name",
    "passed",
    "ok",
    "success",
    "observed",
    "value",
    "expected",
    "required",
    "limit",
    "reason",
    "message",
)


@dataclass(frozen=True)
class Limits:
    """The most of each list, and the most characters of one value and of one sentence, that the page shows."""

    incidents: int = 30
    alerts: int = 100
    open_alerts: int = 20
    contributions: int = 3
    quarantined: int = 40
    expectations: int = 60
    changes: int = 40
    drift: int = 60
    files: int = 40
    columns: int = 20
    warnings: int = 20
    checks: int = 30
    reasons: int = 8
    looks: int = 3
    open_quarantined: int = 6
    nights: int = 30
    cell: int = 120
    sentence: int = 1_200

    def halved(self) -> Limits:
        """Return limits of half the size, for a night whose every value is as long as it may be."""
        return replace(self, **{name: max(1, value // 2) for name, value in vars(self).items()})


@dataclass(frozen=True)
class Listed(Generic[_T]):
    """The part of a list that is shown, and how many more there are."""

    shown: tuple[_T, ...]
    more: int = 0


@dataclass(frozen=True)
class FileRow:
    """One file that was read."""

    name: str
    rows: float | None
    rejected: float | None
    size: str
    form: str
    sha256: str


@dataclass(frozen=True)
class CheckRow:
    """One check of the promotion gate; `passed` is None where it was not said."""

    name: str
    passed: bool | None
    observed: str
    expected: str
    message: str


@dataclass(frozen=True)
class NightRow:
    """One night of the timeline; None: not known, or nothing to count."""

    date: str
    status: str
    read: float | None
    quarantined: float | None
    alerts: float | None
    version: str
    tonight: bool


@dataclass(frozen=True)
class Tables:
    """The figures of the charts, as rows."""

    curve: tuple[CurveRow, ...] = ()
    bins: tuple[BinRow, ...] = ()
    epochs: tuple[EpochRow, ...] = ()
    stages: tuple[StageRow, ...] = ()


@dataclass(frozen=True)
class Page:
    """All that the template shows."""

    report: NightReport
    limits: Limits
    verdict: Verdict
    incidents: Listed[Incident]
    allowed: tuple[Allowed, ...]
    first_alerts: tuple[Alert, ...]
    other_alerts: tuple[Alert, ...]
    more_alerts: int
    suppressed: Listed[Alert]
    reduced: str
    score_decimals: int
    with_like: bool
    failed: Listed[tuple[ExpectationOutcome, str]]
    held: Listed[tuple[ExpectationOutcome, str]]
    quarantined: Listed[QuarantineSample]
    failures: Listed[tuple[str, int]]
    files: Listed[FileRow]
    checks: Listed[CheckRow]
    gate_passed: bool | None
    reason_in_checks: bool
    recalibrate: str
    before: str
    nights: tuple[NightRow, ...]
    changes: Listed[Change]
    moved: Listed[ColumnDrift]
    steady: Listed[ColumnDrift]
    contamination: float | None
    warnings: Listed[str]
    seconds: float | None
    tables: Tables
    charts: Mapping[str, Markup]


def build_page(report: NightReport, limits: Limits) -> Page:
    """Cut a (masked) report to the limits and draw its charts."""
    result = report.result
    ranked = sorted(report.alerts, key=lambda alert: alert.rank)
    open_alerts = min(limits.open_alerts, limits.alerts)
    nights = _nights(report, limits.nights)
    incidents = report.incidents or NightIncidents()
    taken = [s for s in result.seconds.values() if math.isfinite(s)]
    judged = _worst_first(report.expectation_outcomes)
    checks = [_check(item) for item in report.gate]
    drifted = report.drift.columns if report.drift is not None else ()
    return Page(
        report=report,
        limits=limits,
        verdict=verdict(report),
        incidents=_listed(incidents.incidents, limits.incidents),
        allowed=incidents.allowed[: limits.incidents],
        first_alerts=tuple(ranked[:open_alerts]),
        other_alerts=tuple(ranked[open_alerts : limits.alerts]),
        more_alerts=max(result.alerts - result.suppressed, len(ranked)) - min(len(ranked), limits.alerts),
        suppressed=_suppressed(report, limits.alerts),
        reduced=reduced(report.reduction),
        score_decimals=decimals_of(alert.score for alert in ranked),
        with_like=any(alert.like is not None for alert in ranked[: limits.alerts]),
        failed=_listed([(o, d) for o, d in judged if not o.success], limits.expectations),
        held=_listed([(o, d) for o, d in judged if o.success], limits.expectations),
        quarantined=_listed(report.quarantine_sample, limits.quarantined),
        failures=_listed(sorted(result.failures.items(), key=lambda item: (-item[1], item[0])), limits.columns),
        files=_listed([_file(item) for item in report.files], limits.files),
        checks=_listed(checks, limits.checks),
        gate_passed=_gate_passed(checks),
        reason_in_checks=bool(checks) and all(check.observed in result.model.reason for check in checks),
        recalibrate=recalibrate(report),
        before=next((night.version for night in reversed(nights) if night.version and not night.tonight), ""),
        nights=nights,
        changes=_listed(sorted(report.changes, key=lambda change: not change.notable), limits.changes),
        moved=_listed([column for column in drifted if column.verdict != "steady"], limits.drift),
        steady=_listed([column for column in drifted if column.verdict == "steady"], limits.drift),
        contamination=_contamination(report),
        warnings=_listed(result.warnings, limits.warnings),
        seconds=result.seconds.get("total", sum(taken)) if taken else None,
        tables=_tables(report),
        charts=_charts(report, nights),
    )


def _suppressed(report: NightReport, limit: int) -> Listed[Alert]:
    shown = report.suppressed[:limit]
    return Listed(shown, max(report.result.suppressed, len(report.suppressed)) - len(shown))


def _tables(report: NightReport) -> Tables:
    scores, training = report.scores, report.training
    return Tables(
        curve=curve_rows(scores, report.alert_budget) if scores is not None else (),
        bins=bin_rows(scores) if scores is not None else (),
        epochs=epoch_rows(training) if training is not None else (),
        stages=stage_rows(report.result.seconds),
    )


def _contamination(report: NightReport) -> float | None:
    known = report.contamination
    if known is None and report.training is not None:
        known = report.training.contamination_assumed
    return known


def _gate_passed(checks: Sequence[CheckRow]) -> bool | None:
    return all(check.passed for check in checks) if checks else None


def _listed(items: Sequence[_T], limit: int) -> Listed[_T]:
    return Listed(tuple(items[:limit]), max(0, len(items) - limit))


def _worst_first(outcomes: Sequence[ExpectationOutcome]) -> list[tuple[ExpectationOutcome, str]]:
    ordered = sorted(outcomes, key=lambda o: (o.success, o.policy != "block"))
    return [(outcome, off_by(outcome)) for outcome in ordered]


def _charts(report: NightReport, nights: Sequence[NightRow]) -> dict[str, Markup]:
    absent = ("histogram", "alerts", "training", "nights_alerts", "nights_read", "nights_quarantined")
    drawn = dict.fromkeys(absent, NOTHING)
    drawn["rows"] = _drawn(lambda: charts.rows_bar(report.result.rows))
    if (scores := report.scores) is not None:
        drawn["histogram"] = _drawn(lambda: charts.histogram(scores))
        drawn["alerts"] = _drawn(lambda: charts.alert_curve(scores, report.alert_budget))
    if (training := report.training) is not None:
        drawn["training"] = _drawn(lambda: charts.training_curve(training))
    if len(nights) > 1:
        drawn |= {f"nights_{name}": _timeline(name, nights) for name in ("alerts", "read", "quarantined")}
    return drawn


def _drawn(chart: Callable[[], Markup]) -> Markup:
    """Draw a chart; one whose numbers are beyond drawing is absent and does not cost the night its report."""
    try:
        return chart()
    except (ArithmeticError, ValueError):
        return NOTHING


def _timeline(name: str, nights: Sequence[NightRow]) -> Markup:
    label = {"alerts": "Alerts a night", "read": "Rows read a night"}.get(name, "Rows quarantined a night")
    bars = [Night(night.date, getattr(night, name), night.status, night.tonight) for night in nights]
    return _drawn(lambda: timeline(name, label, bars))


def _nights(report: NightReport, most: int) -> tuple[NightRow, ...]:
    """Return the last nights up to tonight, oldest first; tonight's own figures come from its result."""
    tonight = report.result
    found = {row.date: row for row in map(_night, report.history) if row.date < tonight.date}
    own = _night({**tonight.model_dump(), "version": tonight.model.version})
    ordered = [*(found[key] for key in sorted(found)), replace(own, tonight=True)]
    return tuple(ordered[-most:])


def _night(item: Mapping[str, Any]) -> NightRow:
    """Read one night of the history: flat figures, or the shape of `NightResult`."""
    rows = item.get("rows") if isinstance(item.get("rows"), Mapping) else {}
    model = item.get("model") if isinstance(item.get("model"), Mapping) else {}
    figures = {**(rows or {}), **item}
    status = _text(item.get("status")) or "done"
    scored = status in ("done", "skipped", "partial")
    read = figures.get("read", figures.get("rows") if not isinstance(figures.get("rows"), Mapping) else None)
    return NightRow(
        date=_text(item.get("date", item.get("night")))[:10],
        status=status[:20],
        read=_number(read) if status != "missing" else None,
        quarantined=_number(figures.get("quarantined")) if status not in ("missing", "failed") else None,
        alerts=_number(item.get("alerts")) if scored else None,
        version=_text(item.get("version") or (model or {}).get("version")),
        tonight=False,
    )


def _file(item: Mapping[str, Any]) -> FileRow:
    delimiter = {"\t": "tab", ",": "comma", ";": "semicolon", "|": "bar", " ": "space"}
    mark = _text(item.get("delimiter"))
    parts = [
        _text(item.get("format")),
        _text(item.get("encoding")),
        delimiter.get(mark, mark),
        _text(item.get("compression")),
    ]
    return FileRow(
        name=_text(item.get("name") or item.get("address")),
        rows=_number(item.get("rows")),
        rejected=_number(item.get("rejected")),
        size=size(_number(item.get("bytes"))),
        form=", ".join(part for part in parts if part),
        sha256=_text(item.get("sha256"))[:12],
    )


def _check(item: Mapping[str, Any]) -> CheckRow:
    def first(*keys: str) -> Any:
        return next((item[key] for key in keys if item.get(key) is not None), None)

    passed = first("passed", "ok", "success")
    rest = [f"{key} {_text(value)}" for key, value in item.items() if key not in _CHECK_KEYS]
    message = _text(first("message", "reason"))
    return CheckRow(
        name=_text(first("check", "name")),
        passed=passed if isinstance(passed, bool) else None,
        observed=_text(first("observed", "value")),
        expected=_text(first("expected", "required", "limit")),
        message="; ".join(part for part in [message, *rest] if part),
    )


def _text(value: Any) -> str:
    if value is None:
        return ""
    return number(value) if isinstance(value, float) else str(value)


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None
