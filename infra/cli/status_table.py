"""The last nights of a dataset, and the messages that did not arrive, for `status`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date as Date
from typing import TYPE_CHECKING, Any, Literal

from schemas.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from infra.runtime.runs import Run
    from infra.runtime.state import State
    from tasks.disk_use import DiskUse
    from tasks.services import Services


def nights_of(services: Services, name: str, last: int) -> list[dict[str, Any]]:
    """One row a night, oldest first: the newest run of each of the last nights."""
    runs = services.state.last_nights(name, last)
    standing = _standing(services, name, [run.night for run in runs])
    return [_row(run, standing.get(run.night, {})) for run in runs]


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


def _standing(services: Services, name: str, nights: Sequence[Date]) -> dict[Date, dict[str, int]]:
    """How the incidents of some nights stand now; nothing where the dataset file cannot be read."""
    from schemas.dataset import load_dataset
    from tasks.incident_views import standings

    try:
        dataset = load_dataset(services.project.dataset_file(name))
    except ConfigError:
        return {}
    return standings(services, dataset, nights)


def _row(run: Run, standing: dict[str, int]) -> dict[str, Any]:
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
        "incidents": sum(standing.values()) or result.get("incidents", 0),
        "standing": standing,
        "reason": result.get("reason", ""),
        "report": result.get("report"),
        "summary": _summary(run, rows, standing),
    }


def _summary(run: Run, rows: dict[str, int], standing: dict[str, int]) -> str:
    if run.status == "running":
        stage = f"{run.result['stage']}, " if run.result.get("stage") else ""
        return f"{stage}since {run.started_at:%H:%M:%S} UTC, {run.holder}"
    if run.status in ("failed", "missing", "blocked"):
        return str(run.result.get("reason", "")).split("\n")[0]
    accepted, quarantined = rows.get("accepted", 0), rows.get("quarantined", 0)
    said = f"{accepted:,} accepted, {quarantined:,} quarantined, {run.result.get('alerts', 0)} alerts"
    if not standing:
        return said
    incidents = ", ".join(f"{number} {word}" for word, number in standing.items())
    return f"{said}, incidents: {incidents}"
