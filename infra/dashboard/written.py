"""Rows of the state as they are answered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from infra.dashboard.answers import (
    AskedAnswer,
    EventAnswer,
    LedgerAnswer,
    RequestAnswer,
    RunAnswer,
    ScheduleAnswer,
    TokenAnswer,
)
from tasks.overview_rows import result_of

if TYPE_CHECKING:
    from datetime import date

    from infra.runtime.events import Event
    from infra.runtime.project import Project
    from infra.runtime.promotions import Promotion
    from infra.runtime.requests import Request, Switch
    from infra.runtime.runs import Run
    from infra.runtime.tokens import Token
    from schemas.results import NightResult

API = "/api/v1"


def run_answer(project: Project, run: Run) -> RunAnswer:
    """One run."""
    result = result_of(run)
    return RunAnswer(
        id=run.id,
        dataset=run.dataset,
        date=run.night,
        kind=run.kind,
        status=run.status,
        started_at=run.started_at,
        ended_at=run.ended_at,
        reason=_shown(project, result.reason),
        rows=result.rows,
        alerts=result.alerts,
        version=result.model.version,
        report=report_path(project, run.dataset, run.night),
    )


def night_result(project: Project, run: Run) -> NightResult:
    """What a run ended with."""
    result = result_of(run)
    return result.model_copy(
        update={
            "reason": _shown(project, result.reason),
            "warnings": tuple(_shown(project, warning) for warning in result.warnings),
            "report": report_path(project, run.dataset, run.night),
        }
    )


def report_path(project: Project, dataset: str, night: date) -> str | None:
    """Path of a night's report here, None where there is none."""
    page = project.report_file(dataset, night.isoformat())
    return f"{API}/datasets/{dataset}/nights/{night}/report" if page.is_file() else None


def _shown(project: Project, text: str) -> str:
    """A text for whoever calls over the network, who is told nothing of the machine's folders."""
    return text.replace(f"{project.root}/", "")


def asked_answer(request: Request) -> AskedAnswer:
    """What was asked for: equal for each time that it was asked under one key."""
    return AskedAnswer(**_asked(request))


def request_answer(project: Project, request: Request) -> RequestAnswer:
    """A request as it stands."""
    return RequestAnswer(
        **_asked(request),
        origin=request.asked.origin,
        due_at=request.asked.due_at,
        deadline=request.asked.deadline,
        status=request.status,
        attempts=request.attempts,
        reason=_shown(project, request.reason),
        changed_at=request.changed_at,
    )


def _asked(request: Request) -> dict[str, Any]:
    asked = request.asked
    return {
        "request": request.id,
        "dataset": asked.dataset,
        "kind": asked.kind,
        "date": asked.night,
        "options": dict(asked.options),
        "asked_by": asked.actor,
        "asked_at": request.asked_at,
        "href": f"{API}/requests/{request.id}",
    }


def event_answer(project: Project, event: Event) -> EventAnswer:
    """An event."""
    if event.id is None or event.at is None:
        raise ValueError("only what was written has a number and a moment")
    return EventAnswer(
        id=event.id,
        at=event.at,
        kind=event.kind,
        level=event.level,
        dataset=event.dataset,
        date=event.night,
        actor=event.actor,
        text=_shown(project, event.text),
        detail=dict(event.detail),
    )


def ledger_answer(row: Promotion) -> LedgerAnswer:
    """A row of the ledger."""
    return LedgerAnswer(
        version=row.version,
        bundle_hash=row.bundle_hash,
        action=row.action,
        previous=row.previous,
        reason=row.reason,
        actor=row.actor,
        at=row.at,
        run=row.run_id,
        metrics=row.metrics,
    )


def schedule_answer(switch: Switch | None) -> ScheduleAnswer:
    """How a schedule was last switched; one that never was is off."""
    if switch is None:
        return ScheduleAnswer(enabled=False, since=None, by=None, at=None)
    return ScheduleAnswer(enabled=switch.enabled, since=switch.since, by=switch.actor, at=switch.at)


def token_answer(token: Token) -> TokenAnswer:
    """A token."""
    return TokenAnswer(
        name=token.name,
        role=token.role,
        made_by=token.actor,
        made_at=token.at,
        expires_at=token.expires_at,
        revoked_at=token.revoked_at,
        standing=token.standing(),
    )
