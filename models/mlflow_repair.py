"""What stopped runs left in MLflow: runs without an end, and models that no version names."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from models.mlflow_runs import experiments_of

if TYPE_CHECKING:
    from mlflow import MlflowClient

RUN_TAG = "run_id"
HASH_TAG = "bundle_hash"


def end_stopped(
    client: MlflowClient, name: str, is_stopped: Callable[[str], bool], is_registered: Callable[[str], bool]
) -> int:
    """End the runs that stopped runs of ours left open; models that never became a version are deleted.

    Args:
        client: MLflow.
        name: The dataset.
        is_stopped: Whether one of our runs, by its id, is at work no more.
        is_registered: Whether a bundle, by its hash, is a version: then its run had only to be ended.

    Returns:
        How many MLflow runs were ended.
    """
    experiments = experiments_of(client, name)
    if not experiments:
        return 0
    ended = 0
    for run in client.search_runs(experiments, "attributes.status = 'RUNNING'"):
        if is_stopped(run.data.tags.get(RUN_TAG, "")):
            registered = is_registered(run.data.tags.get(HASH_TAG, ""))
            client.set_terminated(run.info.run_id, "FINISHED" if registered else "KILLED")
            ended += 1
            if not registered:
                _delete_models(client, experiments, run.info.run_id)
    return ended


def _delete_models(client: MlflowClient, experiments: list[str], run_id: str) -> None:
    for model in client.search_logged_models(experiments):
        if model.source_run_id == run_id:
            client.delete_logged_model(model.model_id)
