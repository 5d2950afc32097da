"""The MLflow server's own process: ``python -P -m infra.service.mlflow_child SOCKET READY PARENT``.

As in `infra.service.child`. It shows the project's own store to whoever knows the password; runs of the project write
to that store themselves and do not need it. Address of the store and password come in the environment.
"""

from __future__ import annotations

import base64
import os
import secrets
import socket
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from infra.dashboard.serve import server_that_says
from infra.runtime.child_server import end_with_parent, taken_over

AUTH = "_SERENO_MLFLOW_AUTH"

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class AsksForPassword:
    """Lets through what carries the password (HTTP basic authentication, RFC 7617), `/health` excepted.

    Args:
        app: What stands behind.
        auth: `user:password`.
    """

    def __init__(self, app: App, auth: str) -> None:
        self._app = app
        self._wanted = b"Basic " + base64.b64encode(auth.encode())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        open_to_all = scope["type"] == "lifespan" or (scope["type"] == "http" and scope["path"] == "/health")
        given = dict(scope.get("headers") or ()).get(b"authorization", b"")
        if open_to_all or secrets.compare_digest(given, self._wanted):
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            headers = [(b"www-authenticate", b'Basic realm="MLflow of Sereno"'), (b"content-type", b"text/plain")]
            await send({"type": "http.response.start", "status": 401, "headers": headers})
            await send({"type": "http.response.body", "body": b"Who are you?\n"})


def serve(listening: socket.socket, ready: int, auth: str) -> None:
    """Serve MLflow until standard input ends."""
    import uvicorn
    from mlflow.server.fastapi_app import app

    asks = AsksForPassword(app, auth)
    config = uvicorn.Config(asks, log_level="warning", access_log=False, timeout_graceful_shutdown=2)
    server = server_that_says(config, lambda: os.write(ready, b"1"))
    end_with_parent(server)
    server.run(sockets=[listening])
    os._exit(0 if server.started else 3)


if __name__ == "__main__":
    serve(*taken_over(sys.argv[1:]), os.environ.pop(AUTH))
