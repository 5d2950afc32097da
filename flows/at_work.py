"""A night from lease to final row: what stands around the stages of every flow that works on one."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date as Date
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from infra.runtime.lease import Lease
from infra.runtime.logs import SecretFilter, run_log, secrets_of
from infra.runtime.refusals import described, remedy
from infra.runtime.work import forget_run, resume_folder, work_folder
from schemas.dataset import Dataset, load_dataset
from schemas.errors import LockedNight, SerenoError
from schemas.results import NightResult
from tasks.conclude import conclude
from tasks.input_sizes import input_sizes
from tasks.lineage_record import log_lineage
from tasks.night import (
    PIPELINE_PROTOCOL,
    Due,
    Night,
    NightOptions,
    NightRequest,
    check_family,
    look_at,
    training_fingerprint,
    window_of,
)
from tasks.notify import send_now, telling_end
from tasks.page_drafts import settle_page
from tasks.repair import put_right
from tasks.stage_records import StageRecords
from tasks.training import settle_training, training_window

if TYPE_CHECKING:
    from pathlib import Path

    from flows.session import Session
    from infra.runtime.compute import Compute
    from infra.runtime.runs import Run
    from tasks.services import Services
    from tasks.training import TrainingDecision

STOPPED = "stopped before it ended"
RESUMED = ("failed", "blocked")
"""How a night ends whose finished stages are kept: it will be asked for again."""

logger = logging.getLogger("sereno.night")


class Stage(Protocol):
    """A Prefect task that does one stage."""

    def __call__(self, work: AtWork, /) -> Any:
        """Do the stage."""


@dataclass(eq=False)
class AtWork:
    """A night at work, and the session that it works in.

    Args:
        night: What is known so far.
        session: Stores, compute, training process.
        lease: Holds the night.
        failure: What the first stage that failed raised.
    """

    night: Night
    session: Session
    lease: Lease
    failure: Exception | None = None

    @cached_property
    def compute(self) -> Compute:
        """The Dask client."""
        return self.session.compute(sum(size or 0 for size in input_sizes(self.night.inputs).values()))

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Measure a stage, say on a terminal that it runs, and make sure that the night is still held."""
        request = self.night.request
        self.session.progress.say(f"{request.dataset.name} {request.iso}: {stage}")
        self.lease.begins(stage, self.night.seconds)
        start = time.perf_counter()
        try:
            yield
        finally:
            self.night.seconds[stage] = round(time.perf_counter() - start, 3)
            logger.info("%s %s: %s took %.2f s", request.dataset.name, request.iso, stage, self.night.seconds[stage])


def do_night(
    session: Session, name: str, date: Date, options: NightOptions, stages: Sequence[Stage], report: Stage
) -> NightResult:
    """Take the night, do its stages, report whatever came of them, write the final row, and tell who wants to know.

    A night that cannot even be begun (another run holds it, its dataset file is wrong) is told to the session with the
    error, and comes back as failed: an exception that left a flow would be stored by the orchestrator, as a pickle.

    Args:
        session: Stores, compute, training process.
        name: The dataset.
        date: The logical date.
        options: How to do it.
        stages: Prefect tasks, in order; the first that fails ends the night.
        report: The task that concludes, always done.
    """
    error: Exception | None = None
    try:
        request = NightRequest(_dataset(session, name), date, options)
        put_right(session.services)
        found = look_at(session.services, request)
        result = found if isinstance(found, NightResult) else _at_work(session, request, found, stages, report)
    except Exception as caught:  # noqa: BLE001 -- it must not leave the flow
        error = caught
        result = NightResult(dataset=name, date=date.isoformat(), status="failed", reason=_said(session, caught))
    session.tell(result, error)
    send_now(session.services)
    return result


def _said(session: Session, error: Exception) -> str:
    text = str(error) if isinstance(error, SerenoError) else f"{type(error).__name__}: {error}"
    if isinstance(error, OSError) and (hint := remedy(error, session.services.project.state)) is not None:
        text = f"{described(error)}\nHint: {hint}"
    return SecretFilter(secrets_of(session.services.settings)).mask(text)


def _at_work(session: Session, request: NightRequest, due: Due, stages: Sequence[Stage], report: Stage) -> NightResult:
    with _night_held(session, request, due) as work:
        _through(work, stages)
        _through(work, [report])
        result = conclude(work.night, work.failure)
        if work.failure is None:
            log_lineage(work.night)
        if result.status not in RESUMED:
            forget_run(work.night.services.project, request.dataset.name, request.date, work.night.run.id)
        return result


