"""The server of the HTTP side, in the process that calls it."""

from __future__ import annotations

import os
import ssl
from typing import TYPE_CHECKING

from schemas.errors import ConfigError

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from pathlib import Path

    import uvicorn
    from starlette.types import ASGIApp

    from schemas.service import ServiceSettings

MOST_CONNECTIONS = 512
HEADER_BYTES = 65_536


def make_server(
    app: ASGIApp, settings: ServiceSettings, root: Path, answers: Callable[[], None] | None = None
) -> uvicorn.Server:
    """Return a server that is not started.

    Args:
        app: What it serves.
        settings: Where the certificate is.
        root: The project folder, which relative paths begin at.
        answers: Called once it answers.

    Raises:
        ConfigError: The certificate or its key cannot be used.
    """
    import uvicorn

    certificate, key = _checked_certificate(settings, root)
    return server_that_says(
        uvicorn.Config(
            app,
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            # Who stands in front may name any address; ours is the one that called.
            proxy_headers=False,
            limit_concurrency=MOST_CONNECTIONS,
            h11_max_incomplete_event_size=HEADER_BYTES,
            timeout_keep_alive=5,
            timeout_graceful_shutdown=2,
            ssl_certfile=certificate,
            ssl_keyfile=key,
        ),
        answers or (lambda: None),
    )


def server_that_says(config: uvicorn.Config, answers: Callable[[], object]) -> uvicorn.Server:
    """Return a server, not started, that calls a function once it answers."""
    import uvicorn

    class Server(uvicorn.Server):
        """Says when it answers."""

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets=sockets)
            if not self.should_exit:
                answers()

    return Server(config)


def say_on(pipe: int) -> Callable[[], None]:
    """What says on a pipe, once, that the server answers."""

    def say() -> None:
        os.write(pipe, b"1")
        os.close(pipe)

    return say


def _checked_certificate(settings: ServiceSettings, root: Path) -> tuple[Path | None, Path | None]:
    """The files for the server; it would ask for a key's password on the terminal, or end with a traceback."""
    if settings.certificate is None or settings.certificate_key is None:
        return None, None
    certificate, key = root / settings.certificate, root / settings.certificate_key
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password=lambda: "")
    except (OSError, ValueError) as error:
        said = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
        raise ConfigError(
            f"service: the certificate {certificate} with the key {key} cannot be used: {said}",
            hint="both must be PEM files that this user may read; the key is the certificate's own, without a password",
        ) from None
    return certificate, key
