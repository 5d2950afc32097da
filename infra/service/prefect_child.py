"""The private Prefect server's own process: ``python -P -m infra.service.prefect_child SOCKET READY PARENT``.

SOCKET is the listening socket, READY the pipe to say on that the API answers, PARENT the process to die with (0: the
pipe on standard input alone says so). The password
comes in the environment.
"""

from __future__ import annotations

import fcntl
import os
import socket
import sys
from pathlib import Path
from typing import IO

from infra.runtime.child_side import end_with_input
from infra.runtime.signals import die_with_parent
from infra.service.prefect_private import migrated_marker


def serve(listening: socket.socket, ready: int) -> None:
    """Serve the API until standard input ends."""
    home = Path(os.environ["PREFECT_HOME"])
    migrated = migrated_marker(home)
    lock = _first_start_lock(home, migrated)

    import uvicorn

    class Server(uvicorn.Server):
        """Says when it answers."""

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets=sockets)
            if not self.should_exit:
                migrated.touch()
                os.write(ready, b"1")
            if lock is not None:
                lock.close()

    server = Server(
        uvicorn.Config(
            "prefect.server.api.server:create_app",
            factory=True,
            log_level="warning",
            access_log=False,
            timeout_graceful_shutdown=2,
        )
    )

    def end() -> None:
        server.should_exit = True

    end_with_input(end)
    server.run(sockets=[listening])
    # Tearing down the interpreter takes seconds and saves nothing.
    os._exit(0 if server.started else 3)


def _first_start_lock(home: Path, migrated: Path) -> IO[str] | None:
    """Wait for another's first start on this home: two migrations at once break the database."""
    if migrated.exists():
        return None
    lock = (home / "first-start.lock").open("w")
    fcntl.flock(lock, fcntl.LOCK_EX)
    if migrated.exists():
        lock.close()
        return None
    if not any(home.glob("migrated-*")):
        # What a first start that was killed left behind: half a schema, which no later start could mend.
        for left in home.glob("prefect.db*"):
            left.unlink()
    return lock


def main(arguments: list[str]) -> None:
    """Take the socket and the parent from the command line, and serve."""
    number, ready, parent = (int(argument) for argument in arguments)
    if parent:
        die_with_parent(parent)
    serve(socket.socket(fileno=number), ready)


if __name__ == "__main__":
    main(sys.argv[1:])
