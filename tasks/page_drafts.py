"""A night's page comes after its final row: a run writes a draft of it, which takes the page's place once it counts.

State is the authority, and a page is never ahead of it. A process that is killed between the final row and the last
step leaves the draft behind; the next command that looks at the night does that step, or removes the draft where its
run never counted.
"""

from __future__ import annotations

import json
import logging
import re
from contextlib import suppress
from datetime import UTC, datetime
from datetime import date as Date
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from infra.runtime.retention import PAGE
from schemas.errors import SerenoError
from schemas.failpoints import durable
from schemas.results import NightReport, NightResult
from tasks.overview import INDEX, refresh_overview
from tasks.report import ReportPaths, draft_paths, write_report

if TYPE_CHECKING:
    from infra.runtime.runs import Run
    from schemas.dataset import Dataset
    from tasks.services import Services

logger = logging.getLogger("sereno.report")
MOST_RUNS = 1_000
_RUN_OF_DRAFT = re.compile(r"\.\d{4}-\d{2}-\d{2}\.(.+)\.draft\.(?:html|json)")


def settle_page(services: Services, dataset: str, night: Date) -> bool:
    """Let the page be that of the night's newest run that is over, and remove drafts of runs that never counted.

    Drafts of a run that is under way are left alone. Whatever hinders is a warning in the log: the next command that
    looks at the night tries again.

    Args:
        services: The stores.
        dataset: Its name.
        night: The logical date.

    Returns:
        Whether there is a new page.
    """
    try:
        return _settled(services, dataset, night)
    except (OSError, SerenoError) as error:
        logger.warning("%s %s: the report is not in its place yet: %s", dataset, night, error)
        return False


def recover_page(services: Services, dataset: Dataset, night: Date) -> None:
    """Mend the pages of a night whose run was killed before all were in their places, or whose page is gone."""
    settled = settle_page(services, dataset.name, night)
    if settled or _written_anew(services, dataset, night) or _overview_lags(services, dataset.name, night):
        refresh_overview(services, night)


def _settled(services: Services, dataset: str, night: Date) -> bool:
    page = services.project.report_file(dataset, night.isoformat())
    drafts = _drafts(page.parent, night)
    if not drafts:
        return False
    # Asked after the folder was listed: a draft's run is always there by then.
    runs = services.state.recent(dataset, night=night, limit=MOST_RUNS)
    standing = _standing(runs, drafts)
    running = {run.id for run in runs if run.status == "running"}
    # First those that lost: whoever settles at the same time cannot put one of them over the page that stands.
    for run_id in drafts.keys() - running - {standing}:
        for path in drafts[run_id]:
            path.unlink(missing_ok=True)
    if standing is None:
        return False
    # The JSON last: while it is a draft there is something left to do.
    for path in drafts[standing]:
        with suppress(FileNotFoundError), durable("report.page"):
            path.replace(page.with_suffix(path.suffix))
    return True


def _drafts(folder: Path, night: Date) -> dict[str, tuple[Path, Path]]:
    """The drafts of a night by run, page before JSON."""
    found = {match.group(1) for path in folder.glob(f".{night}.*") if (match := _RUN_OF_DRAFT.fullmatch(path.name))}
    paths = {run_id: draft_paths(folder, night.isoformat(), run_id) for run_id in found}
    return {run_id: (draft.html, draft.json) for run_id, draft in paths.items()}


def _standing(runs: list[Run], drafts: dict[str, tuple[Path, Path]]) -> str | None:
    """The run whose draft is to be the page; None where the page that is there stands."""
    for run in runs:
        if run.kind == "train" or run.status == "running":
            continue
        if run.id in drafts and _says(drafts[run.id][1]) == run.status:
            return run.id
        if run.status != "failed":
            return None
    return None


def _says(draft: Path) -> str:
    """How a draft says that its night ended: a run that was closed by another one ended otherwise."""
    try:
        return str(json.loads(draft.read_bytes())["result"]["status"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _overview_lags(services: Services, dataset: str, night: Date) -> bool:
    """Whether a page of all datasets is gone, or older than the night's own, which is always written before it."""
    folder = services.project.reports
    page = services.project.report_file(dataset, night.isoformat())
    try:
        written = page.stat().st_mtime_ns
    except OSError:
        return False
    try:
        return any((folder / name).stat().st_mtime_ns < written for name in (f"{night}.html", INDEX))
    except FileNotFoundError:
        return True


def _written_anew(services: Services, dataset: Dataset, night: Date) -> bool:
    """Write a page that is gone, with the numbers that the state has; whatever hinders is a warning in the log."""
    page = services.project.report_file(dataset.name, night.isoformat())
    if page.is_file():
        return False
    try:
        runs = services.state.recent(dataset.name, night=night, limit=MOST_RUNS)
        ended = (run for run in runs if run.kind != "train" and run.status != "running" and "date" in run.result)
        run = next(ended, None)
        if run is None or PAGE in run.gone:
            return False
        _write_numbers(dataset, run, page)
    except (OSError, SerenoError, ValidationError) as error:
        logger.warning("%s %s: the report is gone and cannot be written anew: %s", dataset.name, night, error)
        return False
    return True


def _write_numbers(dataset: Dataset, run: Run, page: Path) -> ReportPaths:
    told = "the report was gone; this one has only the numbers that the state keeps: do the night again with --force"
    result = NightResult.model_validate({**run.result, "report": str(page)})
    report = NightReport(
        result=result.model_copy(update={"warnings": (*result.warnings, told)}),
        generated_at=datetime.now(UTC).isoformat(timespec="seconds"),
        alert_budget=dataset.detector.wished_alerts(result.rows.accepted),
        sensitive=tuple(name for name, column in dataset.columns.items() if column.sensitive),
        key=dataset.key,
        entity=dataset.entity,
        event_time=dataset.event_time,
    )
    return write_report(report, page.parent)
