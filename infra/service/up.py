"""`sereno up`: the service's parts on their sockets, kept alive until it is told to stop."""

from __future__ import annotations

import fcntl
import logging
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infra.dashboard.address import listen, url_of
from infra.runtime.cluster import may_have_processes
from infra.runtime.events import Event
from infra.runtime.holder import Holder
from infra.runtime.logs import secrets_of
from infra.runtime.shared_cluster import cluster_note_file
from infra.runtime.state import State
from infra.runtime.tracking import tracking_of
from infra.service.addresses import LOOPBACK, USER, ServiceNote, bound, note_file, password_of, write_note
from infra.service.child import ChildProcess
from infra.service.faults import Faults
from infra.service.prefect_known import SERVER_FILE, publish
from infra.service.prefect_private import MODULE as PREFECT
from infra.service.prefect_private import server_environment
from infra.service.supervisor import Held, Post, Supervisor
from schemas.errors import LockedNight

if TYPE_CHECKING:
    import socket

    from infra.runtime.project import Project
    from schemas.settings import Settings

logger = logging.getLogger("sereno.up")


@dataclass(frozen=True)
class Service:
    """One project's service.

    Args:
        project: The project folder.
        settings: The settings in force.
    """

    project: Project
    settings: Settings

    def run(self, stop: threading.Event, up: Callable[[Mapping[str, str]], None]) -> None:
        """Start every part, call `up` with the addresses, and keep all alive until told to stop.

        Raises:
            LockedNight: The project's service is up already.
            ConfigError: A port is taken.
            SerenoError: A part does not start.
        """
        with ExitStack() as stack:
            stack.enter_context(_only_one(self.project))
            sockets = {name: stack.enter_context(listening) for name, listening in self._sockets().items()}
            addresses = {name: self._address(name, listening) for name, listening in sockets.items()}
            state = stack.enter_context(State(self._database()))
            faults = Faults(state, secrets_of(self.settings))
            stack.callback(note_file(self.project).unlink, missing_ok=True)
            stack.callback((self.project.prefect_home / SERVER_FILE).unlink, missing_ok=True)
            stack.callback(cluster_note_file(self.project).unlink, missing_ok=True)
            posts = _posts(self, sockets, addresses)

            def died(name: str, how: str) -> None:
                faults.tell(Event("child_died", f"{name} of the service {how}; it is started again.", "warning"))

            def changed(held: Sequence[Held]) -> None:
                keep_note(self.project, addresses, held)

            def ready() -> None:
                publish(self.project, f"{addresses['prefect']}/api", f"{USER}:{password_of(self.project)}")
                faults.tell(Event("service_up", "The service is up."))
                up(addresses)

            try:
                Supervisor(posts, died, changed).run(stop, ready)
            finally:
                faults.tell(Event("service_down", "The service was stopped."))

    def _database(self) -> str:
        database = self.settings.database
        return database.get_secret_value() if database is not None else self.project.database_url

    def _sockets(self) -> dict[str, socket.socket]:
        service = self.settings.service
        return {
            "http": listen(service),
            "prefect": bound(service.prefect_port, "service.prefect_port"),
            "mlflow": bound(service.mlflow_port, "service.mlflow_port"),
        }

    def _address(self, name: str, listening: socket.socket) -> str:
        if name == "http":
            return url_of(self.settings.service, listening)
        return f"http://{LOOPBACK}:{listening.getsockname()[1]}"


