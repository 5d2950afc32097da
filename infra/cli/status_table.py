"""The last nights of a dataset, for `status`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from infra.runtime.runs import Run
    from tasks.disk_use import DiskUse
    from tasks.services import Services


def nights_of(services: Services, name: str, last: int) -> list[dict[str, Any]]:
    """One row a night, oldest first: the newest run of each of the last nights."""
    return [_row(run) for run in services.state.last_nights(name, last)]


def room_line(services: Services) -> str:
    """What room is left, in one line; nothing is counted for it."""
    from tasks.disk_use import disks_of
    from tasks.retention_plan import size_in_words

    left = "; ".join(disk.line for disk in disks_of(services))
    database = size_in_words(services.state.size())
    return f"disk: {left}; state database {database}; what takes it: sereno status --disk"


def disk_lines(use: DiskUse) -> Iterator[str]:
    """What each thing takes, a line each, then the sum and the room that is left."""
    from tasks.retention_plan import size_in_words

    yield ""
    for row in use.rows:
        yield row.line
    yield f"{size_in_words(use.bytes):>12}  in all"
    for disk in use.disks:
        yield f"disk: {disk.line}"


def _row(run: Run) -> dict[str, Any]:
    result = run.result
    rows = result.get("rows") or {}
    return {
        "dataset": run.dataset,
        "date": run.night.isoformat(),
        "status": run.status,
        "run": run.id,
        "kind": run.kind,
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
        return f"since {run.started_at:%H:%M:%S} UTC, {run.holder}"
    if run.status in ("failed", "missing", "blocked"):
        return str(run.result.get("reason", "")).split("\n")[0]
    accepted, quarantined = rows.get("accepted", 0), rows.get("quarantined", 0)
    return f"{accepted:,} accepted, {quarantined:,} quarantined, {run.result.get('alerts', 0)} alerts"
