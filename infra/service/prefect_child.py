"""The private Prefect server's own process: ``python -P -m infra.service.prefect_child SOCKET READY PARENT``.

The arguments are those of `infra.runtime.child_server`; the password comes in the environment.
"""

from __future__ import annotations

import fcntl
import os
import socket
import sys
from pathlib import Path
from typing import IO

from infra.dashboard.serve import server_that_says
from infra.runtime.child_server import end_with_parent, taken_over
from infra.service.prefect_private import migrated_marker


def serve(listening: socket.socket, ready: int) -> None:
    """Serve the API until standard input ends."""
    home = Path(os.environ["PREFECT_HOME"])
    migrated = migrated_marker(home)
    lock = _first_start_lock(home, migrated)

    import uvicorn

    def answers() -> None:
        migrated.touch()
        os.write(ready, b"1")
        if lock is not None:
            lock.close()

    config = uvicorn.Config(
        "prefect.server.api.server:create_app",
        factory=True,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=2,
    )
    server = server_that_says(config, answers)
    end_with_parent(server)
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


if __name__ == "__main__":
    serve(*taken_over(sys.argv[1:]))
