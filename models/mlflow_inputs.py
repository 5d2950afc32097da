"""What a detector was trained on and what it scored, as inputs of its MLflow run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from mlflow import MlflowClient

CONTEXT_TAG = "mlflow.data.context"
SOURCE_TYPE = "sereno"
_DIGEST_LETTERS = 36


@dataclass(frozen=True)
class LoggedInput:
    """One night as an input.

    Args:
        name: The dataset.
        digest: The night and the first letters of its fingerprint; one input is logged once.
        context: What it was for.
        facts: Where it came from, as plain JSON values.
    """

    name: str
    digest: str
    context: Literal["training", "scoring"]
    facts: Mapping[str, Any]


def log_inputs(client: MlflowClient, run_id: str, logged: Sequence[LoggedInput]) -> None:
    """Add inputs to a run, which may be over; those that it has stay as they are."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    found = [
        DatasetInput(
            Dataset(one.name, one.digest[:_DIGEST_LETTERS], SOURCE_TYPE, json.dumps(one.facts, sort_keys=True)),
            [InputTag(CONTEXT_TAG, one.context)],
        )
        for one in logged
    ]
    if found:
        client.log_inputs(run_id, found)
