"""The worker's own process: takes flow runs from the work pool, each into a process of its own.

`python -P -m infra.service.worker_child -1 READY PARENT`, as in `infra.service.child`; Prefect's address and password
come in the environment, and how many flow runs may be at work at once in `_SERENO_WORKER_RUNS`.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from infra.runtime.child_side import end_with_input
from infra.runtime.signals import die_with_parent
from infra.service.deployments import POOL

if TYPE_CHECKING:
    import psutil

RUNS = "_SERENO_WORKER_RUNS"
LOOK_SECONDS = 0.1
FLOW_RUN_SECONDS = 25.0
"""So long a night has to give itself up in good order."""


async def work(ready: int, runs: int) -> None:
    """Take flow runs until the process is told to end."""
    from prefect.workers.process import ProcessWorker

    worker = ProcessWorker(POOL, name=f"sereno-{socket.gethostname()}", limit=runs)
    working = asyncio.create_task(worker.start(printer=lambda _line: None))
    while not (worker.is_setup or working.done()):
        await asyncio.sleep(LOOK_SECONDS)
    if worker.is_setup:
        os.write(ready, b"1")
    await working


def stop_flow_runs() -> None:
    """Ask the flow runs at work to give their nights up, and wait for them a while."""
    import psutil

    ask_to_end(psutil.Process().children(), FLOW_RUN_SECONDS)
    os._exit(0)


def ask_to_end(at_work: Sequence[psutil.Process], seconds: float) -> None:
    """Ask processes to end in good order, and wait for them so long."""
    import psutil

    for process in at_work:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGTERM)
    psutil.wait_procs(at_work, seconds)


def main(arguments: list[str]) -> None:
    """Take the pipe and the parent from the command line, and work."""
    _, ready, parent = (int(argument) for argument in arguments)
    if parent:
        die_with_parent(parent)
    end_with_input(stop_flow_runs, grace=1.0)
    asyncio.run(work(ready, int(os.environ.get(RUNS, "1"))))


if __name__ == "__main__":
    main(sys.argv[1:])
