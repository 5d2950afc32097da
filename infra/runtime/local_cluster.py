"""Dask on this machine alone: a scheduler on loopback in this very process, and worker processes below it."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infra.runtime.compute import cores
from schemas.errors import SerenoError

if TYPE_CHECKING:
    from distributed import SpecCluster
    from distributed.security import Security

    from schemas.settings import ClusterSettings

LOOPBACK = "127.0.0.1"
PROTOCOL = "tls://"


def local_cluster(settings: ClusterSettings, folder: Path, security: Security | None = None) -> SpecCluster:
    """Start scheduler and workers; the caller closes what comes back.

    Args:
        settings: The project's `cluster` settings.
        folder: For the workers' own files.
        security: Certificates; some of its own where none are given.

    Raises:
        SerenoError: They did not start.
    """
    from distributed import Nanny, Scheduler, SpecCluster
    from distributed.security import Security

    workers = settings.workers or cores()
    # Other users of this machine reach loopback too; certificates of the cluster's own shut them out.
    common = {"host": LOOPBACK, "protocol": PROTOCOL, "security": security or Security.temporary(), "dashboard": False}
    # None would open the dashboard's usual port.
    scheduler = {"cls": Scheduler, "options": {**common, "port": 0, "dashboard_address": f"{LOOPBACK}:0"}}
    each: dict[str, Any] = {
        **common,
        "nthreads": 1,
        "memory_limit": settings.worker_memory,
        "local_directory": str(folder),
        "preload": ["infra.runtime.worker_preload"],
        "silence_logs": logging.ERROR,
    }
    try:
        return SpecCluster(
            workers={at: {"cls": Nanny, "options": each} for at in range(workers)},
            scheduler=scheduler,
            security=common["security"],
            silence_logs=logging.ERROR,
        )
    except (OSError, RuntimeError, ValueError, TimeoutError) as error:
        raise not_started(workers, error) from error


def quiet() -> None:
    """Switch off what Dask watches by itself and nobody looks at; to be called before it starts anything."""
    import dask

    dask.config.set({"distributed.diagnostics.nvml": False, "distributed.worker.profile.enabled": False})


def not_started(workers: int, error: BaseException) -> SerenoError:
    """Our words for worker processes that did not start."""
    return SerenoError(
        f"{workers} worker processes did not start: {error}",
        hint="Set cluster.kind: threads, or fewer cluster.workers.",
    )
