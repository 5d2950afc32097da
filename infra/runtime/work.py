"""The scratch folder of a run: made at its start, removed at its end, and removed by others when it died."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from infra.runtime.holder import Holder
from infra.runtime.nights import Night, as_night
from infra.runtime.project import Project
from infra.runtime.signals import sigterm_exits

_HOLDER_FILE = ".holder"
_KEY_FILE = ".key"
_TEMPORARY = "TMPDIR"
_TRIES = 5


@contextmanager
def work_folder(project: Project, dataset: str, night: Night, run_id: str) -> Iterator[Path]:
    """Yield a run's own empty folder, ``DATASET/NIGHT/RUN`` in the project's work folder; removed also on SIGTERM.

    Folders that dead processes left are removed first.
    """
    with _scratch(project, project.work / dataset / as_night(night).isoformat() / run_id) as folder:
        yield folder


@contextmanager
def session_folder(project: Project) -> Iterator[Path]:
    """Yield this process' own folder, ``sessions/PID``, for what outlives one night; removed likewise.

    Within the block temporary files of this process and of those that it starts lie there, too: those of a process that
    is killed go with the folder.
    """
    with _scratch(project, project.work / "sessions" / str(os.getpid())) as folder, _temporary_files_in(folder):
        yield folder


@contextmanager
def _temporary_files_in(folder: Path) -> Iterator[None]:
    before = os.environ.get(_TEMPORARY)
    os.environ[_TEMPORARY], tempfile.tempdir = str(folder), None  # it is looked up anew then
    try:
        yield
    finally:
        os.environ.pop(_TEMPORARY)
        if before is not None:
            os.environ[_TEMPORARY] = before
        tempfile.tempdir = None


@contextmanager
def resume_folder(project: Project, dataset: str, night: Night, key: str, run_id: str) -> Iterator[Path]:
    """Yield a run's own folder, ``DATASET/NIGHT/RUN``, with what a stopped run of the same key left.

    The caller holds the night's lease, and calls `forget_run` when the night is done; else the folder stays for as
    long as `retention.resumes` says. It is taken over by its name: a process that lost the night without knowing it
    finds it gone.

    Args:
        project: The project.
        dataset: The dataset.
        night: The logical date.
        key: What decides the stages' results.
        run_id: The run.
    """
    folder = project.resume / dataset / as_night(night).isoformat() / run_id
    project.create_state()
    remove_old_resumes(project)
    for other in sorted(folder.parent.glob("*"), reverse=True):
        if not folder.exists() and _text(other / _KEY_FILE) == key:
            claim(other)  # before the move: to others it is an old one of nobody's until then
            other.rename(folder)
        else:
            _remove(other, project.resume)
    claim(folder)
    (folder / _KEY_FILE).write_text(key, encoding="ascii")
    with sigterm_exits():
        yield folder


def forget_run(project: Project, dataset: str, night: Night, run_id: str) -> None:
    """Remove what a run's stages left: it is done. Another run may be at work on the night by now, in its folder."""
    _remove(project.resume / dataset / as_night(night).isoformat() / run_id, project.resume)


def old_resumes(project: Project) -> list[Path]:
    """Return the folders of nights that nobody asked for again."""
    oldest, found = time.time() - project.resume_seconds, []
    for folder in sorted(project.resume.glob("*/*/*")):
        with suppress(OSError):
            holder = folder / _HOLDER_FILE
            # One without a holder was made anew by a process that had lost it.
            since = (holder if holder.exists() else folder).stat().st_mtime
            if since < oldest and Holder.parse(_text(holder) or "").alive() is not True:
                found.append(folder)
    return found


def remove_old_resumes(project: Project) -> list[Path]:
    """Remove what nights that nobody asked for again left, and return the folders."""
    removed = old_resumes(project)
    for folder in removed:
        _remove(folder, project.resume)
    return removed


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
    for _ in range(_TRIES):
        with suppress(FileNotFoundError):  # another run's end took away a parent that was empty for a moment
            folder.mkdir(parents=True, exist_ok=True)
            break
    (folder / _HOLDER_FILE).write_text(str(Holder.this_process()), encoding="utf-8")


def stale_work(project: Project) -> list[Path]:
    """Return the folders of runs whose process is dead.

    A folder of another machine is none: whether its process lives cannot be seen from here.
    """
    found = []
    held = [*project.work.glob(f"*/*/*/{_HOLDER_FILE}"), *project.work.glob(f"sessions/*/{_HOLDER_FILE}")]
    for holder in sorted(held):
        with suppress(OSError):
            if Holder.parse(holder.read_text(encoding="utf-8")).alive() is False:
                found.append(holder.parent)
    return found


def remove_stale_work(project: Project) -> list[Path]:
    """Remove the folders of runs whose process is dead, and return them."""
    removed = stale_work(project)
    for folder in removed:
        _remove(folder, project.work)
    return removed


def _text(file: Path) -> str | None:
    try:
        return file.read_text(encoding="utf-8")
    except OSError:
        return None


def _remove(folder: Path, top: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    for parent in folder.parents:
        if parent == top or top not in parent.parents:
            break
        with suppress(OSError):
            parent.rmdir()
