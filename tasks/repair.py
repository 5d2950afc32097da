"""What stopped runs left in the stores, put right: the state decides, the lake and the registry follow.

A run that was killed leaves a row that says `running`, and perhaps files that no commit names, an MLflow run without an
end, a version that the ledger does not know, an alias that is behind the ledger. Whoever comes next takes the dead run
over, which keeps everyone else off its night, mends, and closes it; killed in the middle, the next one does it again.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from infra.runtime.holder import Holder
from infra.runtime.lake_rows import NIGHT
from infra.runtime.work import remove_old_resumes, remove_stale_work
from schemas.errors import LockedNight, SerenoError

if TYPE_CHECKING:
    from infra.runtime.runs import Run
    from tasks.services import Services

TABLES = ("accepted", "quarantined", "samples", "scores")
SLACK = timedelta(minutes=5)
"""Clocks of a file server and of this machine may differ."""

AT_WORK_SECONDS = 3_600.0
"""A file that is younger may belong to a run that began a moment ago."""

logger = logging.getLogger("sereno.repair")


def put_right(services: Services) -> list[str]:
    """Mend what stopped runs of the project left, close them, and say each in the log.

    Returns:
        What was put right, a sentence each; empty where every run that says so is at work.
    """
    said: list[str] = []
    for run in services.state.stale():
        try:
            if services.state.take_over(run):
                said += _mended(services, run)
        except LockedNight:  # somebody else did it
            continue
    return said


def put_all_right(services: Services) -> list[str]:
    """Mend what stopped runs left, also runs that were closed long ago, in every table and for every dataset.

    Returns:
        What was put right, a sentence each.
    """
    said = put_right(services)
    for name in services.project.dataset_names():
        left = old_orphans(services, name)
        for path in left:
            path.unlink(missing_ok=True)
        said += _said(f"{name}: {{}} that no commit names removed", len(left))
        said += mend_registry(services, name, None)
    gone = [*remove_stale_work(services.project), *remove_old_resumes(services.project)]
    return said + list(_said("{} of stopped runs removed", len(gone), "folder"))


def old_orphans(services: Services, name: str) -> list[Path]:
    """Files of a dataset's local tables that no commit names, and that no run is about to commit."""
    from infra.runtime.lake_repair import orphans

    busy = {f"{NIGHT}={run.night}" for run in services.state.live(name)}
    newest = time.time() - AT_WORK_SECONDS
    folders = [local_folder(services.lake.uri(name, table)) for table in TABLES]
    found = [path for folder in folders if folder is not None for path in orphans(folder)]
    return [path for path in found if path.parent.name not in busy and path.stat().st_mtime < newest]


def _mended(services: Services, run: Run) -> list[str]:
    from tasks.page_drafts import settle_page

    what = f"{run.dataset} {run.night}"
    gone = Holder.parse(run.holder).alive() is False
    said = [f"{what}: run {run.id} ({run.kind}) {'ended without a word' if gone else 'lost its lease'}; closed"]
    # A process that cannot be seen may still be at work: its files are left to `doctor --repair`.
    if gone:
        said += _said(f"{what}: {{}} that no commit names removed", _remove_orphans(services, run))
    try:
        said += mend_registry(services, run.dataset, {run.id})
    except SerenoError as error:
        logger.warning("%s: MLflow was not put right: %s", what, error)
    services.state.close_run(run.id, said[0])
    settle_page(services, run.dataset, run.night)
    for sentence in said:
        logger.warning("%s", sentence)
    return said


def _remove_orphans(services: Services, run: Run) -> int:
    from infra.runtime.lake_repair import orphans, staged_commits

    alone = all(other.id == run.id or other.dataset != run.dataset for other in services.state.live())
    removed = 0
    for table in TABLES:
        folder = local_folder(services.lake.uri(run.dataset, table))
        if folder is None or not folder.is_dir():
            continue
        left = orphans(folder, night=run.night, since=run.started_at - SLACK)
        for path in [*left, *(staged_commits(folder) if alone else ())]:
            path.unlink(missing_ok=True)
            removed += 1
    return removed


def mend_registry(services: Services, name: str, run_ids: set[str] | None) -> list[str]:
    """End the MLflow runs that stopped runs left open, tell the ledger of versions that it misses, align the alias.

    Args:
        services: The stores.
        name: The dataset.
        run_ids: The stopped runs; all that are not at work, where None is given.
    """
    from tasks.training import note_registered
    from tasks.versions import align_alias

    if not _has_registry(services):
        return []
    registry, state = services.registry, services.state
    alive = {run.id for run in state.live(name)} - (run_ids or set())
    ended = registry.end_stopped(name, lambda run_id: run_id in run_ids if run_ids else run_id not in alive)
    said = list(_said(f"{name}: {{}} of MLflow without an end closed", ended, "run"))
    known = {row.bundle_hash for row in state.ledger(name)}
    for version in registry.versions(name):
        made_by = version.tags.get("run_id", "")
        if version.bundle_hash not in known and (made_by in run_ids if run_ids else made_by not in alive):
            note_registered(services, name, version)
            said.append(f"{name}: version {version.version} was registered by {made_by}; the ledger says so now")
    before = registry.champion(name)
    align_alias(registry, state, name)
    if (after := registry.champion(name)) != before:
        said.append(f"{name}: the alias of the champion pointed at {before}, and points at {after} now")
    return said


def _has_registry(services: Services) -> bool:
    """Whether MLflow's store is there: it is not made for the sake of looking."""
    path = services.registry.store_file
    return path is None or path.is_file()


def local_folder(uri: str) -> Path | None:
    """The path of a table on this machine's disk, None for one in an object store."""
    parts = urlsplit(uri)
    return Path(uri) if not parts.scheme else Path(parts.path) if parts.scheme == "file" else None


def _said(sentence: str, count: int, thing: str = "file") -> Iterator[str]:
    if count:
        yield sentence.format(f"{count} {thing}{'s' if count > 1 else ''}")
