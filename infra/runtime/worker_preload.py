"""Runs first in each local Dask worker process: it dies with the process that started it, and leaves Ctrl-C to it."""

from __future__ import annotations

import logging
import signal
from typing import Any

from infra.runtime.signals import die_with_parent


def dask_setup(worker: Any) -> None:
    """Called by Dask, by this name, before the worker takes work."""
    del worker
    die_with_parent()
    # The caller gets each error and says it once; here it would print the values that the call was given.
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
