"""What stopped runs left in the stores, put right: the state decides, the lake and the registry follow.

A run that was killed leaves a row that says `running`, and perhaps files that no commit names, an MLflow run without an
end, a version that the ledger does not know, an alias that is behind the ledger. Whoever comes next takes the dead run
over, which keeps everyone else off its night, mends, and closes it; killed in the middle, the next one does it again.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from infra.runtime.holder import Holder
from infra.runtime.lake_repair import local_folder
from infra.runtime.lake_rows import NIGHT
from infra.runtime.promotions import tells_of
from infra.runtime.work import forget_run, remove_old_resumes, remove_stale_work
from schemas.errors import LockedNight, StateError

if TYPE_CHECKING:
    from infra.runtime.runs import Run
    from tasks.services import Services

TABLES = ("accepted", "quarantined", "samples", "scores")
SLACK = timedelta(minutes=5)
"""Clocks of a file server and of this machine may differ."""

AT_WORK_SECONDS = 3_600.0
"""What is younger may belong to a run that began a moment ago, or to one on another machine that lost its lease."""

UNFINISHED = ("running", "failed", "blocked")
"""How runs stand whose finished stages are kept for the next one."""

logger = logging.getLogger("sereno.repair")


def put_right(services: Services) -> list[str]:
    """Mend what stopped runs of the project left, close them, and say each in the log.

    What cannot be mended is a warning there: it must not keep other nights from being done.

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
        removed = sum(_is_removed(path) for path in old_orphans(services, name))
        said += _said(f"{name}: {{}} that no commit names removed", removed)
        if has_registry(services):
            said += end_mlflow_runs(services, name)
            said += tell_ledger(services, name)
    gone = [*remove_stale_work(services.project), *remove_old_resumes(services.project), *forget_done_runs(services)]
    return said + list(_said("{} of stopped runs removed", len(gone), "folder"))


def forget_done_runs(services: Services, dataset: str = "*", night: str = "*") -> list[Path]:
    """Remove the stages' files of runs that were stopped between their final row and their last step."""
    removed = []
    for folder in sorted(services.project.resume.glob(f"{dataset}/{night}/*")):
        with suppress(StateError):  # another state database's
            if services.state.run(folder.name).status not in UNFINISHED:
                forget_run(services.project, folder.parts[-3], folder.parts[-2], folder.name)
                removed.append(folder)
    return removed


def old_orphans(services: Services, name: str) -> list[Path]:
    """Files of a dataset's local tables that no commit names, and that no run is about to commit."""
    from infra.runtime.lake_repair import orphans

    busy = {f"{NIGHT}={run.night}" for run in services.state.live(name)}
    newest = time.time() - AT_WORK_SECONDS
    folders = [local_folder(services.lake.uri(name, table)) for table in TABLES]
    found = [path for folder in folders if folder is not None for path in orphans(folder)]
    return [path for path in found if path.parent.name not in busy and _written(path) < newest]


