"""Where the HTTP side listens: bound before the server starts, so that its address stands."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from schemas.errors import ConfigError

if TYPE_CHECKING:
    from schemas.service import ServiceSettings

BACKLOG = 128


def listen(settings: ServiceSettings) -> socket.socket:
    """Bind the socket that the settings name.

    Raises:
        ConfigError: The address is not this machine's, or another program has the port.
    """
    try:
        found = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, address = found[0]
        return socket.create_server(address[:2], family=family, backlog=BACKLOG)
    except OSError as error:
        raise ConfigError(
            f"service: cannot listen on {settings.host} port {settings.port}: {error.strerror or error}",
            hint="set service.port to a free port (0 takes any), or service.host to an address of this machine",
        ) from None


def url_of(settings: ServiceSettings, listening: socket.socket) -> str:
    """Return the address at which a bound socket is called."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    scheme = "http" if settings.certificate is None else "https"
    return f"{scheme}://{host}:{listening.getsockname()[1]}"
