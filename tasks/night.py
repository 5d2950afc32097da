"""One (dataset, date): what was asked, whether it is done already, and what is known of it so far."""

from __future__ import annotations

import getpass
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date as Date
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from schemas.errors import NoInput, UnreadableInput, UsageError
from schemas.results import ModelOutcome, NightReport, NightResult
from tasks.gone import refuse_gone

if TYPE_CHECKING:
    from infra.runtime.promotions import Promotion
    from infra.runtime.runs import Kind, Run
    from schemas.dataset import Dataset
    from tasks.acceptance import Acceptance
    from tasks.gate import GateDecision
    from tasks.ingest import Ingested
    from tasks.night_incidents import FoundIncidents
    from tasks.preprocess import Prepared
    from tasks.score import Scored
    from tasks.services import Services
    from tasks.stage_records import StageRecords
    from tasks.train import TrainingOutcome
    from tasks.validate import Validated

PIPELINE_PROTOCOL = 7
"""Raised when the same inputs would give other results; an upgrade that changes nothing leaves it alone."""


@dataclass(frozen=True)
class NightOptions:
    """How a night is to be done.

    Args:
        train: Whether a challenger is trained.
        seed: Seed of the training, instead of the dataset's or project's.
        force: Do it again although it is done.
        accept: Take a night that the expectations hold.
        only_validate: Stop after preprocess.
        only_score: Score the accepted rows that are there already.
        version: Score with this version instead of the champion.
        asked_by: Who asked for it; the user who runs it where no name is given.
    """

    train: bool = True
    seed: int | None = None
    force: bool = False
    accept: bool = False
    only_validate: bool = False
    only_score: bool = False
    version: str | None = None
    asked_by: str | None = None

    @property
    def trains(self) -> bool:
        """Whether a training process is needed."""
        return self.train and not (self.only_validate or self.only_score)

    @property
    def kind(self) -> Kind:
        """How the state calls such a run."""
        return "validate" if self.only_validate else "score" if self.only_score else "run"


@dataclass(frozen=True)
class NightRequest:
    """A night and how to do it."""

    dataset: Dataset
    date: Date
    options: NightOptions = field(default_factory=NightOptions)

    @property
    def iso(self) -> str:
        """The logical date as text."""
        return self.date.isoformat()

    def blank(self, **values: Any) -> NightResult:
        """A result of which nothing else is known."""
        return NightResult(dataset=self.dataset.name, date=self.iso, **values)


@dataclass
class Night:
    """A night at work: what its stages have found out so far, so that a report can be made wherever it ends.

    Args:
        request: What was asked.
        services: The stores.
        run: The running row, which holds the night.
        work: Scratch folder of this run.
        window: The runs of the nights before that train tonight's detector, oldest first.
        inputs: Content hash of each input by address, as the fingerprint took them.
        ingested: What the stage of this name found; so are `validated`, `prepared`, `trained`, `decision`, `scored`.
        challenger: The version under which tonight's training is registered.
        accepted_files: Parquet parts of the accepted rows.
        model: Which version scored, and why.
        training_failure: Why there is no challenger, where one was wanted.
        earlier: The result of the run that accepted the rows, where they are only scored again.
        seconds: By stage.
        warnings: For the result.
        versions: Table to the Delta version that this run wrote.
        acceptance: Who let a blocked night pass.
        records: What finished stages left; None where a night is not resumed.
        incidents: What the alerts come to; None while they are not grouped.
        page: What the draft of the report says; None while there is none.
    """

    request: NightRequest
    services: Services
    run: Run
    work: Path
    window: tuple[Run, ...] = ()
    inputs: dict[str, str] = field(default_factory=dict)
    ingested: Ingested | None = None
    validated: Validated | None = None
    prepared: Prepared | None = None
    trained: TrainingOutcome | None = None
    decision: GateDecision | None = None
    challenger: str | None = None
    scored: Scored | None = None
    accepted_files: tuple[Path, ...] = ()
    model: ModelOutcome = field(default_factory=ModelOutcome)
    training_failure: str = ""
    earlier: NightResult | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    versions: dict[str, int] = field(default_factory=dict)
    acceptance: Acceptance | None = None
    records: StageRecords | None = None
    incidents: FoundIncidents | None = None
    page: NightReport | None = None

    @property
    def dataset(self) -> Dataset:
        """The dataset."""
        return self.request.dataset

    @property
    def acceptance_key(self) -> str:
        """Hash of what a person accepts: the inputs and the dataset file, but not seed, window or command."""
        from tasks.labels import what_decides

        facts = [sorted(self.inputs.values()), what_decides(self.dataset)]
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()

    def done(self, what: str) -> Any:
        """What an earlier stage found.

        Raises:
            RuntimeError: The stages were put in a wrong order.
        """
        found = getattr(self, what)
        if found is None:
            raise RuntimeError(f"a stage needs `{what}`, which no stage before it has made")
        return found

    @property
    def seed(self) -> int:
        """Seed of this night's random choices: option, dataset file, project."""
        return seed_of(self.request, self.services)


def seed_of(request: NightRequest, services: Services) -> int:
    """The seed in force: option, dataset file, project."""
    given = (request.options.seed, request.dataset.detector.seed, services.settings.seed)
    return next(seed for seed in given if seed is not None)


def window_of(request: NightRequest, services: Services) -> tuple[Run, ...]:
    """The nights before that train this night's detector, oldest first."""
    name, most = request.dataset.name, request.dataset.detector.window_nights
    # With those that retention took away: a night that is done stays done.
    return tuple(reversed(services.state.history(name, request.date, most, table="samples", gone=True)))


