"""Opens what works on a batch: threads, local processes, or a cluster that is there already."""

from __future__ import annotations

import ipaddress
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from infra.runtime.compute import ClientCompute, Compute, ThreadCompute, cores
from infra.runtime.shared_cluster import shared_compute
from schemas.errors import ConfigError, SerenoError

if TYPE_CHECKING:
    from infra.runtime.project import Project
    from schemas.settings import ClusterSettings

START_SECONDS = 120
CONNECT_SECONDS = 30


@contextmanager
def open_cluster(
    settings: ClusterSettings, work: Path, *, bytes_hint: int | None = None, project: Project | None = None
) -> Iterator[Compute]:
    """Yield what the settings ask for, and end it.

    Args:
        settings: The project's `cluster` settings.
        work: A folder of the run for the workers' own files.
        bytes_hint: The batch's size; with kind `auto` it decides between threads and processes.
        project: Whose service lends its processes, where it is up.

    Raises:
        ConfigError: An address off this machine without TLS, or none with kind `address`.
        SerenoError: The cluster did not come up.
    """
    compute = start_cluster(settings, work, bytes_hint=bytes_hint, project=project)
    try:
        yield compute
    finally:
        compute.close()


def start_cluster(
    settings: ClusterSettings, work: Path, *, bytes_hint: int | None = None, project: Project | None = None
) -> Compute:
    """Like `open_cluster`, for a caller that closes it."""
    kind = kind_for(settings, bytes_hint)
    if kind == "threads":
        return ThreadCompute(settings.workers or cores())
    if kind == "address":
        return _connect(settings)
    lent = shared_compute(project) if project is not None else None
    return lent if lent is not None else _start_processes(settings, work)


def kind_for(settings: ClusterSettings, bytes_hint: int | None) -> str:
    """Return the kind that `auto` stands for, else the kind itself."""
    if settings.kind != "auto":
        return settings.kind
    if settings.address is not None:
        return "address"
    return "processes" if (bytes_hint or 0) > settings.process_bytes else "threads"


def may_have_processes(settings: ClusterSettings) -> bool:
    """Whether some batch would get local processes."""
    return kind_for(settings, sys.maxsize) == "processes"


def checked_address(address: str | None) -> str:
    """Return a scheduler's address that may be used: TLS, or a plain one on this machine.

    Dask's wire carries pickle: who can speak to it can run code.

    Raises:
        ConfigError: It is none of these.
    """
    if not address:
        raise ConfigError("cluster.kind is `address`, but cluster.address is empty.", hint="Set it to tls://HOST:8786.")
    full = address if "://" in address else f"tcp://{address}"
    parts = urlsplit(full)
    if parts.scheme == "tls" or (parts.scheme == "tcp" and _is_loopback(parts.hostname or "")):
        return full
    raise ConfigError(
        f"cluster.address {address} is not on this machine and not TLS: whoever is between could run code here.",
        hint="Start the scheduler with TLS, set DASK_DISTRIBUTED__COMM__TLS__CA_FILE, ...__CLIENT__CERT and "
        "...__CLIENT__KEY, and write tls://HOST:PORT.",
    )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _start_processes(settings: ClusterSettings, work: Path) -> Compute:
    from distributed import Client

    from infra.runtime.local_cluster import local_cluster, not_started, quiet

    folder = work / "dask"
    quiet()
    cluster = local_cluster(settings, folder)
    workers = len(cluster.worker_spec)
    try:
        client = Client(cluster, timeout=START_SECONDS, set_as_default=False)
    except (OSError, RuntimeError, ValueError, TimeoutError) as error:
        raise not_started(workers, error) from error

    def end() -> None:
        client.close()
        with suppress(TimeoutError):
            cluster.close(timeout=10)
        shutil.rmtree(folder, ignore_errors=True)

    return ClientCompute(client, "processes", workers, end)


def _connect(settings: ClusterSettings) -> Compute:
    from distributed import Client
    from distributed.security import Security

    from infra.runtime.local_cluster import quiet

    address = checked_address(settings.address)
    quiet()
    try:
        security = Security(require_encryption=True) if address.startswith("tls://") else None
        client = Client(address, security=security, timeout=CONNECT_SECONDS, set_as_default=False)
        workers = sum(int(threads) for threads in client.nthreads().values())
    except (OSError, RuntimeError, ValueError, TimeoutError, TypeError) as error:
        raise SerenoError(
            f"The Dask scheduler at {address} does not answer: {error}",
            hint="Check that it runs and that its certificate is the one in DASK_DISTRIBUTED__COMM__TLS__CA_FILE; "
            "or set cluster.kind: auto.",
        ) from error
    if workers == 0:
        client.close()
        raise SerenoError(f"The Dask scheduler at {address} has no workers.", hint="Start workers for it.")
    return ClientCompute(client, "address", workers, client.close)