def train_only(
    session: Session, name: str, first: Date | None, last: Date | None, seed: int | None, stages: Sequence[Stage]
) -> TrainingDecision:
    """Train on the validated nights of a range, and settle the promotion.

    Raises:
        ConfigError: The detector's family, loss or one of its options does not exist.
        UsageError: No night of the range was validated.
        TrainingFailed: The training ended without a detector.
        LockedNight: Another run holds the range's last night.
    """
    services, dataset = session.services, _dataset(session, name)
    check_family(dataset)
    put_right(services)
    window = training_window(services, dataset, first, last)
    request = NightRequest(dataset, window[-1].night, NightOptions(seed=seed, force=True))
    due = Due(training_fingerprint(request, services, window), {})
    run = services.state.start_run(name, request.date, "train", due.fingerprint, protocol=PIPELINE_PROTOCOL)
    with (
        Lease(services.state, run.id) as lease,
        run_log(services.project.logs, run.id, SecretFilter(secrets_of(services.settings))),
        _folder(services, request, run, due) as (folder, records),
    ):
        work = AtWork(Night(request, services, run, folder, window=window, records=records), session, lease)
        try:
            for stage in stages:
                stage(work)
            decision = settle_training(work.night)
        except BaseException as error:
            reason = _said(session, error) if isinstance(error, Exception) else STOPPED
            services.state.finish_run(run.id, "failed", result={"status": "failed", "reason": reason})
            raise
        services.state.finish_run(run.id, "done", result=decision.model_dump(mode="json"))
        log_lineage(work.night)
        forget_run(services.project, name, request.date, run.id)
    return decision


def _dataset(session: Session, name: str) -> Dataset:
    return load_dataset(session.services.project.dataset_file(name))


@contextmanager
def _night_held(session: Session, request: NightRequest, due: Due) -> Iterator[AtWork]:
    services, name = session.services, request.dataset.name
    run = services.state.start_run(
        name, request.date, request.options.kind, due.fingerprint, protocol=PIPELINE_PROTOCOL
    )
    try:
        with (
            Lease(services.state, run.id) as lease,
            run_log(services.project.logs, run.id, SecretFilter(secrets_of(services.settings))),
            _folder(services, request, run, due) as (folder, records),
        ):
            night = Night(request, services, run, folder, inputs=due.inputs, records=records)
            night.window = window_of(request, services)
            yield AtWork(night, session, lease)
    except BaseException as error:
        _abandon(services, request, run, _said(session, error) if isinstance(error, Exception) else STOPPED)
        raise


@contextmanager
def _folder(
    services: Services, request: NightRequest, run: Run, due: Due
) -> Iterator[tuple[Path, StageRecords | None]]:
    """The folder that the stages work in; one that outlives a stop where another run can go on in it."""
    name, options = request.dataset.name, request.options
    if options.only_score or not due.fingerprint:
        with work_folder(services.project, name, request.date, run.id) as folder:
            yield folder, None
        return
    key = f"{run.kind} {due.fingerprint}{' again' * options.force}"
    with resume_folder(services.project, name, request.date, key, run.id) as folder:
        records = StageRecords(folder)
        try:
            yield folder, records
        finally:
            if folder.exists() and not records.exist():
                forget_run(services.project, name, request.date, run.id)


def _abandon(services: Services, request: NightRequest, run: Run, reason: str) -> None:
    """The night is given up (a signal, an error outside the stages): it must not look as if it ran on."""
    result = request.blank(status="failed", reason=reason)
    try:
        told = telling_end(services, result, run)
        services.state.finish_run(run.id, "failed", result=result.model_dump(mode="json"), also=told)
    except LockedNight:  # it has its final row, or another run took it
        return
    except SerenoError:
        logger.warning("run %s could not be closed; its lease will expire", run.id)
    else:
        settle_page(services, request.dataset.name, request.date)


def _through(work: AtWork, stages: Sequence[Stage]) -> None:
    for stage in stages:
        try:
            stage(work)
        except Exception as error:  # noqa: BLE001 -- whatever a stage raises ends up in report, state and exit code
            work.failure = work.failure or error
            return
