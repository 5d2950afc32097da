"""From a trained bundle to a version that may score: registration, the ledger, and who scores tonight."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date as Date
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from schemas.detector import Frozen
from schemas.errors import BundleError, PromotionRefused, TrainingFailed, UsageError
from schemas.results import ModelOutcome, TrainingSummary
from schemas.tables import accepted_schema

if TYPE_CHECKING:
    import pyarrow as pa

    from infra.runtime.runs import Run
    from models.registry import Registry
    from schemas.dataset import Dataset
    from tasks.gate import GateDecision
    from tasks.night import Night
    from tasks.services import Services
    from tasks.train import TrainingOutcome


class TrainingDecision(Frozen):
    """What `train` prints."""

    dataset: str
    version: str
    nights: tuple[str, ...]
    rows: int
    epochs: int
    seconds: float
    promoted: bool
    reason: str


@dataclass(frozen=True)
class ChosenVersion:
    """The version that scores a night.

    Args:
        version: Registered version.
        bundle: Its folder.
        bundle_hash: The hash that the ledger has for it.
        in_sample: Whether the night's own rows trained it.
        outcome: For the result.
    """

    version: str
    bundle: Path
    bundle_hash: str
    in_sample: bool
    outcome: ModelOutcome


def window_samples(services: Services, dataset: Dataset, window: Sequence[Run]) -> list[pa.Table]:
    """The bottom-k samples of the window's nights, each at the version that the state pins."""
    schema = accepted_schema(dataset)
    pinned = {run.night: run.versions["samples"] for run in window}
    table = services.lake.read(dataset.name, "samples", pinned, columns=schema.names, schema=schema) if pinned else None
    return [table] if table is not None else []


def training_window(services: Services, dataset: Dataset, first: Date | None, last: Date | None) -> tuple[Run, ...]:
    """The validated nights of a range, oldest first; the dataset's window up to `last` where `first` is not given.

    Raises:
        UsageError: No night of the range was validated.
    """
    before = last + timedelta(days=1) if last else None
    limit = None if first else dataset.detector.window_nights
    found = services.state.history(dataset.name, before, limit, table="samples")
    window = tuple(run for run in reversed(found) if first is None or run.night >= first)
    if not window:
        asked = f" from {first}" * (first is not None) + f" to {last}" * (last is not None)
        raise UsageError(
            f"{dataset.name}: no validated nights{asked} to train on",
            hint=f"validate nights first: sereno validate {dataset.name} --date DATE",
        )
    return window


def settle_training(night: Night) -> TrainingDecision:
    """Promote or refuse a challenger that was trained outside of a night.

    Raises:
        TrainingFailed: The training ended without a detector.
    """
    if night.trained is None or night.decision is None or night.challenger is None:
        raise TrainingFailed(f"{night.dataset.name}: {night.training_failure or 'training ended without a detector'}")
    first = night.services.state.champion(night.dataset.name) is None
    promote = becomes_champion(night.dataset, night.decision, first=first)
    settle_promotion(
        night.services, night.dataset, night.challenger, night.trained, night.decision, night.run.id, promote=promote
    )
    summary = night.trained.summary
    return TrainingDecision(
        dataset=night.dataset.name,
        version=night.challenger,
        nights=summary.nights,
        rows=rows_of(summary),
        epochs=summary.epochs,
        seconds=summary.seconds,
        promoted=promote,
        reason=decided(night.decision, first=first),
    )


def rows_of(summary: TrainingSummary) -> int:
    """Rows that a training used, its three parts together."""
    return summary.rows_fit + summary.rows_stop + summary.rows_calibrate


def register(services: Services, registry: Registry, dataset: Dataset, trained: TrainingOutcome, run_id: str) -> str:
    """Register a bundle under its content hash, and say so in the ledger once."""
    version = registry.register(
        dataset.name, trained.bundle, trained.bundle_hash, trained.summary, trained.metrics, {"run_id": run_id}
    )
    if all(row.bundle_hash != trained.bundle_hash for row in services.state.ledger(dataset.name)):
        services.state.record(
            dataset.name,
            version,
            trained.bundle_hash,
            "registered",
            reason=f"trained on {rows_of(trained.summary):,} rows",
            actor=f"run {run_id}",
            run_id=run_id,
            metrics=trained.metrics,
        )
    return version


@dataclass(frozen=True)
class ChampionBundle:
    """The champion's folder, and the hash that the ledger has for it."""

    path: Path
    hash: str


def champion_bundle(services: Services, registry: Registry, name: str) -> ChampionBundle | None:
    """The champion's bundle by the ledger; None where there is no champion, or its bundle is gone."""
    champion = services.state.champion(name)
    if champion is None:
        return None
    try:
        return ChampionBundle(registry.download(name, champion.version), champion.bundle_hash)
    except (BundleError, UsageError):
        return None


