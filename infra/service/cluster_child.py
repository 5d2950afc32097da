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
    from infra.runtime.project import Project
    from schemas.settings import ClusterSettings

CLOSE_SECONDS = 6.0


@contextmanager
def shared_cluster(project: Project, settings: ClusterSettings, folder: Path) -> Iterator[None]:
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
        yield
    finally:
        cluster_note_file(project).unlink(missing_ok=True)
        with suppress(TimeoutError):
            cluster.close(timeout=CLOSE_SECONDS)


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
        held(stack, shared_cluster(project, settings.cluster, folder))
        os.write(ready, b"1")
        stop.wait()


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
