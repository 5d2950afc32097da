"""What stages work with: project, settings, lake, state, registry; wired here and nowhere else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from infra.runtime.lake import Lake
from infra.runtime.project import Project
from infra.runtime.state import State
from infra.runtime.tracking import tracking_of
from models.registry import Registry

if TYPE_CHECKING:
    from schemas.settings import Settings


@dataclass(frozen=True)
class Services:
    """The stores of one project.

    Args:
        project: The project folder.
        settings: The settings in force.
        lake: Delta tables.
        state: Runs and promotions; the authority for what counts.
        registry: The detector versions; MLflow is imported when it is first used.
    """

    project: Project
    settings: Settings
    lake: Lake
    state: State
    registry: Registry


@contextmanager
def open_services(project: Project, settings: Settings) -> Iterator[Services]:
    """Open the stores, creating or migrating them.

    Raises:
        StateError: The state database cannot be used.
    """
    project.create_state()
    url = settings.database.get_secret_value() if settings.database else project.database_url
    with State(url) as state:
        tracking = tracking_of(project, settings)
        tracking.apply()
        registry = Registry(tracking.uri, project.artifacts)
        yield Services(project, settings, Lake(settings.lake or project.lake), state, registry)


def looking_services(project: Project, settings: Settings, state: State) -> Services:
    """Services for a command that only looks: nothing is created, and the state is the one that is given."""
    lake = Lake(settings.lake or project.lake)
    return Services(project, settings, lake, state, Registry(settings.mlflow.tracking_uri or "", project.artifacts))


@contextmanager
def looked_at(project: Project, settings: Settings) -> Iterator[Services | None]:
    """Services of a project that is only looked at, without a trace; None where nothing was run yet.

    Raises:
        StateError: The state database cannot be read.
    """
    if settings.database is None and not (project.state / "state.db").is_file():
        yield None
        return
    url = settings.database.get_secret_value() if settings.database else project.database_url
    with State.only_read(url) as state:
        yield None if state is None else looking_services(project, settings, state)
