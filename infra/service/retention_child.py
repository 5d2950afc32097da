"""Retention's own process: `python -P -m infra.service.retention_child -1 READY PARENT`, as in `infra.service.child`.

The project's folder comes in `SERENO_PROJECT`, the day in `_SERENO_RETENTION_DAY`. Told to end it leaves what it had
begun to the next one.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from infra.runtime.child_side import end_with_input
from infra.runtime.signals import die_with_parent, sigterm_exits
from infra.service.child import ChildProcess
from schemas.errors import Exit, LockedNight, StateError

if TYPE_CHECKING:
    from infra.runtime.project import Project

MODULE = "infra.service.retention_child"
DAY = "_SERENO_RETENTION_DAY"
NICENESS = 10


def begin(project: Project, day: date) -> ChildProcess:
    """Start the process for a day; its words go where this process's errors go."""
    return ChildProcess.begin(
        MODULE,
        environment={**os.environ, "SERENO_PROJECT": str(project.root), DAY: day.isoformat()},
        folder=project.root,
        output=subprocess.DEVNULL if sys.stderr is None else sys.stderr.fileno(),
    )


def apply(day: date) -> Exit:
    """Apply a day's retention to the project, and return the exit code."""
    from infra.runtime.logs import secrets_of, set_up_logging
    from infra.runtime.project import find_project, quiet_environment
    from schemas.settings import load_settings
    from tasks.retention_daily import APPLIED, apply_retention
    from tasks.services import open_services

    found = find_project(Path(os.environ["SERENO_PROJECT"]))
    settings = load_settings(found.root).settings
    project = found.placed(settings)
    quiet_environment(project)
    set_up_logging(secrets=secrets_of(settings), as_json=False)
    with open_services(project, settings) as services:
        try:
            done = apply_retention(services, day)
        except LockedNight:
            return Exit.LOCKED
    return Exit.DONE if done.kind == APPLIED else Exit.PARTIAL


def main(arguments: list[str]) -> int:
    """Take the parent from the command line, apply retention, and return the exit code."""
    _, _, parent = (int(argument) for argument in arguments)
    if parent:
        die_with_parent(parent)
    os.nice(NICENESS)
    with sigterm_exits():
        # As SIGTERM does: nights that are held are given back on the way out.
        end_with_input(lambda: os.kill(os.getpid(), signal.SIGTERM))
        try:
            return apply(date.fromisoformat(os.environ[DAY]))
        except StateError as error:
            sys.stderr.write(f"{error}\n")
            return Exit.FAILED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
