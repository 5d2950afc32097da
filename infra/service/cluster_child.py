"""The Dask cluster that runs share: `python -P -m infra.service.cluster_child -1 READY PARENT`.

As in `infra.service.child`; the project's folder comes in `SERENO_PROJECT`. Scheduler and workers listen on loopback
alone, and speak to nobody who has not the certificate that stands in the note beside the service's other ones.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from infra.runtime.child_side import end_with_input
from infra.runtime.signals import die_with_parent

if TYPE_CHECKING:
    from distributed import SpecCluster

    from infra.runtime.project import Project
    from schemas.settings import ClusterSettings

CLOSE_SECONDS = 6.0
LOOK_SECONDS = 60.0
HEAVY_SHARE = 0.5
"""Of a worker's memory limit; Dask gives no more calls to one that holds 0.8 of it."""


@contextmanager
def shared_cluster(project: Project, settings: ClusterSettings, folder: Path) -> Iterator[SpecCluster]:
    """Hold a cluster for a block, and say where it is for as long.

    Raises:
        SerenoError: The worker processes did not start.
    """
    from distributed.security import Security

    from infra.runtime.holder import Holder
    from infra.runtime.likeness import likeness
    from infra.runtime.local_cluster import local_cluster, quiet
    from infra.runtime.shared_cluster import ClusterNote, cluster_note_file, write_cluster_note

    quiet()
    security = Security.temporary()
    cluster = local_cluster(settings, folder, security)
    try:
        note = ClusterNote(
            holder=Holder.this_process(),
            address=cluster.scheduler_address,
            workers=len(cluster.worker_spec),
            likeness=likeness(),
            certificate=str(security.tls_client_cert),
            key=str(security.tls_client_key),
        )
        write_cluster_note(project, note)
        yield cluster
    finally:
        cluster_note_file(project).unlink(missing_ok=True)
        with suppress(TimeoutError):
            cluster.close(timeout=CLOSE_SECONDS)


def restart_heavy(cluster: SpecCluster) -> list[str]:
    """Start workers again that do nothing and still hold much memory: what months leave in a process never comes back.

    Returns:
        Which ones.
    """
    scheduler = cluster.scheduler
    if scheduler is None:
        return []
    heavy = [
        worker.address
        for worker in scheduler.workers.values()
        if not (worker.processing or worker.has_what) and worker.memory.process > HEAVY_SHARE * worker.memory_limit
    ]
    if heavy:
        cluster.sync(scheduler.restart_workers, heavy, on_error="return", stimulus_id="sereno-heavy")
    return heavy


def serve(ready: int, stop: threading.Event) -> None:
    """Keep the cluster until told to stop."""
    from infra.runtime.logs import secrets_of, set_up_logging
    from infra.runtime.project import find_project, quiet_environment
    from infra.runtime.signals import held
    from infra.runtime.work import session_folder
    from schemas.settings import load_settings

    found = find_project(Path(os.environ["SERENO_PROJECT"]))
    settings = load_settings(found.root).settings
    project = found.placed(settings)
    quiet_environment(project)
    set_up_logging(secrets=secrets_of(settings), as_json=False, unheard=("distributed",))
    with ExitStack() as stack:
        folder = stack.enter_context(session_folder(project))
        cluster = held(stack, shared_cluster(project, settings.cluster, folder))
        os.write(ready, b"1")
        while not stop.wait(LOOK_SECONDS):
            restart_heavy(cluster)


def main(arguments: list[str]) -> None:
    """Take the pipe and the parent from the command line, and serve."""
    _, ready, parent = (int(argument) for argument in arguments)
    if parent:
        die_with_parent(parent)
    stop = threading.Event()
    end_with_input(stop.set, grace=CLOSE_SECONDS + 2)
    serve(ready, stop)


if __name__ == "__main__":
    main(sys.argv[1:])
