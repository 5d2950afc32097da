"""The service's Dask cluster, as the runs of its project find it: by a note that only its user can read.

Dask's wire carries pickle: whoever holds the note's key can run code as that user, and nobody else can speak to it.
"""

from __future__ import annotations

import json
import logging
import os
import stat
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from infra.runtime.compute import ClientCompute
from infra.runtime.holder import Holder
from infra.runtime.likeness import likeness

if TYPE_CHECKING:
    from pathlib import Path

    from distributed.security import Security

    from infra.runtime.compute import Compute
    from infra.runtime.project import Project

ANSWER_SECONDS = 5
"""So long a run waits for an answer before it starts processes of its own."""

logger = logging.getLogger("sereno.cluster")


@dataclass(frozen=True)
class ClusterNote:
    """Where the service's cluster is, in ``state/service/cluster.json``.

    Args:
        holder: The scheduler's process.
        address: Where it listens.
        workers: How many worker processes it keeps.
        likeness: What runs must share with the workers, see `infra.runtime.likeness`.
        certificate: Of everyone who may speak to it, PEM.
        key: The certificate's private key, PEM.
    """

    holder: Holder
    address: str
    workers: int
    likeness: str
    certificate: str = field(repr=False)
    key: str = field(repr=False)

    def security(self) -> Security:
        """For a client."""
        from distributed.security import Security

        return Security(
            require_encryption=True,
            tls_ca_file=self.certificate,
            tls_client_cert=self.certificate,
            tls_client_key=self.key,
        )


def cluster_note_file(project: Project) -> Path:
    """Where the service's cluster says where it is."""
    return project.state / "service" / "cluster.json"


def write_cluster_note(project: Project, note: ClusterNote) -> None:
    """Say where the cluster is, to this user alone; the file appears as a whole."""
    path = cluster_note_file(project)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    beside = path.with_suffix(".tmp")
    beside.unlink(missing_ok=True)
    told = {**vars(note), "holder": str(note.holder)}
    number = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(number, "w", encoding="utf-8") as file:
        json.dump(told, file)
    beside.replace(path)


def read_cluster_note(project: Project) -> ClusterNote | None:
    """Where the cluster is; None where none is up, or others than this user could have written what stands there."""
    try:
        with cluster_note_file(project).open(encoding="utf-8") as file:
            is_ours = _is_ours(os.fstat(file.fileno()))
            told: dict[str, Any] = json.load(file)
        note = ClusterNote(**{**told, "holder": Holder.parse(str(told["holder"]))})
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return note if is_ours and note.holder.alive() else None


def _is_ours(file: os.stat_result) -> bool:
    return file.st_uid == os.geteuid() and not stat.S_IMODE(file.st_mode) & 0o077


def shared_compute(project: Project) -> Compute | None:
    """Connect to the service's cluster.

    Returns:
        None where none is up, where it does not answer soon, or where its workers would not do as this process does.
    """
    note = read_cluster_note(project)
    if note is None:
        return None
    if note.likeness != likeness():
        logger.info("The service works with other code or variables; this run starts its own worker processes.")
        return None
    compute = _connected(note)
    if compute is None:
        logger.warning("The service's worker processes do not answer; this run starts its own.")
    return compute


def _connected(note: ClusterNote) -> Compute | None:
    from distributed import Client

    from infra.runtime.local_cluster import quiet

    quiet()
    with ExitStack() as stack, suppress(OSError, RuntimeError, ValueError, TimeoutError, TypeError):
        client = Client(note.address, security=note.security(), timeout=ANSWER_SECONDS, set_as_default=False)
        stack.callback(client.close)
        if client.nthreads():
            return ClientCompute(client, "processes", note.workers, stack.pop_all().close)
    return None
