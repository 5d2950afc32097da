"""The stores and a dataset file, opened for a command that does without the orchestrator."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from infra.cli.invocation import Invocation
    from schemas.dataset import Dataset
    from tasks.services import Services


@contextmanager
def opened(invocation: Invocation, name: str) -> Iterator[tuple[Services, Dataset]]:
    """Yield the stores and the dataset of that name.

    Raises:
        ConfigError: The settings or the dataset file cannot be read.
    """
    from infra.runtime.project import quiet_environment
    from tasks.services import open_services

    project, resolved = invocation.resolved()
    dataset = invocation.dataset(project, name)
    quiet_environment(project)
    with open_services(project, resolved.settings) as services:
        yield services, dataset
