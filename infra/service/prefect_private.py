"""A Prefect server of the project's own: a child on loopback that lives as long as who started it."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Self

from infra.runtime.project import Project
from infra.runtime.refusals import free_space
from infra.service.child import ChildProcess
from schemas.errors import SerenoError

MODULE = "infra.service.prefect_child"
_LARGEST_LOG = 1_000_000
_SERVICES_OFF = (
    "CANCELLATION_CLEANUP",
    "FOREMAN",
    "LATE_RUNS",
    "PAUSE_EXPIRATIONS",
    "REPOSSESSOR",
    "SCHEDULER",
    "TRIGGERS",
)


class PrivateServer:
    """The server of one run, from `begin`.

    Args:
        url: The API's address.
        auth: Its `user:password`.
        child: Its process.
        log_file: What it printed.
    """

    def __init__(self, url: str, auth: str, child: ChildProcess, log_file: Path) -> None:
        self.url = url
        self.auth = auth
        self._child = child
        self._log_file = log_file

    @classmethod
    def begin(cls, project: Project) -> Self:
        """Start the child and return at once; call it in the main thread."""
        auth = new_auth()
        project.create_state()
        for folder in (project.prefect_home, project.logs):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        log_file = project.logs / "prefect-server.log"
        # Bound here, so that the address stands before the server does: Prefect wants it when it is imported.
        with socket.create_server(("127.0.0.1", 0), backlog=128) as listening, _log(log_file) as output:
            child = ChildProcess.begin(
                MODULE,
                listening=listening.fileno(),
                environment={**server_environment(project, auth), **_without_services()},
                folder=project.prefect_home,
                output=output,
            )
            url = f"http://127.0.0.1:{listening.getsockname()[1]}/api"
        return cls(url, auth, child, log_file)

    @property
    def pid(self) -> int:
        """The child's process number."""
        return self._child.pid

    def wait_ready(self, timeout: float) -> None:
        """Wait until it answers.

        Raises:
            SerenoError: It did not in time, or ended.
        """
        if self._child.is_ready(timeout):
            return
        ended = self._child.closed_early
        self._child.stop()
        how = "ended while it started" if ended else f"did not answer within {timeout:.0f} s"
        raise SerenoError(f"The private Prefect server {how}.", hint=self.where_to_look())

    def where_to_look(self) -> str:
        """What helps where it failed."""
        return (
            f"Its words are in {self._log_file}. Its disk needs some space ({free_space(self._log_file.parent)}). A "
            "damaged database is mended by removing the folder `prefect` of the state folder: it holds no data of the "
            "nights."
        )

    def stop(self) -> None:
        """Let it end by itself, and kill it where it does not."""
        self._child.stop()


def new_auth() -> str:
    """A user and a password that nobody knows yet."""
    return f"sereno:{secrets.token_urlsafe(24)}"


def migrated_marker(home: Path) -> Path:
    """Return the file that says that this release of Prefect made or migrated the home's database to its end."""
    return home / f"migrated-{version('prefect')}"


@contextmanager
def _log(file: Path) -> Iterator[int]:
    if file.exists() and file.stat().st_size > _LARGEST_LOG:
        file.unlink()
    number = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        yield number
    finally:
        os.close(number)


def server_environment(project: Project, auth: str) -> dict[str, str]:
    """The child's environment: nothing of the user's Prefect, which may name another database."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    started_before = migrated_marker(project.prefect_home).exists()
    return {
        **own,
        "PREFECT_HOME": str(project.prefect_home),
        "PREFECT_PROFILES_PATH": str(project.prefect_home / "profiles.toml"),
        "PREFECT_SERVER_API_AUTH_STRING": auth,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_UI_ENABLED": "false",
        # Both are done once for a home and a release of Prefect.
        "PREFECT_SERVER_DATABASE_MIGRATE_ON_START": str(not started_before).lower(),
        "PREFECT_SERVER_REGISTER_BLOCKS_ON_START": str(not started_before).lower(),
        "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
        "PREFECT_LOGGING_LEVEL": "WARNING",
    }


def _without_services() -> Mapping[str, str]:
    """What watches over runs for days has nothing to do in a server that lives as long as one run."""
    return {f"PREFECT_SERVER_SERVICES_{service}_ENABLED": "false" for service in _SERVICES_OFF}
