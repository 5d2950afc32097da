"""The end of a night: its result from what the stages found, the report, the final row."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from infra.runtime.inputs import with_inputs
from infra.runtime.logs import SecretFilter, secrets_of
from infra.runtime.refusals import described as refused
from infra.runtime.refusals import free_space, of_prefect, remedy
from infra.runtime.run_row import COUNTING
from infra.runtime.state_database import all_of
from schemas.errors import BlockedNight, NoInput, SerenoError
from schemas.incident_results import NightIncidents
from schemas.results import ExpectationCounts, ModelOutcome, NightReport, NightResult, RowCounts, Status
from tasks.lineage_record import inputs_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

    from infra.runtime.runs import Run
    from tasks.night import Night, NightRequest
    from tasks.night_incidents import ScoredNight
    from tasks.services import Services

logger = logging.getLogger("sereno.night")
TIMELINE_NIGHTS = 28
OF_THE_ROWS = ("released from the quarantine: ", "accepted by ")
"""How warnings begin that say why rows are among the accepted ones."""


def result_of(night: Night, failure: Exception | None) -> NightResult:
    """The outcome of a night, wherever it ended; no secret of the settings in any of its words."""
    validated, scored, earlier = night.validated, night.scored, night.earlier
    masking = SecretFilter(secrets_of(night.services.settings))
    result = night.request.blank(
        status=_status(night, failure),
        reason=masking.mask(_reason(night, failure)),
        rows=earlier.rows if earlier else _rows(night, failure),
        failures=earlier.failures if earlier else validated.failures if validated else {},
        expectations=earlier.expectations if earlier else _expectations(night),
        model=_model(night),
        threshold=scored.threshold if scored else None,
        alerts=scored.alerts if scored else 0,
        above_usual=scored.above_usual if scored else None,
        suppressed=scored.reduction.suppressed if scored and scored.reduction else 0,
        report=_page(night.services, night.request),
        seconds=night.seconds,
        warnings=tuple(
            masking.mask(warning) for warning in dict.fromkeys([*night.warnings, *_standing(night, failure)])
        ),
    )
    return night.incidents.counted(result) if night.incidents else result


def write_night_report(night: Night, failure: Exception | None) -> str:
    """Write the draft of the night's report, and return it as short Markdown for the orchestrator."""
    from tasks.describe import described
    from tasks.night_incidents import would_show
    from tasks.report import night_artifact_markdown, write_report

    report = described(night, _report_of(night, result_of(night, failure)))
    # Once more: a description that could not be made is a warning of the result.
    report = report.model_copy(update={"result": result_of(night, failure)})
    if (at := _scored_night(night, report.result)) is not None:
        report = report.model_copy(update={"incidents": would_show(night.services, at, night.done("incidents"))})
    night.page = report
    write_report(report, night.services.project.reports / night.dataset.name, draft_of=night.run.id)
    return night_artifact_markdown(report)


def missing_night(services: Services, request: NightRequest, reason: str, run_id: str) -> NightResult:
    """The result, and the draft of the report, of a night of which nothing arrived."""
    from tasks.report import write_report

    model = ModelOutcome(champion=_champion(services, request.dataset.name))
    result = request.blank(status="missing", reason=reason, model=model, report=_page(services, request))
    report = NightReport(result=result, generated_at=_now(), history=_timeline(services, result))
    write_report(report, services.project.reports / request.dataset.name, draft_of=run_id)
    return result


def conclude_missing(services: Services, request: NightRequest, reason: str, run: Run) -> NightResult:
    """Write the report and the final row of a night of which nothing arrived.

    Raises:
        LockedNight: Another run took the night meanwhile; nothing of this one counts.
    """
    from tasks.notify import telling_end
    from tasks.overview import refresh_overview
    from tasks.page_drafts import settle_page

    result = missing_night(services, request, reason, run.id)
    told = telling_end(services, result, run)
    services.state.finish_run(run.id, "missing", result=result.model_dump(mode="json"), also=told)
    settle_page(services, request.dataset.name, request.date)
    refresh_overview(services, request.date)
    return result


def conclude(night: Night, failure: Exception | None) -> NightResult:
    """Write the night's final row: from here on its tables count, and its report is the night's page.

    Raises:
        LockedNight: Another run took the night meanwhile; nothing of this one counts.
    """
    from tasks.notify import telling_night
    from tasks.overview import refresh_overview
    from tasks.page_drafts import settle_page

    result = result_of(night, failure)
    if failure is not None and not isinstance(failure, SerenoError):
        logger.error("%s %s failed", night.dataset.name, night.request.iso, exc_info=failure)
    night.services.state.finish_run(
        night.run.id,
        "done" if result.status == "skipped" else result.status,
        result=result.model_dump(mode="json"),
        versions=night.versions,
        counters=night.prepared.counters if night.prepared else {},
        sample_version=night.versions.get("samples"),
        also=all_of(
            with_inputs(night.run.id, inputs_of(night)),
            telling_night(night.services, lambda: night.page or _report_of(night, result), night.run),
            _incidents(night, result),
        ),
    )
    settle_page(night.services, night.dataset.name, night.request.date)
    refresh_overview(night.services, night.request.date)
    return result


