"""The connection to MLflow: opened quietly, its errors said in our words, its experiments at the project's place."""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from schemas.errors import SerenoError

if TYPE_CHECKING:
    from mlflow import MlflowClient

_MAKING = "making"
BUSY_SECONDS = 30
FOREIGN = ("alembic", "mlflow", "requests", "sqlalchemy", "sqlite3", "urllib3")


@contextmanager
def told(doing: str) -> Iterator[None]:
    """Say MLflow's and its database's errors in our own words.

    Args:
        doing: What MLflow could not do.

    Raises:
        SerenoError: In place of theirs.
    """
    try:
        yield
    except Exception as error:
        ours = isinstance(error, SerenoError)
        if ours or not (isinstance(error, OSError) or type(error).__module__.split(".")[0] in FOREIGN):
            raise
        raise SerenoError(
            f"MLflow could not {doing}: {first_line(error)}",
            hint="Check `mlflow.tracking_uri`, the disk's free space and who may write to the state folder.",
        ) from error


def connect(uri: str, artifacts: Path) -> MlflowClient:
    """Import MLflow and open its store, which is made where there is none.

    Raises:
        SerenoError: The store cannot be used.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    with told("open its store"):
        from mlflow import MlflowClient

        for name in ("mlflow", "alembic"):  # after the import, which sets them to INFO
            logging.getLogger(name).setLevel(logging.ERROR)
        if (file := sqlite_file(uri)) is not None:
            file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not is_server(uri):
            artifacts.mkdir(parents=True, exist_ok=True, mode=0o700)
        with _alone(file) if file is not None else nullcontext():
            client = MlflowClient(tracking_uri=_patient(uri), registry_uri=_patient(uri))
            client.search_registered_models(max_results=1)
    return client


def _patient(uri: str) -> str:
    """Have SQLite wait for another process as long as the state database does; alone it gives up after 5 s."""
    return uri if sqlite_file(uri) is None or "?" in uri else f"{uri}?timeout={BUSY_SECONDS}"


@contextmanager
def _alone(file: Path) -> Iterator[None]:
    """Keep others out while MLflow opens its database: two that make it at once break it for good.

    A database whose making was stopped in the middle holds nothing yet, and could not be mended: it is made anew.
    """
    with file.with_name(f"{file.name}.lock").open("a+", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.seek(0)
        if lock.read() == _MAKING:
            for left in (file, *file.parent.glob(f"{file.name}-*")):
                left.unlink(missing_ok=True)
        if not file.exists():
            lock.write(_MAKING)
            lock.flush()
        yield
        lock.truncate(0)


def experiment_of(client: MlflowClient, name: str, uri: str, artifacts: Path) -> str:
    """Return the id of a dataset's experiment, made where there is none.

    MLflow binds an experiment to a folder: a project folder that was moved gets a new one.
    """
    place = None if is_server(uri) else (artifacts / name).as_uri()
    known = client.get_experiment_by_name(name)
    if known is not None and place is not None and known.artifact_location != place:
        name = f"{name}@{artifacts}"
        known = client.get_experiment_by_name(name)
    if known is None:
        return _create_experiment(client, name, place)
    if known.lifecycle_stage == "deleted":
        client.restore_experiment(known.experiment_id)
    return str(known.experiment_id)


def ensure_registered(client: MlflowClient, name: str) -> None:
    """Make the registered model; nothing where it is there."""
    from mlflow.exceptions import MlflowException

    # Looked for first: to refuse to make it twice, MLflow would read every version that it has.
    if client.search_registered_models(f"name = '{name}'", max_results=1):
        return
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def is_server(uri: str) -> bool:
    """Whether a server keeps runs and artefacts."""
    return urlsplit(uri).scheme in ("http", "https")


def file_path(uri: str) -> Path | None:
    """The path of a local address, None for another one."""
    parts = urlsplit(uri)
    if parts.scheme == "file":
        return Path(unquote(parts.path))
    return None if parts.scheme else Path(uri)


def first_line(error: BaseException) -> str:
    """An error's first line, bounded."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


def _create_experiment(client: MlflowClient, label: str, place: str | None) -> str:
    from mlflow.exceptions import MlflowException

    try:
        return str(client.create_experiment(label, artifact_location=place))
    except MlflowException as error:
        found = client.get_experiment_by_name(label)
        if error.error_code != "RESOURCE_ALREADY_EXISTS" or found is None:
            raise
        return str(found.experiment_id)


def sqlite_file(uri: str) -> Path | None:
    """The file of a SQLite store, None for another one."""
    scheme, _, path = uri.partition(":///")
    return Path(path) if scheme.startswith("sqlite") and path else None
