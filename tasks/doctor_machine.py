"""What stands around the project: database, cluster, memory, variables of the environment."""

from __future__ import annotations

import importlib.util
import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from infra.runtime.cluster import checked_address
from infra.runtime.compute import cores
from infra.runtime.disk import NETWORK, fs_of
from schemas.errors import ConfigError
from tasks.doctor import Check, Finding, Patient, wrong_if
from tasks.doctor_folders import existing
from tasks.retention_plan import size_in_words

ANSWER_SECONDS = 3.0
TRAINING_BYTES = 2_000_000_000
"""What a training takes besides the workers."""

POSTGRESQL_PORT = 5432
_IGNORED = {
    "MLFLOW_TRACKING_URI": "mlflow.tracking_uri",
    "MLFLOW_REGISTRY_URI": "mlflow.tracking_uri",
    "PREFECT_PROFILE": "prefect.api_url",
    "PREFECT_HOME": "prefect.api_url",
}


def _database(patient: Patient) -> Iterator[Finding]:
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    secret = patient.settings.database
    try:
        url = make_url(secret.get_secret_value() if secret is not None else patient.project.database_url)
    except ArgumentError:
        yield Finding(
            "database",
            "wrong",
            "`database` is no SQLAlchemy address",
            "write sqlite:////absolute/path.db or postgresql+psycopg://user@host/name",
        )
        return
    if url.get_backend_name() == "sqlite":
        yield from _sqlite(Path(str(url.database or "")), given=secret is not None)
        return
    driver = url.get_driver_name() or "psycopg2"
    if importlib.util.find_spec(driver) is None:
        yield Finding(
            "database",
            "wrong",
            f"the driver {driver} of `database` is not installed",
            f"pip install '{'psycopg[binary]' if driver == 'psycopg' else driver}', and name it: postgresql+psycopg://...",
        )
        return
    host, port = url.host or "localhost", url.port or POSTGRESQL_PORT
    if (why := _no_answer(host, port)) and not (url.host or "").startswith("/"):
        yield Finding(
            "database", "wrong", f"{host}:{port} does not answer: {why}", "is the server up, and the address right?"
        )


def _sqlite(file: Path, *, given: bool) -> Iterator[Finding]:
    if given and not file.is_absolute():
        yield Finding(
            "database",
            "wrong",
            f"`database` is the relative path {file}, which is another file in each folder that a command is typed in",
            "write an absolute one, with four strokes: sqlite:////absolute/path.db",
        )
        return
    kind = fs_of(existing(file.absolute()))
    if kind in NETWORK:
        yield Finding(
            "database",
            "wrong",
            f"the state database {file} is SQLite on a network file system ({kind}), whose locks cannot be relied on",
            "use PostgreSQL (`database`), or a `state` folder on a disk of this machine",
        )


def _cluster(patient: Patient) -> Iterator[Finding]:
    settings = patient.settings.cluster
    if settings.kind != "address" and not (settings.kind == "auto" and settings.address):
        if settings.address:
            why = f"cluster.address is not used, as cluster.kind is {settings.kind}"
            yield Finding("cluster", "note", why, "set cluster.kind: address, or take the address away")
        return
    try:
        parts = urlsplit(checked_address(settings.address))
        host, port = parts.hostname or "", parts.port
    except (ConfigError, ValueError) as error:
        hint = error.hint if isinstance(error, ConfigError) else "write tls://HOST:PORT"
        yield Finding("cluster", "wrong", error.message if isinstance(error, ConfigError) else str(error), hint or "")
        return
    if port is None:
        yield Finding("cluster", "wrong", f"cluster.address {settings.address} has no port", "write tls://HOST:8786")
    elif why := _no_answer(host, port):
        hint = "is the scheduler up, and the address right? Else set cluster.kind: auto"
        yield Finding("cluster", "wrong", f"no Dask scheduler answers at {host}:{port}: {why}", hint)