def _written(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:  # somebody else removed it
        return time.time()


def _is_removed(path: Path) -> bool:
    try:
        path.unlink()
    except OSError as error:
        if not isinstance(error, FileNotFoundError):
            logger.warning("a file that no commit names stays: %s", error)
        return False
    return True


def _mended(services: Services, run: Run) -> list[str]:
    from tasks.page_drafts import settle_page

    if run.kind == "vacuum":  # the state says what it had begun, and the next one ends that
        services.state.let_go(run.id)
        return []
    what = f"{run.dataset} {run.night}"
    gone = Holder.parse(run.holder).alive() is False
    said = [f"{what}: run {run.id} ({run.kind}) {'ended without a word' if gone else 'lost its lease'}; closed"]
    # A process that cannot be seen may still be at work: its files are left to `doctor --repair`.
    if gone:
        with _left_for_later(f"{what}: the lake"):
            said += _said(f"{what}: {{}} that no commit names removed", _remove_orphans(services, run))
    with _left_for_later(f"{what}: MLflow"):
        if has_registry(services):
            said += end_mlflow_runs(services, run.dataset, run) if gone else []
            said += tell_ledger(services, run.dataset, run)
    services.state.close_run(run.id, said[0])
    settle_page(services, run.dataset, run.night)
    for sentence in said:
        logger.warning("%s", sentence)
    return said


@contextmanager
def _left_for_later(what: str) -> Iterator[None]:
    try:
        yield
    except LockedNight:
        raise
    except Exception as error:  # noqa: BLE001 -- a look back must not cost tonight, whatever a store says
        logger.warning("%s was not put right: %s; later: sereno doctor --repair", what, error)


def _remove_orphans(services: Services, run: Run) -> int:
    from infra.runtime.lake_repair import orphans, staged_commits

    folders = [local_folder(services.lake.uri(run.dataset, table)) for table in TABLES]
    local = [folder for folder in folders if folder is not None]
    staged = [path for folder in local for path in staged_commits(folder)]
    # Asked after the look: whoever writes an entry at this moment says that it runs.
    if any(other.id != run.id and other.dataset == run.dataset for other in services.state.live()):
        staged = []
    left = [path for folder in local for path in orphans(folder, night=run.night, since=run.started_at - SLACK)]
    return sum(_is_removed(path) for path in [*left, *staged])


def end_mlflow_runs(services: Services, name: str, stopped: Run | None = None) -> list[str]:
    """End the MLflow runs that a stopped run left open; those of all that are not at work, where none is given."""
    since = time.time() - AT_WORK_SECONDS if stopped is None else None
    ended = services.registry.end_stopped(name, lambda run_id: _is_of(services, run_id, stopped), since)
    return list(_said(f"{name}: {{}} of MLflow without an end closed", ended, "run"))


def tell_ledger(services: Services, name: str, stopped: Run | None = None) -> list[str]:
    """Tell the ledger of versions that it misses as a stopped run had no time to tell of them, and align the alias."""
    from tasks.training import note_registered
    from tasks.versions import align_alias

    registry, state = services.registry, services.state
    said = []
    newest = {row.bundle_hash: row for row in state.ledger(name)}
    # The same bundle may be registered again after retention took it away, under another number.
    known = {digest for digest, row in newest.items() if row.action != "deleted"}
    gone = {row.version for row in newest.values() if row.action == "deleted"}
    for version in registry.versions(name):
        made_by = version.tags.get("run_id", "")
        if version.bundle_hash in known or version.version in gone or not _is_of(services, made_by, stopped):
            continue
        if tells_of(state.ledger(name, bundle_hash=version.bundle_hash)):  # by now
            continue
        if made_by or version.created_at.timestamp() < time.time() - AT_WORK_SECONDS:
            note_registered(services, name, version)
            by = made_by or "a command that was stopped"
            said.append(f"{name}: version {version.version} was registered by {by}; the ledger says so now")
    before = registry.champion(name)
    align_alias(registry, state, name)
    if (after := registry.champion(name)) != before:
        said.append(f"{name}: the alias of the champion pointed at {before}, and points at {after} now")
    return said


def _is_of(services: Services, run_id: str, stopped: Run | None) -> bool:
    """Whether a run is the stopped one, or is not at work, where none is given; asked anew for each, as runs begin."""
    if stopped is not None:
        return run_id == stopped.id
    try:
        return services.state.run(run_id).status != "running"
    except StateError:  # of a state database that was restored, or a command that is no run
        return True


def has_registry(services: Services) -> bool:
    """Whether MLflow's store is there: it is not made for the sake of looking."""
    path = services.registry.store_file
    return path is None or path.is_file()


def _said(sentence: str, count: int, thing: str = "file") -> Iterator[str]:
    if count:
        yield sentence.format(f"{count} {thing}{'s' if count > 1 else ''}")
