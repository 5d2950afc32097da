"""What stopped runs left in MLflow: runs without an end, and models that no version names."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from models.mlflow_runs import experiments_of
from models.mlflow_store import file_path

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

RUN_TAG = "run_id"
HASH_TAG = "bundle_hash"


def end_stopped(
    client: MlflowClient,
    name: str,
    artifacts: Path,
    is_left: Callable[[Run], bool],
    is_registered: Callable[[str], bool],
) -> int:
    """End the runs that stopped runs of ours left open; models that never became a version are deleted.

    Args:
        client: MLflow.
        name: The dataset.
        artifacts: Where this project's artefacts lie; files elsewhere may be those of the project that it is a copy of.
        is_left: Whether an open MLflow run is that of a run of ours that is at work no more.
        is_registered: Whether a bundle, by its hash, is a version: then its run had only to be ended.

    Returns:
        How many MLflow runs were ended.
    """
    experiments = experiments_of(client, name)
    if not experiments:
        return 0
    ended = 0
    for run in client.search_runs(experiments, "attributes.status = 'RUNNING'"):
        if is_left(run):
            registered = is_registered(run.data.tags.get(HASH_TAG, ""))
            client.set_terminated(run.info.run_id, "FINISHED" if registered else "KILLED")
            ended += 1
            if not registered:
                _delete_models(client, experiments, run.info.run_id, artifacts)
    return ended


def _delete_models(client: MlflowClient, experiments: list[str], run_id: str, artifacts: Path) -> None:
    """MLflow only marks a model as deleted; its files, which no version will ever name, go too."""
    for model in client.search_logged_models(experiments, filter_string=f"source_run_id = '{run_id}'"):
        client.delete_logged_model(model.model_id)
        folder = file_path(model.artifact_location)
        if folder is not None and folder.is_relative_to(artifacts):
            shutil.rmtree(folder, ignore_errors=True)
