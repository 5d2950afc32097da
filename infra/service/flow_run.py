"""One flow run of a deployment, in a process that dies with the worker that started it.

Started by the worker as `python -P -m infra.service.flow_run`, with the flow run's number in the environment.
"""

from __future__ import annotations

import os
import runpy

from infra.runtime.signals import die_with_parent


def main() -> None:
    """Do the flow run as Prefect does it."""
    # A worker that is killed could not cancel it any more, and the next one does not know it.
    die_with_parent(os.getppid())
    runpy.run_module("prefect.engine", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