def stopped_by_signals() -> threading.Event:
    """An event that SIGTERM and SIGINT set; call it in the main thread."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())
    return stop


@contextmanager
def _only_one(project: Project) -> Iterator[None]:
    project.create_state()
    folder = project.state / "service"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise LockedNight(
                f"The service of {project.root} is up already.", hint="Look at it: sereno status; or stop it first."
            ) from None
        yield


def keep_note(project: Project, addresses: Mapping[str, str], held: Sequence[Held]) -> None:
    """Say what runs; where that cannot be written the service goes on, and its note is older than it."""
    try:
        write_note(project, ServiceNote(Holder.this_process(), addresses, _children(held)))
    except OSError as error:
        logger.warning("%s cannot be written: %s; `sereno status` shows what was before", note_file(project), error)


def _children(held: Sequence[Held]) -> dict[str, dict[str, Any]]:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return {
        one.post.name: {
            "process": one.child.pid if one.child is not None else None,
            "changed": now,
            "restarts": one.restarts,
        }
        for one in held
    }


def _posts(service: Service, sockets: Mapping[str, socket.socket], addresses: Mapping[str, str]) -> list[Post]:
    project, settings = service.project, service.settings
    auth = f"{USER}:{password_of(project)}"
    for folder in (project.prefect_home, project.logs):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    client = _client_environment(project, addresses["prefect"], auth)

    def begins(module: str, environment: Callable[[], Mapping[str, str]], part: str = "") -> Callable[[], ChildProcess]:
        return lambda: ChildProcess.begin(
            module,
            listening=sockets[part].fileno() if part else None,
            environment=environment(),
            folder=project.root,
            output=subprocess.PIPE,
        )

    shared = Post("cluster", begins("infra.service.cluster_child", lambda: _cluster_environment(project)))
    return [
        Post("prefect", begins(PREFECT, lambda: _prefect_environment(service, auth), "prefect"), ready_seconds=300),
        Post("mlflow", begins("infra.service.mlflow_child", lambda: _mlflow_environment(service, auth), "mlflow")),
        Post("http", begins("infra.dashboard", lambda: os.environ, "http")),
        *([shared] if may_have_processes(settings.cluster) else []),
        Post("clock", begins("infra.service.clock_child", lambda: client)),
        Post(
            "worker",
            begins(
                "infra.service.worker_child",
                lambda: {**client, "_SERENO_WORKER_RUNS": str(settings.service.runs)},
            ),
            stop_seconds=40,
        ),
    ]


def _prefect_environment(service: Service, auth: str) -> dict[str, str]:
    database = service.settings.prefect.database
    own = {} if database is None else {"PREFECT_SERVER_DATABASE_CONNECTION_URL": database.get_secret_value()}
    return {
        **server_environment(service.project, auth),
        **own,
        "PREFECT_SERVER_UI_ENABLED": "true",
        # Nights are asked for by our own clock.
        "PREFECT_SERVER_SERVICES_SCHEDULER_ENABLED": "false",
    }


def _mlflow_environment(service: Service, auth: str) -> dict[str, str]:
    tracking = tracking_of(service.project, service.settings)
    return {
        **os.environ,
        **tracking.environment(),
        "_MLFLOW_SERVER_FILE_STORE": tracking.uri,
        "_MLFLOW_SERVER_ARTIFACT_ROOT": tracking.artifact_location or "",
        "_SERENO_MLFLOW_AUTH": auth,
    }


def _cluster_environment(project: Project) -> dict[str, str]:
    return {**os.environ, "SERENO_PROJECT": str(project.root)}


def _client_environment(project: Project, address: str, auth: str) -> dict[str, str]:
    """For what speaks to Prefect: the clock, the worker, and the flow runs that it starts."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    return {
        **own,
        "SERENO_PROJECT": str(project.root),
        "PREFECT_API_URL": f"{address}/api",
        "PREFECT_API_AUTH_STRING": auth,
        "PREFECT_HOME": str(project.prefect_home),
        "PREFECT_PROFILES_PATH": str(project.prefect_home / "profiles.toml"),
        "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false",
        "PREFECT_CLI_PROMPT": "false",
        "PREFECT_WORKER_QUERY_SECONDS": "2",
        "PREFECT_WORKER_CANCELLATION_POLL_SECONDS": "5",
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
        "PREFECT_LOGGING_LEVEL": "WARNING",
        # Flow runs write their lines themselves.
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
        # Whatever Prefect stores of an exception that leaves a flow lies with the scratch.
        "PREFECT_LOCAL_STORAGE_PATH": str(Path(project.work) / "prefect-storage"),
    }
