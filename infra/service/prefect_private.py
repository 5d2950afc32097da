"""A private Prefect server: a child on loopback that lives as long as the run, however the run ends.

It reads a pipe whose other end the run holds, and on Linux the kernel kills it, too.
"""

from __future__ import annotations

import os
import secrets
import select
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import Self

from infra.runtime.project import Project
from infra.runtime.refusals import free_space
from schemas.errors import SerenoError

STOP_SECONDS = 5.0
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
    """The child process, from `begin`.

    Args:
        url: The API's address.
        auth: Its `user:password`.
        process: The child; its standard input is the pipe whose end says that we ended.
        ready: Where the child says that it answers.
        log_file: What it printed.
    """

    def __init__(self, url: str, auth: str, process: subprocess.Popen[bytes], ready: int, log_file: Path) -> None:
        self.url = url
        self.auth = auth
        self._process = process
        self._ready = ready
        self._log_file = log_file
        self._answered = False

    @classmethod
    def begin(cls, project: Project) -> Self:
        """Start the child and return at once; call it in the main thread."""
        auth = f"sereno:{secrets.token_urlsafe(24)}"
        project.create_state()
        for folder in (project.prefect_home, project.logs):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        log_file = project.logs / "prefect-server.log"
        ready, say_ready = os.pipe()
        # Bound here, so that the address stands before the server does: Prefect wants it when it is imported.
        with socket.create_server(("127.0.0.1", 0), backlog=128) as listening, _log(log_file) as output:
            arguments = [str(listening.fileno()), str(say_ready), _parent()]
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "infra.service.prefect_child", *arguments],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                pass_fds=[listening.fileno(), say_ready],
                env=_server_environment(project, auth),
                cwd=project.prefect_home,
                # Ctrl-C is for us: the server is needed until the last log line is sent.
                start_new_session=True,
            )
            url = f"http://127.0.0.1:{listening.getsockname()[1]}/api"
        os.close(say_ready)
        return cls(url, auth, process, ready, log_file)

    @property
    def pid(self) -> int:
        """The child's process number."""
        return self._process.pid

    def wait_ready(self, timeout: float) -> None:
        """Wait until it answers.

        Raises:
            SerenoError: It did not in time, or ended.
        """
        said, _, _ = select.select([self._ready], [], [], timeout)
        if said and os.read(self._ready, 1):
            self._answered = True
            return
        self.stop()
        how = "ended while it started" if said else f"did not answer within {timeout:.0f} s"
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
        if self._process.stdin is not None and not self._process.stdin.closed:
            with suppress(OSError):
                self._process.stdin.close()
            os.close(self._ready)
        try:
            # One that is still starting has nothing to finish.
            self._process.wait(STOP_SECONDS if self._answered else 0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def migrated_marker(home: Path) -> Path:
    """Return the file that says that this release of Prefect made or migrated the home's database to its end."""
    return home / f"migrated-{version('prefect')}"


def _parent() -> str:
    # The kernel's signal comes when the starting *thread* ends; from another thread the pipe alone must do.
    return str(os.getpid()) if threading.current_thread() is threading.main_thread() else "0"


@contextmanager
def _log(file: Path) -> Iterator[int]:
    if file.exists() and file.stat().st_size > _LARGEST_LOG:
        file.unlink()
    number = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        yield number
    finally:
        os.close(number)


def _server_environment(project: Project, auth: str) -> dict[str, str]:
    """The child's environment: nothing of the user's Prefect, which may name another database."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    started_before = migrated_marker(project.prefect_home).exists()
    return {
        **own,
        **{f"PREFECT_SERVER_SERVICES_{service}_ENABLED": "false" for service in _SERVICES_OFF},
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
