"""The Prefect server that records a run: one that is up already, or a private one that lives as long as the run.

The private server listens on loopback at a free port, knows one random password, and keeps its database in the
project's state folder. It dies with the run, however the run ends: it reads a pipe whose other end the run holds, and
on Linux the kernel kills it, too.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Self

from infra.runtime.project import Project, quiet_environment
from infra.runtime.refusals import of_prefect
from infra.runtime.signals import sigterm_exits
from infra.service.prefect_known import answers, known_servers
from infra.service.prefect_private import PrivateServer
from schemas.errors import SerenoError

if TYPE_CHECKING:
    from schemas.settings import Settings

START_SECONDS = 300.0
DRAIN_SECONDS = 5.0

log = logging.getLogger(__name__)


@contextmanager
def private_or_known_server(project: Project, settings: Settings) -> Iterator[str]:
    """Yield the address of the Prefect API that records runs within the block.

    In this order: `PREFECT_API_URL`, the settings' `prefect.api_url`, the server that the project folder knows, each
    where it answers; else a private server for the block.

    Raises:
        SerenoError: The private server did not come up.
    """
    with sigterm_exits(), begin(project, settings) as api:
        yield api.wait_ready()


prefect_api = private_or_known_server


class PrefectApi:
    """The API in use; as a context manager it is stopped at the block's end.

    Args:
        url: Its address, ending in `/api`.
        auth: `user:password` or a key, empty where it needs none.
        child: The private server, None where another's is used.
    """

    def __init__(self, url: str, auth: str, child: PrivateServer | None) -> None:
        self.url = url
        self._child = child
        self._auth = auth
        self._undo = ExitStack()
        self._ready = False

    @property
    def private(self) -> bool:
        """Whether the server was started for this run."""
        return self._child is not None

    def __enter__(self) -> Self:
        self._undo.enter_context(_environment(_client_environment(self.url, self._auth)))
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()

    def wait_ready(self, timeout: float = START_SECONDS) -> str:
        """Wait until the API answers and return its address.

        Raises:
            SerenoError: It did not in time, or ended.
        """
        if not self._ready:
            if self._child is not None:
                self._child.wait_ready(timeout)
            self._tell_prefect()
            self._ready = True
        return self.url

    @contextmanager
    def told(self) -> Iterator[None]:
        """Say what Prefect's client raises within the block in our own words.

        Raises:
            SerenoError: The server answered with an error, or did not answer.
        """
        try:
            yield
        except Exception as error:
            if (said := of_prefect(error)) is None:
                raise
            hint = self._child.where_to_look() if self._child is not None else f"look at the server of {self.url}"
            raise SerenoError(said, hint=hint) from error

    def stop(self) -> None:
        """Send what Prefect still holds, then end the private server; the second call does nothing."""
        child, self._child = self._child, None
        if self._ready:
            self._ready = False
            drain()
        self._undo.close()
        if child is not None:
            child.stop()

    def _tell_prefect(self) -> None:
        """Prefect reads the environment once, when it is imported; one that was imported before is told so."""
        if "prefect" not in sys.modules:
            return
        from prefect.settings import (
            PREFECT_API_AUTH_STRING,
            PREFECT_API_KEY,
            PREFECT_API_URL,
            get_current_settings,
            temporary_settings,
        )

        if get_current_settings().api.url == self.url:
            return
        values = {PREFECT_API_URL: self.url}
        if self._auth:
            values[PREFECT_API_AUTH_STRING if ":" in self._auth else PREFECT_API_KEY] = self._auth
        self._undo.enter_context(temporary_settings(updates=values))


def begin(project: Project, settings: Settings) -> PrefectApi:
    """Choose the API and, for a private one, start it without waiting: imports may go on meanwhile.

    Enter the result before Prefect is imported (it sets the environment); call it in the main thread.
    """
    quiet_environment(project)
    for known in known_servers(project, settings):
        if answers(known.url):
            return PrefectApi(known.url, known.auth, None)
        log.warning("The Prefect server of %s does not answer; going on without it.", known.origin)
    server = PrivateServer.begin(project)
    return PrefectApi(server.url, server.auth, server)


def drain(timeout: float = DRAIN_SECONDS) -> None:
    """Send the log lines and events that Prefect still holds; a server that goes before loses them, loudly."""
    if "prefect" not in sys.modules:
        return
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    for worker in (APILogWorker, EventsWorker):
        with suppress(Exception):  # a server that is gone must not hide why the run ended
            worker.drain_all(timeout=timeout)


def _client_environment(url: str, auth: str) -> dict[str, str | None]:
    by_password = ":" in auth
    return {
        "PREFECT_API_URL": url,
        "PREFECT_API_AUTH_STRING": auth if by_password else None,
        "PREFECT_API_KEY": auth if auth and not by_password else None,
        # Never a server of Prefect's own: it would stay behind.
        "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false",
        "PREFECT_CLI_PROMPT": "false",
    }


@contextmanager
def _environment(values: dict[str, str | None]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    _set(values)
    try:
        yield
    finally:
        _set(before)


def _set(values: dict[str, str | None]) -> None:
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