def _scored_night(night: Night, result: NightResult) -> ScoredNight | None:
    """The night, where its scores will count and its alerts are grouped."""
    from tasks.night_incidents import ScoredNight

    counts = result.status in COUNTING and "scores" in night.versions and night.incidents is not None
    return ScoredNight(night.dataset, night.request.date, night.run.id) if counts else None


def _incidents(night: Night, result: NightResult) -> Callable[[Connection], None] | None:
    from tasks.night_incidents import recorded_incidents
    from tasks.notify_incidents import telling_incidents
    from tasks.report import write_report

    if (at := _scored_night(night, result)) is None:
        return None
    page = night.page

    def rewrite(incidents: NightIncidents) -> None:
        if page is not None:
            report = page.model_copy(update={"incidents": incidents})
            write_report(report, night.services.project.reports / night.dataset.name, draft_of=night.run.id)

    shown = page.incidents if page is not None and page.incidents is not None else NightIncidents()
    recorded = recorded_incidents(at, night.done("incidents"), shown, rewrite)
    return all_of(recorded, telling_incidents(night.services, night.dataset, night.request.date))


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
    if (said := of_prefect(failure)) is not None:
        state = night.services.project.state
        return f"{said}\nHint: look at the server, and at the space on the disk of {state} ({free_space(state)})"
    if isinstance(failure, OSError) and (hint := remedy(failure, night.work)) is not None:
        return f"{refused(failure)}\nHint: {hint}"
    where = night.services.project.logs / f"{night.run.id}.jsonl"
    return f"{type(failure).__name__}: {str(failure)[:500]}\nHint: the details are in {where}"


def _model(night: Night) -> ModelOutcome:
    """Which version scored and which one stands, also where the night ended before one could score."""
    champion = night.model.champion or _champion(night.services, night.dataset.name)
    return night.model.model_copy(update={"champion": champion, "challenger": night.challenger})


def _champion(services: Services, name: str) -> str | None:
    standing = services.state.champion(name)
    return standing.version if standing is not None else None


def _rows(night: Night, failure: Exception | None) -> RowCounts:
    """Where the rows went; a night that failed has written for nobody, so that what it accepted is held."""
    if night.validated is None:
        return RowCounts()
    rows = night.validated.rows
    would_accept = rows.accepted + rows.held
    counts = "accepted" in night.versions and _status(night, failure) != "failed"
    accepted = would_accept if counts else 0
    return RowCounts(read=rows.read, accepted=accepted, quarantined=rows.quarantined, held=would_accept - accepted)


def _expectations(night: Night) -> ExpectationCounts:
    outcomes = night.validated.outcomes if night.validated else ()
    failed = [outcome for outcome in outcomes if not outcome.success]
    return ExpectationCounts(
        passed=len(outcomes) - len(failed),
        failed=len(failed),
        blocking=sum(outcome.policy == "block" for outcome in failed),
    )


def _page(services: Services, request: NightRequest) -> str:
    return str(services.project.report_file(request.dataset.name, request.iso))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _standing(night: Night, failure: Exception | None) -> list[str]:
    """What stays true of the night's rows: of one that is only scored again, and of a delivery that is blocked."""
    if night.earlier is not None:
        return [warning for warning in night.earlier.warnings if warning.startswith(OF_THE_ROWS)]
    if not isinstance(failure, BlockedNight):
        return []
    pinned = night.services.state.pins(night.dataset.name, "accepted", [night.request.date])
    return ["the rows that an earlier delivery of this night had accepted still stand"] if pinned else []


def _report_of(night: Night, result: NightResult) -> NightReport:
    validated, scored = night.validated, night.scored
    report = NightReport(
        result=result,
        generated_at=_now(),
        files=_files(night),
        expectation_outcomes=validated.outcomes if validated else (),
        quarantine_sample=validated.sample if validated else (),
        training=night.trained.summary if night.trained else None,
        scores=scored.distribution if scored else None,
        alerts=scored.top if scored else (),
        suppressed=scored.suppressed if scored else (),
        reduction=scored.reduction if scored else None,
        alert_budget=night.dataset.detector.wished_alerts(scored.rows if scored else 0.0),
        history=_timeline(night.services, result),
        gate=night.decision.checks if night.decision else (),
        battery=night.decision.battery if night.decision else None,
        sensitive=tuple(name for name, column in night.dataset.columns.items() if column.sensitive),
        key=night.dataset.key,
        entity=night.dataset.entity,
        event_time=night.dataset.event_time,
    )
    return _with_earlier(night, report) if night.earlier else report


def _with_earlier(night: Night, report: NightReport) -> NightReport:
    """A night that is scored again keeps what its report said of files, rows and expectations."""
    page = night.services.project.report_file(night.dataset.name, night.request.iso, "json")
    try:
        earlier = NightReport.model_validate_json(page.read_bytes())
    except (OSError, ValueError):
        return report
    kept = ("files", "expectation_outcomes", "quarantine_sample")
    return report.model_copy(update={name: getattr(earlier, name) for name in kept})


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


def _timeline(services: Services, result: NightResult) -> tuple[dict[str, Any], ...]:
    """The last nights, oldest first, tonight last: date, status, rows, alerts."""
    nights = services.state.last_nights(result.dataset, TIMELINE_NIGHTS - 1, before=result.date, running=False)
    earlier = (_point(run.night.isoformat(), run.status, run.result) for run in nights)
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
