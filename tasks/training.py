"""From a trained bundle to a version that may score: registration, the ledger, and who scores tonight."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date as Date
from datetime import timedelta
from typing import TYPE_CHECKING

from infra.runtime.promotions import tells_of
from schemas.detector import Frozen
from schemas.errors import TrainingFailed, UsageError
from schemas.results import TrainingSummary
from schemas.tables import accepted_schema
from tasks.gone import parted, refuse_gone

if TYPE_CHECKING:
    import pyarrow as pa

    from infra.runtime.runs import Run
    from models.registry import VersionInfo
    from schemas.dataset import Dataset
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


def window_samples(services: Services, dataset: Dataset, window: Sequence[Run]) -> list[pa.Table]:
    """The bottom-k samples of the window's nights, each at the version that the state pins, less labelled anomalies.

    What retention took away is left out.
    """
    from tasks.labels import anomalies_of, without_anomalies

    window, _ = parted(window)
    if not window:
        return []
    schema, pinned = accepted_schema(dataset), {run.night: run.versions["samples"] for run in window}
    said = anomalies_of(services, dataset, window)
    columns = [*schema.names, *(["night"] if said else [])]
    table = services.lake.read(dataset.name, "samples", pinned, columns=columns, schema=schema)
    return [without_anomalies(table, said) if said else table]


def training_window(services: Services, dataset: Dataset, first: Date | None, last: Date | None) -> tuple[Run, ...]:
    """The validated nights of a range, oldest first; the dataset's window up to `last` where `first` is not given.

    Raises:
        UsageError: No night of the range was validated, or their samples are gone.
    """
    before = last + timedelta(days=1) if last else None
    limit = None if first else dataset.detector.window_nights
    found = services.state.history(dataset.name, before, limit, table="samples")
    window = tuple(run for run in reversed(found) if first is None or run.night >= first)
    if not window:
        asked = f" from {first}" * (first is not None) + f" to {last}" * (last is not None)
        gone = services.state.history(dataset.name, before, 1, table="samples", gone=True)
        if gone and (first is None or gone[0].night >= first):
            refuse_gone(services.state, dataset.name, gone[0].night, "samples")
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
    from tasks.promotion import becomes_champion, champion_before, in_words, record_decision

    first = champion_before(night) is None
    promote = becomes_champion(night.dataset, night.decision, first=first)
    record_decision(night, promote=promote)
    summary = night.trained.summary
    return TrainingDecision(
        dataset=night.dataset.name,
        version=night.challenger,
        nights=summary.nights,
        rows=rows_of(summary),
        epochs=summary.epochs,
        seconds=summary.seconds,
        promoted=promote,
        reason=in_words(night.decision, first=first),
    )


def rows_of(summary: TrainingSummary) -> int:
    """Rows that a training used, its three parts together."""
    return summary.rows_fit + summary.rows_stop + summary.rows_calibrate


def register(services: Services, dataset: Dataset, trained: TrainingOutcome, run_id: str) -> str:
    """Register a bundle under its content hash, and say so in the ledger once."""
    version = services.registry.register(
        dataset.name, trained.bundle, trained.bundle_hash, trained.summary, trained.metrics, {"run_id": run_id}
    )
    if not tells_of(services.state.ledger(dataset.name, bundle_hash=trained.bundle_hash)):
        _note(services, dataset.name, version, trained.bundle_hash, rows_of(trained.summary), run_id, trained.metrics)
    return version


def note_registered(services: Services, name: str, found: VersionInfo) -> None:
    """Tell the ledger of a version that a run registered, but had no time to tell of, as that run would have."""
    rows = sum(int(found.metrics.get(part, 0)) for part in ("rows_fit", "rows_stop", "rows_calibrate"))
    _note(services, name, found.version, found.bundle_hash, rows, found.tags.get("run_id"), found.metrics)


def _note(
    services: Services,
    name: str,
    version: str,
    bundle_hash: str,
    rows: int,
    run_id: str | None,
    metrics: Mapping[str, float],
) -> None:
    services.state.record(
        name,
        version,
        bundle_hash,
        "registered",
        reason=f"trained on {rows:,} rows",
        actor=f"run {run_id}" if run_id else "a command that was stopped",
        run_id=run_id,
        metrics=metrics,
    )
