"""Taking a version out of MLflow: its files, its model, its run, and last the version itself."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.mlflow_store import first_line

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.exceptions import MlflowException

_NOT_THERE = "RESOURCE_DOES_NOT_EXIST"


def delete_version(client: MlflowClient, item: ModelVersion, local: Path | None, artifacts: Path, uri: str) -> str:
    """Delete a version; the version goes last, so that what was stopped in the middle is found again.

    MLflow marks run and model as deleted and keeps a few rows of each, which `mlflow gc` takes away.

    Args:
        client: MLflow.
        item: The version.
        local: Where its files lie on this disk; None: elsewhere.
        artifacts: Where this project's artefacts lie; files elsewhere may be those of the project that it is a copy of.
        uri: MLflow's store.

    Returns:
        Why files stay; empty where none do.
    """
    why = _delete_files(str(item.source), local, artifacts, uri)
    _if_there(lambda: client.delete_logged_model(item.model_id) if item.model_id else None)
    _if_there(lambda: client.delete_run(item.run_id) if item.run_id else None)
    _if_there(lambda: client.delete_model_version(item.name, item.version))
    return why


def _delete_files(source: str, local: Path | None, artifacts: Path, uri: str) -> str:
    if local is None:
        return _delete_elsewhere(source, uri)
    if not local.is_relative_to(artifacts):
        return f"{local} lies outside of this project, and stays" if local.exists() else ""
    shutil.rmtree(local, ignore_errors=True)
    with suppress(OSError):
        local.parent.rmdir()  # MLflow's folder of the model, which holds nothing else
    return f"{local} cannot be removed as a whole" if local.exists() else ""


def _delete_elsewhere(source: str, uri: str) -> str:
    from mlflow.exceptions import MlflowException
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    try:
        repository: Any = get_artifact_repository(source, tracking_uri=uri)  # without annotations
        repository.delete_artifacts()
    except (MlflowException, OSError, NotImplementedError) as error:
        return f"the files at {source} stay: {first_line(error)}"
    return ""


def _if_there(delete: Callable[[], None]) -> None:
    from mlflow.exceptions import MlflowException

    try:
        delete()
    except MlflowException as error:
        if not _is_gone(error):
            raise


def _is_gone(error: MlflowException) -> bool:
    """Whether it is not there, or was marked as deleted before: MLflow calls the latter a wrong state."""
    return error.error_code == _NOT_THERE or "deleted" in str(error).lower()