def _no_answer(host: str, port: int) -> str:
    """Why nobody answers; empty where somebody does."""
    try:
        socket.create_connection((host, port), ANSWER_SECONDS).close()
    except OSError as error:
        return error.strerror or str(error)
    return ""


def memory_bytes(limits: tuple[Path, ...] = (Path("/sys/fs/cgroup/memory.max"),)) -> int:
    """What this process may use: the machine's memory, or the container's limit."""
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for limit in limits:
        with suppress(OSError, ValueError):  # "max": no limit
            there = min(there, int(limit.read_text(encoding="ascii")))
    return there


def _memory(patient: Patient) -> Iterator[Finding]:
    from dask.utils import parse_bytes

    settings = patient.settings.cluster
    if settings.kind in ("threads", "address") or (settings.kind == "auto" and settings.address):
        return
    try:
        each = int(parse_bytes(settings.worker_memory))
    except ValueError:
        found = f"cluster.worker_memory is {settings.worker_memory!r}, which is no size"
        yield Finding("memory", "wrong", found, "write for example 2GiB")
        return
    workers, there = settings.workers or cores(), memory_bytes()
    if workers * each + TRAINING_BYTES <= there:
        return
    said = {"cluster.workers", "cluster.worker_memory"} & patient.resolved.origin.keys()
    yield Finding(
        "memory",
        wrong_if(said),
        f"{workers} workers may use {size_in_words(each)} each and a training {size_in_words(TRAINING_BYTES)}, more "
        f"than the {size_in_words(there)} that are there: large nights may be killed",
        "set cluster.workers or cluster.worker_memory lower, or cluster.kind: threads",
    )


def _environment(patient: Patient) -> Iterator[Finding]:
    for name, place in sorted(patient.resolved.overruled.items()):
        variable = patient.resolved.origin[name].partition(":")[0]
        found = f"the variable {variable} overrules {place}"
        yield Finding(f"setting {name}", "note", found, f"unset {variable}, where that is not meant")
    asked, api = patient.environ.get("PREFECT_API_URL"), patient.settings.prefect.api_url
    if asked and api and asked.rstrip("/") != api.rstrip("/"):
        found = "the variable PREFECT_API_URL names another server than the setting prefect.api_url, and wins"
        yield Finding("setting prefect.api_url", "wrong", found, "unset PREFECT_API_URL, or take the setting away")
    elif asked and not api:
        found = "the variable PREFECT_API_URL names the server that records the runs"
        yield Finding(
            "setting prefect.api_url", "note", found, "unset PREFECT_API_URL for a server of the project's own"
        )
    for variable, setting in _IGNORED.items():
        if patient.environ.get(variable):
            found = f"the variable {variable} is not looked at"
            yield Finding(f"variable {variable}", "note", found, f"use the setting {setting}, or unset the variable")


MACHINE_CHECKS = (
    Check(
        "database",
        "SQLite on a network file system or by a relative path; PostgreSQL that does not answer, or without its driver",
        "PostgreSQL beyond one machine; an absolute path; `pip install 'psycopg[binary]'`",
        _database,
        before_stores=True,
    ),
    Check(
        "cluster",
        "a Dask scheduler off this machine without TLS, that does not answer, or whose address is not used",
        "TLS and `tls://HOST:PORT`; start the scheduler; `cluster.kind`",
        _cluster,
        before_stores=True,
    ),
    Check(
        "memory",
        "`cluster.workers` times `cluster.worker_memory`, and a training, are more than the memory that is there",
        "fewer workers, less for each, or `cluster.kind: threads`",
        _memory,
        before_stores=True,
    ),
    Check(
        "environment",
        "variables that overrule `sereno.yaml` unnoticed, or that look as if they did (PREFECT_..., MLFLOW_...)",
        "unset the variable; a `SERENO_` variable that is misspelt is refused at once",
        _environment,
        before_stores=True,
    ),
)