def scoring_version(night: Night) -> ChosenVersion:
    """Which version scores tonight: the asked one, the challenger that passed, or the champion.

    Raises:
        TrainingFailed: There is neither a champion nor a challenger.
        PromotionRefused: The gate refused the only version that there is.
    """
    services, name = night.services, night.dataset.name
    registry = services.registry
    champion = services.state.champion(name)
    if night.request.options.version is not None:
        return _asked(night, registry, night.request.options.version)
    if night.trained is not None and night.decision is not None and night.challenger is not None:
        first = champion is None
        if becomes_champion(night.dataset, night.decision, first=first):
            reason = decided(night.decision, first=first)
            outcome = _outcome(night, night.challenger, night.challenger, promoted=True, reason=reason)
            summary = night.trained.summary
            return ChosenVersion(
                night.challenger, night.trained.bundle, night.trained.bundle_hash, summary.in_sample, outcome
            )
        if first:
            raise PromotionRefused(
                f"{name}: the gate refused version {night.challenger}, and there is no champion to score instead: "
                + "; ".join(night.decision.reasons),
                hint=f"look at it with: sereno models show {name} {night.challenger}; promote it all the same with: "
                f"sereno models promote {name} {night.challenger} --force --reason '...'",
            )
    if champion is None:
        raise TrainingFailed(
            f"{name}: there is no champion to score with"
            + (f", and training failed: {night.training_failure}" if night.training_failure else ""),
            hint=f"train one with: sereno train {name}",
        )
    outcome = _outcome(night, champion.version, champion.version, promoted=False, reason=_why_champion(night))
    return ChosenVersion(
        champion.version, registry.download(name, champion.version), champion.bundle_hash, False, outcome
    )


def becomes_champion(dataset: Dataset, decision: GateDecision, *, first: bool) -> bool:
    """Whether a challenger becomes champion without a person; the first one need only be usable."""
    if first:
        return decision.usable
    return decision.promote and dataset.detector.promotion == "auto"


def decided(decision: GateDecision, *, first: bool) -> str:
    """The gate's decision in words."""
    said = "; ".join(decision.reasons)
    return f"the first champion, although {said}" if first and not decision.promote else said


def _why_champion(night: Night) -> str:
    if night.training_failure:
        return f"the champion scored, because training failed: {night.training_failure}"
    if night.decision is None:
        return "the champion scored; nothing was trained"
    reasons = "; ".join(night.decision.reasons)
    if night.decision.promote:
        command = f"sereno models promote {night.dataset.name} {night.challenger}"
        return f"version {night.challenger} passed the gate and waits for: {command}"
    return f"the champion scored; version {night.challenger} was refused: {reasons}"


def _outcome(night: Night, version: str, champion: str, *, promoted: bool, reason: str) -> ModelOutcome:
    return ModelOutcome(
        version=version, champion=champion, family=night.dataset.detector.family, promoted=promoted, reason=reason
    )


def _asked(night: Night, registry: Registry, version: str) -> ChosenVersion:
    from tasks.versions import known_version

    known = known_version(registry, night.dataset.name, version)
    champion = night.services.state.champion(night.dataset.name)
    outcome = ModelOutcome(
        version=version,
        champion=champion.version if champion else None,
        family=night.dataset.detector.family,
        reason=f"version {version} was asked for",
    )
    folder = registry.download(night.dataset.name, version)
    return ChosenVersion(version, folder, known.bundle_hash, night.request.iso in known.nights, outcome)


def settle_promotion(
    services: Services,
    dataset: Dataset,
    version: str,
    trained: TrainingOutcome,
    decision: GateDecision,
    run_id: str | None,
    *,
    promote: bool,
) -> None:
    """Write the decision into the ledger, once, and let the alias follow."""
    from tasks.versions import align_alias

    champion = services.state.champion(dataset.name)
    reason = decided(decision, first=promote and champion is None)
    metrics = {"checks": [dict(check) for check in decision.checks]}
    actor = f"run {run_id}"
    if promote and (champion is None or champion.bundle_hash != trained.bundle_hash):
        services.state.record(
            dataset.name,
            version,
            trained.bundle_hash,
            "promoted",
            reason=reason,
            actor=actor,
            run_id=run_id,
            metrics=metrics,
        )
    elif not promote and not decision.promote:
        services.state.record(
            dataset.name,
            version,
            trained.bundle_hash,
            "refused",
            reason=reason,
            actor=actor,
            run_id=run_id,
            metrics=metrics,
        )
    align_alias(services.registry, services.state, dataset.name)
