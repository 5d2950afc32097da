"""MLflow runs: one a training, with its losses epoch by epoch."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

    from schemas.results import TrainingSummary

_PAGE = 1000
_BATCH = 900
_NO_NUMBERS = {"loss", "held_out_loss", "nights", "in_sample", "contamination_assumed", "candidates"}


def log_training(
    client: MlflowClient,
    run_id: str,
    summary: TrainingSummary,
    metrics: Mapping[str, float],
    params: Mapping[str, Any],
) -> None:
    """Write a training into a run: losses with their epochs, facts and metrics once, settings as parameters."""
    from mlflow.entities import Metric, Param

    now = int(datetime.now(UTC).timestamp() * 1000)
    points = [
        Metric(name, value, now, epoch)
        for name, losses in (("loss", summary.loss), ("held_out_loss", summary.held_out_loss))
        for epoch, value in enumerate(losses, 1)
    ]
    facts = {**summary.model_dump(exclude=_NO_NUMBERS), **metrics}
    points += [Metric(name, float(value), now, 0) for name, value in facts.items() if math.isfinite(value)]
    settings = {
        "nights": f"{len(summary.nights)}: {', '.join(summary.nights)}",
        "in_sample": summary.in_sample,
        "contamination_assumed": summary.contamination_assumed,
        **params,
    }
    client.log_batch(run_id, params=[Param(name, str(value)[:500]) for name, value in settings.items()])
    for start in range(0, len(points), _BATCH):
        client.log_batch(run_id, metrics=points[start : start + _BATCH])


def close_leftovers(client: MlflowClient, experiment: str, tag: str, value: str) -> None:
    """Mark runs with a tag that a crash left running."""
    for run in client.search_runs([experiment], f"tags.{tag} = '{value}' and attributes.status = 'RUNNING'"):
        client.set_terminated(run.info.run_id, "KILLED")


def runs_of(client: MlflowClient, name: str) -> dict[str, Run]:
    """Return all runs of a dataset by their id, also those of a place that the project folder was moved from."""
    experiments = experiments_of(client, name)
    runs: dict[str, Run] = {}
    token = None
    while experiments:
        page = client.search_runs(experiments, max_results=_PAGE, page_token=token)
        runs.update({run.info.run_id: run for run in page})
        token = page.token
        if not token:
            break
    return runs


def experiments_of(client: MlflowClient, name: str) -> list[str]:
    """The ids of a dataset's experiments, also those of a place that the project folder was moved from."""
    return [str(e.experiment_id) for e in _experiments(client) if e.name.split("@")[0] == name]


def _experiments(client: MlflowClient) -> Iterator[Any]:
    token = None
    while True:
        page = client.search_experiments(max_results=_PAGE, page_token=token)
        yield from page
        token = page.token
        if not token:
            return
