"""Files of runs that retention takes away: logs, what stopped nights left, scratch of dead processes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from infra.runtime.disk import used
from infra.runtime.lake_vacuum import Removed
from infra.runtime.work import old_resumes, remove_old_resumes, remove_stale_work, stale_work
from schemas.schedule import written_length
from tasks.retention_pages import remove_pages
from tasks.retention_plan import Going, Plan

if TYPE_CHECKING:
    from tasks.services import Services

LOGS = "logs of runs"
RESUMES = "what stopped nights left"
WORK = "scratch of dead processes"


def plan_scratch(services: Services) -> Plan:
    """What is older than the settings keep, for all datasets together."""
    kept = services.settings.retention
    resumes_why = f"older than {written_length(kept.resumes)}"
    found = [_going("resumes", RESUMES, old_resumes(services.project), resumes_why)]
    found.append(_going("resumes", WORK, stale_work(services.project), "its process is dead"))
    if kept.logs is not None:
        logs = list(_old_logs(services, time.time() - kept.logs.total_seconds()))
        found.append(_going("logs", LOGS, logs, f"older than {kept.logs.days} days"))
    return Plan(tuple(one for one in found if one.count))


def take_scratch(services: Services, going: Going) -> Removed:
    """Remove what was planned; folders are looked for again, as a run may have taken one over."""
    if going.what == LOGS:
        return remove_pages(map(Path, going.names))
    removed = remove_old_resumes(services.project) if going.what == RESUMES else remove_stale_work(services.project)
    return Removed(len(removed), going.bytes)


def _going(kind: str, what: str, paths: list[Path], why: str) -> Going:
    size = sum(used(path).bytes for path in paths)
    return Going("logs" if kind == "logs" else "resumes", "", what, len(paths), size, why, (), tuple(map(str, paths)))


def _old_logs(services: Services, before: float) -> Iterator[Path]:
    at_work = {run.id for run in services.state.live()}
    for path in sorted(services.project.logs.glob("*.jsonl")):
        with suppress(OSError):
            if path.stem not in at_work and path.stat().st_mtime < before:
                yield path
