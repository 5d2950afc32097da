"""Run flows with a Prefect server beside them: one that is up, or a private one that ends with the command."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import date as Date
from typing import TYPE_CHECKING, Any

from schemas.errors import Exit, SerenoError, UsageError

if TYPE_CHECKING:
    from flows.session import Session
    from infra.cli.invocation import Invocation
    from infra.runtime.project import Project
    from schemas.results import NightResult
    from schemas.settings import Settings
    from tasks.night import NightOptions
    from tasks.training import TrainingDecision


def one_night(invocation: Invocation, name: str, night: Date, options: NightOptions) -> NightResult:
    """Do one night, or say at once that it is done or that nothing arrived; the server is started only when needed."""
    from infra.runtime.project import quiet_environment
    from infra.runtime.work import remove_stale_work
    from schemas.results import NightResult
    from tasks.night import NightRequest, look_at
    from tasks.notify import send_now
    from tasks.services import open_services

    project, resolved = invocation.resolved()
    dataset = invocation.dataset(project, name)
    quiet_environment(project)
    with open_services(project, resolved.settings) as services:
        found = look_at(services, NightRequest(dataset, night, options))
        if not isinstance(found, NightResult):
            # Before anything slow is started; the flow asks again when it takes the night.
            services.state.check_free(name, night)
        elif found.status == "missing":
            send_now(services)
    if isinstance(found, NightResult):
        if remove_stale_work(project):
            told_of_the_dead(project, resolved.settings)
        return found
    with orchestration(invocation, project, resolved.settings, trains=options.trains) as session:
        from flows.outcome import night_tags

        with night_tags(name, night):
            state = flow_for(options)(name, night, return_state=True)
        if session.errors:
            raise next(iter(session.errors.values()))
        if not session.results:
            state.result()
        return session.results[-1]


def told_of_the_dead(project: Project, settings: Settings) -> list[str]:
    """Tell Prefect of flow runs whose process died, where nothing else is done with it; return their names."""
    from infra.service.prefect_server import private_or_known_server

    if not project.prefect_home.is_dir():
        return []
    with private_or_known_server(project, settings):
        from flows.recover import crash_dead_runs

        return crash_dead_runs()


def flow_for(options: NightOptions) -> Callable[..., Any]:
    """The flow that does what the options ask, with them as its parameters."""
    from functools import partial

    if options.only_validate:
        from flows.validation import validation

        return partial(validation, force=options.force, accept=options.accept)
    if options.only_score:
        from flows.scoring import scoring

        return partial(scoring, version=options.version)
    from flows.nightly import nightly

    return partial(nightly, train=options.train, seed=options.seed, force=options.force, accept=options.accept)


def many_nights(
    invocation: Invocation,
    name: str,
    first: Date,
    last: Date,
    options: NightOptions,
    told: Callable[[NightResult], None],
) -> list[tuple[NightResult, Exit]]:
    """Do a range of nights with one server, one Dask client and one training process.

    Returns:
        Each night's result and exit code.

    Raises:
        UsageError: The range is empty.
    """
    _check_range(first, last)
    project, resolved = invocation.resolved()
    invocation.dataset(project, name)
    with orchestration(invocation, project, resolved.settings, trains=options.trains, told=told) as session:
        from flows.backfill import backfill, dates

        state = backfill(
            name, first, last, train=options.train, seed=options.seed, force=options.force, return_state=True
        )
        if len(session.results) != len(dates(first, last)):
            state.result()
        return _coded(session)


def many_scored(
    invocation: Invocation,
    name: str,
    first: Date,
    last: Date,
    version: str,
    told: Callable[[NightResult], None],
    *,
    parallel: int,
    force: bool,
) -> list[tuple[NightResult, Exit]]:
    """Score the validated nights of a range again with one version, side by side.

    Returns:
        Each night's result and exit code, oldest first; none where the version scored them all already.

    Raises:
        UsageError: The range is empty, no night of it was validated, or there is no such version.
    """
    _check_range(first, last)
    project, resolved = invocation.resolved()
    invocation.dataset(project, name)
    with orchestration(invocation, project, resolved.settings, trains=False, told=told) as session:
        from flows.rescoring import rescoring

        state = rescoring(name, first, last, version, parallel=parallel, force=force, return_state=True)
        if not session.results and state.is_failed():
            raise UsageError(state.message or "nothing was done")
        return _coded(session)


def _check_range(first: Date, last: Date) -> None:
    if last < first:
        raise UsageError(f"--from {first} is after --to {last}", hint="swap the two dates")


def _coded(session: Session) -> list[tuple[NightResult, Exit]]:
    from infra.cli.night_output import exit_code

    done = sorted(session.results, key=lambda result: result.date)
    return [(result, _code(session, result, exit_code(result))) for result in done]


def _code(session: Session, result: NightResult, otherwise: Exit) -> Exit:
    error = session.errors.get((result.dataset, result.date))
    return error.exit_code if isinstance(error, SerenoError) else otherwise


def one_training(
    invocation: Invocation, name: str, first: Date | None, last: Date | None, seed: int | None
) -> TrainingDecision:
    """Train on validated nights."""
    project, resolved = invocation.resolved()
    invocation.dataset(project, name)
    with orchestration(invocation, project, resolved.settings, trains=True):
        from flows.training import training

        return training(name, first, last, seed)


@contextmanager
def orchestration(
    invocation: Invocation,
    project: Project,
    settings: Settings,
    *,
    trains: bool,
    told: Callable[[NightResult], None] | None = None,
) -> Iterator[Session]:
    """Everything that flows need around them. Slow starts overlap: server, training process, imports."""
    from infra.runtime.logs import secrets_of, set_up_logging
    from infra.runtime.project import quiet_environment
    from infra.runtime.signals import held, sigterm_exits
    from infra.runtime.work import session_folder
    from infra.service.prefect_server import begin
    from tasks.train import TrainingProcess

    quiet_environment(project)
    project.create_state()
    set_up_logging(
        secrets=secrets_of(settings),
        level=logging.INFO if invocation.verbose else logging.WARNING,
        unheard=() if invocation.verbose else ("prefect",),
    )
    if not invocation.verbose:
        # Prefect prints each failed task's traceback otherwise; report, log file and exit code tell it to people.
        os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
    with sigterm_exits(), begin(project, settings) as server, ExitStack() as stack:
        folder = stack.enter_context(session_folder(project))
        # Whatever Prefect stores of an exception that leaves a flow is gone with the session.
        os.environ["PREFECT_LOCAL_STORAGE_PATH"] = str(folder / "prefect-storage")
        trainer = held(stack, TrainingProcess(folder)) if trains else None
        from flows.session import open_session

        with open_session(project, settings, folder=folder, trainer=trainer, told=told) as session:
            server.wait_ready()
            from flows.recover import tagged_as_ours

            with server.told(), tagged_as_ours():
                yield session
