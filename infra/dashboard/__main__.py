"""The HTTP side's own process: ``python -P -m infra.dashboard [SOCKET READY PARENT]``, in a project folder.

With arguments, which are those of `infra.runtime.child_server`, it is the child of a supervisor; without, it listens
where the settings say, until it is told to stop.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from infra.dashboard.address import listen, url_of
from infra.dashboard.serve import make_server, say_on
from infra.runtime.child_server import end_with_parent, taken_over
from infra.runtime.logs import secrets_of, set_up_logging
from infra.runtime.project import Project, find_project, quiet_environment
from schemas.errors import SerenoError
from schemas.settings import Settings, load_settings
from schemas.spelling import spelled_out
from tasks.services import open_services

if TYPE_CHECKING:
    import socket


def main(arguments: list[str]) -> int:
    """Serve, and return the exit code."""
    child = taken_over(arguments) if arguments else None
    try:
        found = find_project(Path())
        settings = load_settings(found.root).settings
        project = found.placed(settings)
        quiet_environment(project)
        set_up_logging(secrets=secrets_of(settings))
        return _serve(project, settings, child)
    except SerenoError as error:
        sys.stderr.write(spelled_out(f"error: {error}\n"))
        return error.exit_code


def _serve(project: Project, settings: Settings, child: tuple[socket.socket, int] | None) -> int:
    from infra.dashboard.app import make_app

    listening = child[0] if child is not None else listen(settings.service)
    url = url_of(settings.service, listening)

    def say() -> None:
        sys.stderr.write(f"serving {project.root.name} at {url}\n")
        sys.stderr.flush()

    with open_services(project, settings) as services, listening:
        answers = say if child is None else say_on(child[1])
        server = make_server(make_app(services), settings.service, project.root, answers)
        if child is not None:
            end_with_parent(server)
        server.run(sockets=[listening])
    return 0 if server.started else 3


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stderr.flush()
    # Tearing down the interpreter takes seconds and saves nothing.
    os._exit(code)
