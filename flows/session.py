"""What flow runs share for as long as a command or a worker lives: stores, Dask client, training process.

A flow that is started without a session, by a deployment for example, opens one of its own.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING

from infra.runtime.progress import Progress
from infra.runtime.project import Project, find_project
from infra.runtime.signals import held
from infra.runtime.work import session_folder
from tasks.services import Services, open_services
from tasks.train import TrainingProcess

if TYPE_CHECKING:
    from infra.runtime.compute import Compute
    from schemas.results import NightResult
    from schemas.settings import Settings

_current: ContextVar[Session | None] = ContextVar("sereno_session", default=None)


class Session:
    """Stores, compute and training process, and the results of the nights that were done with them.

    Args:
        services: The stores.
        folder: Scratch folder of the session, for what outlives one night.
        trainer: The training process; started when it is first needed, where none is given.
        told: Called with each night's result as it ends.
        stack: Closes what is opened later.
    """

    def __init__(
        self,
        services: Services,
        folder: Path,
        trainer: TrainingProcess | None,
        stack: ExitStack,
        told: Callable[[NightResult], None] | None = None,
    ) -> None:
        self.services = services
        self.results: list[NightResult] = []
        self.errors: dict[tuple[str, str], Exception] = {}
        self.progress = Progress()
        self._told = told
        self._stack = stack
        self._folder = folder
        self._trainer = trainer
        self._compute: Compute | None = None
        self._opening = threading.Lock()

    def compute(self, size_hint: int = 0) -> Compute:
        """The Dask client, opened when a stage first asks for it.

        Args:
            size_hint: Bytes of the batch, by which `auto` chooses threads or processes.
        """
        from infra.runtime.cluster import kind_for, open_cluster

        settings = self.services.settings.cluster
        with self._opening:
            if self._compute is not None and self._compute.lost:
                self._compute.close()
                self._compute = None
            small = self._compute is not None and self._compute.kind == "threads"
            if self._compute is None or (small and kind_for(settings, size_hint) != "threads"):
                opened = open_cluster(settings, self._folder, bytes_hint=size_hint, project=self.services.project)
                self._compute = held(self._stack, opened)
            return self._compute

    @property
    def trainer(self) -> TrainingProcess:
        """The training process; starting it begins TensorFlow's import."""
        if self._trainer is None:
            self._trainer = held(self._stack, TrainingProcess(self._folder))
        return self._trainer

    def warm_up(self) -> None:
        """Start the training process, which imports TensorFlow while other stages work."""
        self._trainer = self.trainer

    def tell(self, result: NightResult, error: Exception | None = None) -> None:
        """Keep a night's result, and why it could not even be begun, and pass the result on."""
        self.progress.clear()
        if error is not None:
            self.errors[result.dataset, result.date] = error
        self.results.append(result)
        if self._told is not None:
            self._told(result)


@contextmanager
def open_session(
    project: Project,
    settings: Settings,
    *,
    folder: Path | None = None,
    trainer: TrainingProcess | None = None,
    told: Callable[[NightResult], None] | None = None,
) -> Iterator[Session]:
    """Open a session for the flows that run within the block."""
    with ExitStack() as stack:
        services = stack.enter_context(open_services(project, settings))
        scratch = folder or stack.enter_context(session_folder(project))
        session = Session(services, scratch, trainer, stack, told)
        token = _current.set(session)
        try:
            yield session
        finally:
            _current.reset(token)


@contextmanager
def session_in_use(project: str | None, *, trains: bool = False) -> Iterator[Session]:
    """The session that is open, or one of the flow run's own.

    Args:
        project: The project folder, where none is open; else `SERENO_PROJECT`, else the current folder.
        trains: Whether the training process of one's own is started at once: its imports take a while.
    """
    session = _current.get()
    if session is not None:
        yield session
        return
    from flows.recover import tag_this_run
    from infra.runtime.logs import secrets_of, set_up_logging
    from infra.runtime.project import quiet_environment
    from schemas.settings import load_settings

    found = find_project(Path(project or os.environ.get("SERENO_PROJECT", ".")))
    settings = load_settings(found.root).settings
    placed = found.placed(settings)
    quiet_environment(placed)
    set_up_logging(secrets=secrets_of(settings), as_json=False, unheard=("prefect",))
    tag_this_run()
    with open_session(placed, settings) as opened:
        if trains:
            opened.warm_up()
        yield opened
