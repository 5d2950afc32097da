"""One flow run of a deployment, in a process that dies with the worker that started it.

Started by the worker as `python -P -m infra.service.flow_run`, with the flow run's number in the environment.
"""

from __future__ import annotations

import os
import runpy
import sys

from infra.runtime.signals import SIGTERM_EXIT, die_with_parent

DRAIN_SECONDS = 2.0


def main() -> None:
    """Do the flow run as Prefect does it, and leave at once."""
    # A worker that is killed could not cancel it any more, and the next one does not know it.
    die_with_parent(os.getppid())
    code = _done()
    from infra.service.prefect_server import drain

    drain(DRAIN_SECONDS)
    sys.stdout.flush()
    sys.stderr.flush()
    # Tearing down the interpreter takes seconds and saves nothing.
    os._exit(code)


def _done() -> int:
    try:
        runpy.run_module("prefect.engine", run_name="__main__", alter_sys=True)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except KeyboardInterrupt:
        return SIGTERM_EXIT
    return 0


if __name__ == "__main__":
    main()