def fingerprint(
    request: NightRequest, services: Services, inputs: dict[str, str], *, said_before: datetime | None = None
) -> str:
    """Hash of everything that decides a night's result (SHA-256, hex).

    Args:
        request: The night.
        services: The stores; the training window is looked up in the state.
        inputs: Content hash of each input by address.
        said_before: Labels count as they stood at this moment; those of now where none is given.
    """
    from tasks.lessons import lessons_for

    window = window_of(request, services)
    waiting = lessons_for(services, request.dataset, window, said_before).waiting if request.options.trains else ()
    return _hash_of(
        request,
        services,
        window,
        said_before,
        inputs=sorted(inputs.values()),
        train=request.options.trains,
        version=request.options.version,
        waiting=[run.night.isoformat() for run, _ in waiting],
    )


def training_fingerprint(request: NightRequest, services: Services, window: Sequence[Run]) -> str:
    """Hash of everything that decides what a training outside of a night gives (SHA-256, hex)."""
    return _hash_of(request, services, window, ends=request.date)


def check_family(dataset: Dataset) -> None:
    """Refuse a family, loss or option that does not exist before anything slow is begun.

    Raises:
        ConfigError: When one does not exist, or is not of its type.
    """
    from models.halving import check_candidates

    check_candidates(dataset.detector)


def warm_start_of(dataset: Dataset, services: Services, window: Sequence[Run]) -> Promotion | None:
    """The champion that the newest night of the window left, where the dataset's trainings start from it.

    Not the champion of now: a night that is done again starts from the weights that it started from before.
    """
    if not dataset.detector.warm_start:
        return None
    for run in reversed(window):
        version = ((run.result or {}).get("model") or {}).get("champion")
        if version is not None:
            return next((row for row in services.state.ledger(dataset.name) if row.version == version), None)
    return None


def _hash_of(
    request: NightRequest,
    services: Services,
    window: Sequence[Run],
    said_before: datetime | None = None,
    *,
    ends: Date | None = None,
    **facts: Any,
) -> str:
    """The hash; `ends` is the last night whose labels count, the one before the request's where none is given."""
    from tasks.labels import facts_of_labels, what_decides

    start = warm_start_of(request.dataset, services, window)
    common = {
        **({} if start is None else {"start": start.bundle_hash}),
        **facts_of_labels(services, request.dataset, ends or request.date - timedelta(days=1), said_before),
        "protocol": PIPELINE_PROTOCOL,
        "dataset": what_decides(request.dataset),
        "seed": seed_of(request, services),
        "window": [[run.night.isoformat(), run.fingerprint] for run in window],
    }
    return hashlib.sha256(json.dumps({**common, **facts}, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def input_hashes(request: NightRequest, services: Services) -> dict[str, str]:
    """Content hash of each of the night's input files.

    Raises:
        NoInput: Nothing arrived for the date.
        ForbiddenAddress: An address is not on the allow-list.
    """
    from tasks.addresses import resolve_inputs
    from tasks.ingest import hash_inputs

    inputs = services.settings.inputs
    addresses = resolve_inputs(request.dataset, request.date, services.project.root, inputs)
    return hash_inputs(addresses, inputs)


@dataclass(frozen=True)
class Due:
    """A night that has work to do.

    Args:
        fingerprint: Of everything that decides its result.
        inputs: Content hash of each input by address.
    """

    fingerprint: str
    inputs: dict[str, str]


def look_at(services: Services, request: NightRequest) -> NightResult | Due:
    """The result of a night that needs no work (done with the same fingerprint, or nothing arrived), or what is due.

    Raises:
        ConfigError: The detector's family, loss or one of its options does not exist.
        ForbiddenAddress: An input address is not on the allow-list.
        UsageError: A night is to be scored that was not validated, or with a version that does not exist.
    """
    from tasks.done_before import done_before
    from tasks.page_drafts import recover_page
    from tasks.repair import forget_done_runs
    from tasks.versions import known_version

    if request.options.trains:
        check_family(request.dataset)
    recover_page(services, request.dataset, request.date)
    forget_done_runs(services, request.dataset.name, request.iso)
    if request.options.only_score:
        accepted_run(services, request)
        if request.options.version is not None:
            known_version(services.registry, services.state, request.dataset.name, request.options.version)
        return Due(fingerprint(request, services, {}), {})
    try:
        inputs = input_hashes(request, services)
    except NoInput as error:
        return _missing(services, request, str(error))
    except UnreadableInput:
        # The ingest stage meets it again, where it ends up in report and state.
        return Due("", {})
    print_ = fingerprint(request, services, inputs)
    done = None if request.options.force else done_before(services, request, inputs)
    if done is None:
        return Due(print_, inputs)
    reason = f"already done by run {done.id}"
    # The project may have been moved since.
    page = str(services.project.report_file(request.dataset.name, request.iso))
    return NightResult.model_validate({**done.result, "status": "skipped", "reason": reason, "report": page})


def _missing(services: Services, request: NightRequest, reason: str) -> NightResult:
    from tasks.conclude import conclude_missing

    run = services.state.start_run(
        request.dataset.name, request.date, request.options.kind, "", protocol=PIPELINE_PROTOCOL
    )
    return conclude_missing(services, request, reason, run)


def accepted_run(services: Services, request: NightRequest) -> Run:
    """The run whose accepted rows count for a night.

    Raises:
        UsageError: The night was not validated, or its rows are gone.
    """
    history = services.state.history(request.dataset.name, request.date + timedelta(days=1), 1, table="accepted")
    if not history or history[0].night != request.date:
        refuse_gone(services.state, request.dataset.name, request.date, "accepted")
        raise UsageError(
            f"{request.dataset.name} {request.iso}: no accepted rows to score",
            hint=f"validate the night first: sereno validate {request.dataset.name} --date {request.iso}",
        )
    return history[0]


def actor() -> str:
    """Who runs this, for the ledger."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
