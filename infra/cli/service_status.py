"""What `status` says of the service: what is up, what waits or failed, and what went wrong lately."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

from infra.runtime.requests import OPEN

if TYPE_CHECKING:
    from infra.runtime.events import Event
    from infra.runtime.requests import Request
    from tasks.services import Services

LATELY = timedelta(days=2)
MOST = 20


def service_of(services: Services, dataset: str | None = None) -> dict[str, Any]:
    """The service as plain values: `service`, `retention`, `requests`, `faults`, newest first.

    Args:
        services: The stores.
        dataset: Only requests and faults of this dataset, and faults of none.
    """
    from infra.service.addresses import read_note

    note = read_note(services.project)
    state = services.state
    since = datetime.now(UTC) - LATELY
    open_requests = state.requests(dataset, statuses=OPEN)
    failed = [one for one in state.requests(dataset, statuses=["failed"], limit=MOST) if one.changed_at >= since]
    told = state.events(levels=["warning", "error"], since=since, limit=10 * MOST)
    faults = [event for event in told if dataset in (None, event.dataset) or event.dataset is None][:MOST]
    return {
        "service": None if note is None else {"addresses": dict(note.addresses), "parts": dict(note.children)},
        "retention": retention_row(services),
        "requests": [request_row(one) for one in [*failed, *open_requests[::-1]]],
        "faults": [event_row(event) for event in faults],
    }


def request_row(request: Request) -> dict[str, Any]:
    """A request for `--json`."""
    asked = request.asked
    return {
        "request": request.id,
        "dataset": asked.dataset,
        "kind": asked.kind,
        "date": asked.night.isoformat() if asked.night else None,
        "status": request.status,
        "reason": request.reason,
        "attempts": request.attempts,
        "origin": asked.origin,
        "by": asked.actor,
        "asked": request.asked_at.isoformat(timespec="seconds"),
    }


def event_row(event: Event) -> dict[str, Any]:
    """An event for `--json`."""
    return {
        "event": event.id,
        "at": event.at.isoformat(timespec="seconds") if event.at else None,
        "kind": event.kind,
        "level": event.level,
        "dataset": event.dataset,
        "date": event.night.isoformat() if event.night else None,
        "by": event.actor,
        "text": event.text,
    }


def retention_row(services: Services) -> dict[str, Any]:
    """For `--json`: from when on retention is applied each day, when it was last, and what that freed."""
    from schemas.retention import NEVER
    from schemas.schedule import written_clock
    from tasks.retention_daily import APPLIED, FAILED, last_outcome

    settings = services.settings.retention
    at = written_clock(settings.at) if isinstance(settings.at, time) else NEVER
    last = last_outcome(services.state, APPLIED, FAILED)
    return {
        "at": at,
        "timezone": settings.timezone,
        "last": last.at.isoformat(timespec="seconds") if last is not None and last.at else None,
        "done": last is not None and last.kind == APPLIED,
        "bytes": last.detail.get("bytes", 0) if last is not None else None,
        "text": last.text if last is not None else "",
    }


def retention_line(row: dict[str, Any]) -> str:
    """When retention was last applied, and when it will be."""
    by_itself = f"each day from {row['at']} {row['timezone']} on" if row["at"] != "never" else "never by itself"
    last = f"{row['last']}  {row['text']}" if row["last"] is not None else "not applied by the service yet"
    return f"retention: {last}  ({by_itself})"


def service_lines(found: dict[str, Any]) -> list[str]:
    """The same in lines for people; none where there is nothing to say."""
    lines = []
    if found["service"] is not None:
        parts = found["service"]["parts"]
        down = [name for name, part in parts.items() if part["process"] is None]
        restarts = sum(part["restarts"] for part in parts.values())
        again = f", {restarts} starts again" if restarts else ""
        lines.append(f"service: up{again}" + (f"; down: {', '.join(down)}" if down else ""))
    elif found["requests"]:
        lines.append("service: down; nothing that waits is done before: sereno up")
    if found["service"] is not None or found["retention"]["last"] is not None:
        lines.append(retention_line(found["retention"]))
    for row in found["requests"]:
        what = row["date"] or row["kind"]
        why = f"  {row['reason']}" if row["reason"] else ""
        lines.append(f"request {row['request']}: {row['dataset']} {what}  {row['status']}{why}")
    lines += [f"{row['level']}: {row['at']}  {row['text']}" for row in reversed(found["faults"])]
    return lines
