"""The scratch folder of a run: made at its start, removed at its end, and removed by others when it died."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from infra.runtime.holder import Holder
from infra.runtime.nights import Night, as_night
from infra.runtime.project import Project
from infra.runtime.signals import sigterm_exits

_HOLDER_FILE = ".holder"


@contextmanager
def work_folder(project: Project, dataset: str, night: Night, run_id: str) -> Iterator[Path]:
    """Yield a run's own empty folder, ``DATASET/NIGHT/RUN`` in the project's work folder; removed also on SIGTERM.

    Folders that dead processes left are removed first.
    """
    with _scratch(project, project.work / dataset / as_night(night).isoformat() / run_id) as folder:
        yield folder


@contextmanager
def session_folder(project: Project) -> Iterator[Path]:
    """Yield this process' own folder, ``sessions/PID``, for what outlives one night; removed likewise."""
    with _scratch(project, project.work / "sessions" / str(os.getpid())) as folder:
        yield folder


@contextmanager
def _scratch(project: Project, folder: Path) -> Iterator[Path]:
    remove_stale_work(project)
    project.create_state()
    claim(folder)
    with sigterm_exits():
        try:
            yield folder
        finally:
            _remove(folder, project.work)


def claim(folder: Path) -> None:
    """Make a scratch folder and write into it whose it is, so that others may remove it when this process is dead."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _HOLDER_FILE).write_text(str(Holder.this_process()), encoding="utf-8")


def remove_stale_work(project: Project) -> list[Path]:
    """Remove the folders of runs whose process is dead, and return them.

    A folder of another machine is left alone: whether its process lives cannot be seen from here.
    """
    removed = []
    held = [*project.work.glob(f"*/*/*/{_HOLDER_FILE}"), *project.work.glob(f"sessions/*/{_HOLDER_FILE}")]
    for holder in sorted(held):
        with suppress(OSError):
            if Holder.parse(holder.read_text(encoding="utf-8")).alive() is False:
                _remove(holder.parent, project.work)
                removed.append(holder.parent)
    return removed


def _remove(folder: Path, work: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    for parent in folder.parents:
        if parent == work or work not in parent.parents:
            break
        with suppress(OSError):
            parent.rmdir()
