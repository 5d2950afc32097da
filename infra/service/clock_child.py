"""The clock's own process: `python -P -m infra.service.clock_child -1 READY PARENT`, as in `infra.service.child`.

The project's folder comes in `SERENO_PROJECT`, Prefect's address and password in Prefect's own variables.
"""

from __future__ import annotations

import os
import sys
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from infra.runtime.child_side import end_with_input
from infra.runtime.signals import die_with_parent
from schemas.errors import SerenoError
from schemas.spelling import spelled_out

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

    from infra.service.clock import Clock
    from tasks.services import Services

TURN_SECONDS = 2.0


def keep_time(ready: int, stop: threading.Event) -> None:
    """Turn the clock until told to stop."""
    from infra.runtime.logs import secrets_of, set_up_logging
    from infra.runtime.project import find_project, quiet_environment
    from infra.service.clock import Clock
    from infra.service.launcher import PrefectLauncher
    from infra.service.retention_child import begin
    from infra.service.telling import Telling
    from schemas.settings import load_settings
    from tasks.services import open_services

    found = find_project(Path(os.environ["SERENO_PROJECT"]))
    settings = load_settings(found.root).settings
    project = found.placed(settings)
    quiet_environment(project)
    set_up_logging(secrets=secrets_of(settings), as_json=False, unheard=("prefect", "httpx"))
    from prefect.client.orchestration import get_client

    with ExitStack() as stack:
        services = stack.enter_context(open_services(project, settings))
        client = stack.enter_context(get_client(sync_client=True))
        launcher, runs = PrefectLauncher(client), settings.service.runs
        clock = Clock(services, launcher, runs=runs, retention=lambda day: begin(project, day))
        deployments = Deployments(services, client)
        telling = Telling(services, clock.faults)
        threading.Thread(target=telling.run, args=(stop,), daemon=True, name="telling").start()
        os.write(ready, b"1")
        while not stop.wait(TURN_SECONDS):
            deployments.keep(clock)
            clock.turn()


class Deployments:
    """Keeps what Prefect knows of the project's datasets.

    Args:
        services: The stores.
        client: Of the Prefect server.
    """

    def __init__(self, services: Services, client: SyncPrefectClient) -> None:
        self._services = services
        self._client = client
        self._known: list[str] | None = None

    def keep(self, clock: Clock) -> None:
        """Tell Prefect where a dataset is new or gone."""
        from infra.runtime.refusals import described_error
        from infra.service.deployments import deploy, watch_silence

        what = "Prefect's deployments"
        try:
            names = self._services.project.dataset_names()
            if names == self._known:
                return
            deploy(self._client, self._services.project, names)
            watch_silence(self._client)
        except Exception as error:  # noqa: BLE001 -- whatever the server says, the next turn tries again
            clock.faults.begins(what, f"The service could not see to {what}: {described_error(error)}")
        else:
            self._known = names
            clock.faults.ends(what, "Prefect has the deployments.")


def main(arguments: list[str]) -> int:
    """Take the pipe and the parent from the command line, keep time, and return the exit code."""
    _, ready, parent = (int(argument) for argument in arguments)
    if parent:
        die_with_parent(parent)
    stop = threading.Event()
    end_with_input(stop.set)
    try:
        keep_time(ready, stop)
    except SerenoError as error:
        sys.stderr.write(spelled_out(f"error: {error}\n"))
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
