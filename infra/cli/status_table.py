"""The last nights of a dataset, and the messages that did not arrive, for `status`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from infra.runtime.runs import Run
    from infra.runtime.state import State
    from tasks.services import Services


def nights_of(services: Services, name: str, last: int) -> list[dict[str, Any]]:
    """One row a night, oldest first: the newest run of each of the last nights."""
    return [_row(run) for run in services.state.last_nights(name, last)]


def notices_said(state: State) -> list[str]:
    """What is to be said of messages: those that were given up, and those that wait; nothing where all arrived."""
    counts = state.notice_counts()
    failed, waiting = counts.get("failed", 0), counts.get("waiting", 0) + counts.get("sending", 0)
    lines = []
    if failed:
        lines.append(f"messages: {failed} given up{_newest_refusal(state, 'failed')}; see: sereno notify list --failed")
    if waiting:
        lines.append(f"messages: {waiting} waiting{_newest_refusal(state, 'waiting')}; send now: sereno notify send")
    return lines


def _newest_refusal(state: State, status: Literal["failed", "waiting"]) -> str:
    found = next((notice for notice in state.notices(statuses=[status], limit=100) if notice.error), None)
    return f", route `{found.route}`: {found.error}" if found else ""


def _row(run: Run) -> dict[str, Any]:
    result = run.result
    rows = result.get("rows") or {}
    return {
        "dataset": run.dataset,
        "date": run.night.isoformat(),
        "status": run.status,
        "run": run.id,
        "kind": run.kind,
        "stage": result.get("stage") if run.status == "running" else None,
        "started": run.started_at.isoformat(timespec="seconds"),
        "ended": run.ended_at.isoformat(timespec="seconds") if run.ended_at else None,
        "rows": rows,
        "alerts": result.get("alerts", 0),
        "reason": result.get("reason", ""),
        "report": result.get("report"),
        "summary": _summary(run, rows),
    }


def _summary(run: Run, rows: dict[str, int]) -> str:
    if run.status == "running":
        stage = f"{run.result['stage']}, " if run.result.get("stage") else ""
        return f"{stage}since {run.started_at:%H:%M:%S} UTC, {run.holder}"
    if run.status in ("failed", "missing", "blocked"):
        return str(run.result.get("reason", "")).split("\n")[0]
    accepted, quarantined = rows.get("accepted", 0), rows.get("quarantined", 0)
    return f"{accepted:,} accepted, {quarantined:,} quarantined, {run.result.get('alerts', 0)} alerts"
