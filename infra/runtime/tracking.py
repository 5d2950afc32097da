"""Where MLflow keeps a project's runs and versions; MLflow itself is imported by `models`."""

from __future__ import annotations

import os
from dataclasses import dataclass

from infra.runtime.project import Project
from schemas.settings import Settings


@dataclass(frozen=True)
class Tracking:
    """What a process sets before it imports MLflow.

    Args:
        uri: Tracking and registry store.
        artifact_location: Root for a new experiment's artefacts, None where a server decides.
    """

    uri: str
    artifact_location: str | None

    def experiment(self, dataset: str) -> str:
        """Return the name of a dataset's experiment."""
        return dataset

    def artifacts_of(self, dataset: str) -> str | None:
        """Return where a dataset's new experiment puts its artefacts."""
        return None if self.artifact_location is None else f"{self.artifact_location}/{dataset}"

    def environment(self) -> dict[str, str]:
        """Return the variables for this process and its children."""
        return {
            "MLFLOW_TRACKING_URI": self.uri,
            "MLFLOW_REGISTRY_URI": self.uri,
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
            # Each of these would start something of its own, or ask the network.
            "MLFLOW_ENABLE_ASYNC_LOGGING": "false",
            "MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING": "false",
            "GIT_PYTHON_REFRESH": "quiet",
        }

    def apply(self) -> None:
        """Set the variables in this process; call it before MLflow is imported."""
        os.environ.update(self.environment())


def tracking_of(project: Project, settings: Settings) -> Tracking:
    """Return where a project's MLflow lives: the server of its settings, else SQLite in the state folder."""
    if settings.mlflow.tracking_uri is not None:
        return Tracking(settings.mlflow.tracking_uri, None)
    project.create_state()
    return Tracking(project.mlflow_uri, project.artifacts.as_uri())
