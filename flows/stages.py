"""The stages as Prefect tasks: one task a stage, each a shell around the function of `tasks.stages`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from prefect import Task, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun

from flows.at_work import AtWork
from schemas.errors import LakeError, SerenoError, StateError
from tasks import stages as do
from tasks.conclude import write_night_report

RETRY_SECONDS: list[float] = [2.0, 10.0]


def _worth_a_retry(_task: Task[..., Any], _run: TaskRun, state: State[Any]) -> bool:
    """Whether trying again can help: a store or a network that was away, not an error that says what to mend."""
    return may_pass(state.result(raise_on_failure=False))


def may_pass(error: object) -> bool:
    """Whether an error is of a kind that passes by itself."""
    if isinstance(error, SerenoError):
        return isinstance(error, LakeError | StateError)
    return isinstance(error, OSError)


def stage(name: str, *, repeatable: bool = True) -> Callable[[Callable[[AtWork], None]], Task[[AtWork], None]]:
    """Make a Prefect task of a stage.

    Args:
        name: Name of the task and its run; also its tag.
        repeatable: Whether a failure that may pass is tried again.
    """

    def decorate(function: Callable[[AtWork], None]) -> Task[[AtWork], None]:
        def run_stage(work: AtWork) -> None:
            with work.timed(name):
                function(work)

        run_stage.__name__, run_stage.__doc__ = name, function.__doc__
        as_task = task(
            name=name,
            task_run_name=name,
            tags=[f"stage:{name}"],
            retries=len(RETRY_SECONDS) if repeatable else 0,
            retry_delay_seconds=RETRY_SECONDS,
            retry_condition_fn=_worth_a_retry,
            cache_policy=NO_CACHE,
            persist_result=False,
        )
        return as_task(run_stage)

    return decorate


@stage("ingest")
def ingest(work: AtWork) -> None:
    """Read the night's files into staged parts."""
    do.ingest(work.night, work.compute)


@stage("validate")
def validate(work: AtWork) -> None:
    """Check rows and batch; write `quarantined` and `accepted`."""
    do.validate(work.night, work.compute)


@stage("preprocess")
def preprocess(work: AtWork) -> None:
    """Count columns, keep the night's sample."""
    do.preprocess(work.night, work.compute)


@stage("load")
def load(work: AtWork) -> None:
    """Take the rows that were accepted before."""
    do.load_accepted(work.night)


@stage("train", repeatable=False)
def train(work: AtWork) -> None:
    """Train a challenger on the window."""
    do.train(work.night, work.session.trainer, work.session.progress.say, lambda: work.compute)


@stage("gate")
def gate(work: AtWork) -> None:
    """Register the challenger and judge it."""
    do.gate(work.night)


@stage("score")
def score(work: AtWork) -> None:
    """Score the accepted rows; write `scores`."""
    do.score(work.night, work.compute)


@stage("alert")
def alert(work: AtWork) -> None:
    """Group the alerts into incidents."""
    do.alert(work.night)


@stage("promote")
def promote(work: AtWork) -> None:
    """Write the gate's decision into the ledger."""
    do.promote(work.night)


@stage("report")
def report(work: AtWork) -> None:
    """Write the report and link to it from Prefect."""
    from prefect.artifacts import create_markdown_artifact

    markdown = write_night_report(work.night, work.failure)
    key = f"{work.night.dataset.name}-report".replace("_", "-")
    try:
        create_markdown_artifact(markdown, key=key, description=f"{work.night.dataset.name} {work.night.request.iso}")
    except Exception as error:  # noqa: BLE001 -- a link in the orchestrator is not worth a night
        work.night.warnings.append(f"Prefect has no link to the report: {type(error).__name__}")
