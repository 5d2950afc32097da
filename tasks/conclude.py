"""The end of a night: its result from what the stages found, the report, the final row."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from schemas.errors import BlockedNight, NoInput, SerenoError
from schemas.results import ExpectationCounts, NightReport, NightResult, RowCounts, Status

if TYPE_CHECKING:
    from infra.runtime.runs import Status as RunStatus
    from tasks.night import Night

logger = logging.getLogger("sereno.night")
TIMELINE_NIGHTS = 28


def result_of(night: Night, failure: Exception | None) -> NightResult:
    """The outcome of a night, wherever it ended."""
    validated, scored = night.validated, night.scored
    return night.request.blank(
        status=_status(night, failure),
        reason=_reason(night, failure),
        rows=_rows(night),
        failures=validated.failures if validated else {},
        expectations=_expectations(night),
        model=night.model,
        threshold=scored.threshold if scored else None,
        alerts=scored.alerts if scored else 0,
        report=str(night.services.project.report_file(night.dataset.name, night.request.iso)),
        seconds=night.seconds,
        warnings=tuple(dict.fromkeys(night.warnings)),
    )


def write_night_report(night: Night, failure: Exception | None) -> str:
    """Write the night's report, and return it as short Markdown for the orchestrator."""
    from tasks.report import night_artifact_markdown, write_report

    report = _report_of(night, result_of(night, failure))
    write_report(report, night.services.project.reports / night.dataset.name)
    return night_artifact_markdown(report)


def conclude(night: Night, failure: Exception | None) -> NightResult:
    """Write the night's final row: from here on its tables count.

    Raises:
        LockedNight: Another run took the night meanwhile; nothing of this one counts.
    """
    result = result_of(night, failure)
    if failure is not None and not isinstance(failure, SerenoError):
        logger.error("%s %s failed", night.dataset.name, night.request.iso, exc_info=failure)
    final: RunStatus = "done" if result.status == "skipped" else result.status
    night.services.state.finish_run(
        night.run.id,
        final,
        result=result.model_dump(mode="json"),
        versions=night.versions,
        counters=night.prepared.counters if night.prepared else {},
        sample_version=night.versions.get("samples"),
    )
    return result


def _status(night: Night, failure: Exception | None) -> Status:
    if failure is None:
        return "partial" if night.training_failure else "done"
    if isinstance(failure, NoInput):
        return "missing"
    return "blocked" if isinstance(failure, BlockedNight) else "failed"


def _reason(night: Night, failure: Exception | None) -> str:
    if failure is None:
        return f"training failed, the champion scored: {night.training_failure}" if night.training_failure else ""
    if isinstance(failure, SerenoError):
        return str(failure)
    where = night.services.project.logs / f"{night.run.id}.jsonl"
    return f"{type(failure).__name__}: {str(failure)[:500]}\nHint: the details are in {where}"


def _rows(night: Night) -> RowCounts:
    if night.validated is None:
        return RowCounts()
    rows = night.validated.rows
    if "accepted" in night.versions and rows.held:
        return RowCounts(read=rows.read, accepted=rows.held, quarantined=rows.quarantined)
    return rows


def _expectations(night: Night) -> ExpectationCounts:
    outcomes = night.validated.outcomes if night.validated else ()
    failed = [outcome for outcome in outcomes if not outcome.success]
    return ExpectationCounts(
        passed=len(outcomes) - len(failed),
        failed=len(failed),
        blocking=sum(outcome.policy == "block" for outcome in failed),
    )


def _report_of(night: Night, result: NightResult) -> NightReport:
    validated, scored = night.validated, night.scored
    return NightReport(
        result=result,
        generated_at=datetime.now(UTC).isoformat(timespec="seconds"),
        files=_files(night),
        expectation_outcomes=validated.outcomes if validated else (),
        quarantine_sample=validated.sample if validated else (),
        training=night.trained.summary if night.trained else None,
        scores=scored.distribution if scored else None,
        alerts=scored.top if scored else (),
        alert_budget=night.dataset.detector.alert_budget,
        history=_timeline(night, result),
        gate=night.decision.checks if night.decision else (),
        key=night.dataset.key,
        entity=night.dataset.entity,
        event_time=night.dataset.event_time,
        sensitive=tuple(name for name, column in night.dataset.columns.items() if column.sensitive),
    )


def _files(night: Night) -> tuple[dict[str, Any], ...]:
    if night.ingested is None:
        return ()
    return tuple(
        {
            "name": file.name,
            "address": file.address,
            "bytes": file.bytes,
            "rows": file.rows,
            "rejected": file.rejected,
            "encoding": file.encoding,
            "delimiter": file.delimiter,
            "compression": file.compression,
            "sha256": file.sha256,
        }
        for file in night.ingested.files
    )


def _timeline(night: Night, result: NightResult) -> tuple[dict[str, Any], ...]:
    """The last nights, oldest first, tonight last: date, status, rows, alerts."""
    latest: dict[str, dict[str, Any]] = {}
    for run in night.services.state.recent(night.dataset.name, limit=4 * TIMELINE_NIGHTS):
        if run.status != "running" and run.night < night.request.date and run.kind != "train":
            latest.setdefault(run.night.isoformat(), _point(run.night.isoformat(), run.status, run.result))
    earlier = sorted(latest.values(), key=lambda point: str(point["date"]))[-TIMELINE_NIGHTS + 1 :]
    return (*earlier, _point(result.date, result.status, result.model_dump(mode="json")))


def _point(date: str, status: str, result: dict[str, Any]) -> dict[str, Any]:
    rows = result.get("rows") or {}
    return {
        "date": date,
        "status": status,
        "read": rows.get("read", 0),
        "accepted": rows.get("accepted", 0),
        "quarantined": rows.get("quarantined", 0),
        "held": rows.get("held", 0),
        "alerts": result.get("alerts", 0),
        "version": (result.get("model") or {}).get("version"),
    }
