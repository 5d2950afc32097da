"""The making of a detector: from the window's sample to a bundle. Runs in the training process."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from models.bundle import BundleContents, open_bundle, rule_facts, write_bundle
from models.calibration import Matrix
from models.checkpoint import Checkpoints, identity_of, remove_checkpoints
from models.families import family, most_epochs
from models.finish import Finished, Known, finish
from models.judge_files import judge_facts
from models.networks import Network
from models.split import Parts, bounded, split
from models.thresholds import threshold_by
from models.trainer import Budget, Curve, Weights, train
from models.training_request import TrainingOutcome, TrainingRequest
from models.transform import Transform, fit_transform
from models.workshop import WORKSHOP, Workpiece
from schemas.errors import OutdatedBundle, TrainingFailed
from schemas.results import TrainingSummary
from schemas.threshold import ThresholdRule, wished_share

logger = logging.getLogger("sereno.training")

Flags = np.ndarray[Any, np.dtype[np.bool_]]
OnEpoch = Callable[[int, int, float, float], None]


@dataclass(frozen=True)
class Encoded:
    """The three parts as matrices, float32 [rows, width]."""

    fit: Any
    stop: Any
    calibrate: Any


@dataclass(frozen=True)
class Made:
    """A network and how it came about.

    Args:
        network: The network, with its best weights.
        curve: The losses.
        moved: Root mean square change of the weights since the first step.
        started_from: Hash of the bundle whose weights it started from.
    """

    network: Network
    curve: Curve
    moved: float
    started_from: str | None


def fit_detector(request: TrainingRequest, progress: OnEpoch) -> TrainingOutcome:
    """Make a detector and write its bundle.

    Args:
        request: What to train on, and for whom.
        progress: Called after each epoch with (epoch from 1, most epochs, loss, held-out loss).

    Raises:
        TrainingFailed: When the sample is too small or unreadable, training diverges or overruns, or the exported graph
            is not the model.
    """
    with _checkpoints_end(request.checkpoints, is_paused=request.pause is not None):
        return _fit_detector(request, progress)


@contextmanager
def _checkpoints_end(folder: Path | None, *, is_paused: bool) -> Iterator[None]:
    """Remove the checkpoints when the training came to its end, with a detector or without, unless it only pauses."""
    try:
        yield
    except TrainingFailed:
        if folder is not None:
            remove_checkpoints(folder)
        raise
    if folder is not None and not is_paused:
        remove_checkpoints(folder)


def _fit_detector(request: TrainingRequest, progress: OnEpoch) -> TrainingOutcome:
    started = time.monotonic()
    settings = request.dataset.detector
    if not request.dataset.features:
        raise TrainingFailed(
            f"no column of {request.dataset.name} enters the detector",
            hint="take `left_out` away from a column that varies, or check the nights only: sereno validate",
        )
    parts = split(bounded(_read_sample(request.sample), settings.rows))
    transform = _fit_transform(request, parts)
    encoded = Encoded(*(transform.apply(part) for part in (parts.fit, parts.stop, parts.calibrate)))
    trained = _train(request, transform, encoded, progress)
    known = Known(encoded.fit, encoded.stop, encoded.calibrate)
    made = finish(trained.network, transform, known, request.seed)
    calibration = made.calibration
    summary = _summary(request, parts, trained, transform.width)
    share = wished_share(settings.threshold, settings.alert_budget, request.expected_rows)
    threshold = threshold_by(settings.threshold, calibration, share)
    if request.tonight is not None:
        sample = pd.concat([parts.fit, parts.stop, parts.calibrate])
        rows = np.concatenate([encoded.fit, encoded.stop, encoded.calibrate])
        own = made.scores(rows[_are_among(sample, _read_sample(request.tonight))])
        threshold = max(threshold, _threshold_of_tonight(settings.threshold, np.sort(own), share))
    contents = BundleContents(
        detector=_detector(request, trained, made, summary, share, threshold),
        transform=transform,
        onnx=made.onnx,
        keras=made.keras,
        calibration=calibration,
        encoder=made.encoder,
        decoder=made.decoder,
        neighbours=made.judge.neighbours,
    )
    bundle_hash = write_bundle(request.output, contents, replace=True)
    seconds = trained.curve.seconds_before + time.monotonic() - started
    timed = summary.model_copy(update={"seconds": round(seconds, 3)})
    return TrainingOutcome(request.output, bundle_hash, timed, _metrics(contents, trained.curve, seconds))


def _read_sample(path: Path) -> pd.DataFrame:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        frame = pq.read_table(path).to_pandas()
    except (OSError, pa.ArrowInvalid) as error:
        raise TrainingFailed(f"the window's sample {path.name} cannot be read: {error}") from None
    if "sereno_hash" not in frame.columns:
        raise TrainingFailed(f"the window's sample {path.name} has no column sereno_hash")
    assert isinstance(frame, pd.DataFrame)  # noqa: S101  (pyarrow has no types)
    return frame


def _fit_transform(request: TrainingRequest, parts: Parts) -> Transform:
    dataset = request.dataset
    nullable = [name for name, column in dataset.columns.items() if column.nullable]
    return fit_transform(parts.fit, dataset.features, nullable=nullable, timezone=dataset.timezone)


def _train(request: TrainingRequest, transform: Transform, encoded: Encoded, progress: OnEpoch) -> Made:
    settings = request.dataset.detector
    chosen = family(settings.family)
    config = chosen.configure(settings)
    piece = WORKSHOP.workpiece(settings.family, transform.width, config)
    budget = Budget(
        epochs=most_epochs(settings, len(encoded.fit) + len(encoded.stop) + len(encoded.calibrate)),
        patience=settings.patience,
        batch_size=settings.batch_size,
        learning_rate=settings.learning_rate or chosen.pace.learning_rate,
        least_steps=chosen.pace.least_steps,
        trim=settings.trim,
        seconds=float(settings.seconds),
        pause=request.pause,
    )
    start, started_from = _start(request, piece)
    trained = train(
        piece,
        encoded.fit,
        encoded.stop,
        budget,
        seed=request.seed,
        progress=lambda epoch, *losses: progress(epoch, budget.epochs, *losses),
        checkpoints=_checkpoints(request, piece.network.model, encoded),
        start=start,
    )
    return Made(piece.network, trained.curve, trained.moved, started_from)


def _start(request: TrainingRequest, piece: Workpiece) -> tuple[Weights | None, str | None]:
    """Weights to start from, and the hash of their bundle; none where the bundle's network has another shape."""
    if request.start is None:
        return None, None
    from models.warm_start import weights_of

    try:
        bundle = open_bundle(request.start, request.start_hash)
    except OutdatedBundle as error:
        logger.info("the training starts anew: %s", error.message)
        return None, None
    if bundle.rival is not None:
        logger.info("the training starts anew: the earlier detector is a classical one, without weights")
        return None, None
    mine, theirs = piece.weights(), weights_of(bundle.keras)
    same = [part.shape for part in (mine[0], *mine[1])] == [part.shape for part in (theirs[0], *theirs[1])]
    if not same or bundle.detector["family"] != request.dataset.detector.family:
        logger.info("the training starts anew: the earlier detector is of another family or shape")
        return None, None
    return theirs, bundle.hash


def _checkpoints(request: TrainingRequest, model: Any, encoded: Encoded) -> Checkpoints | None:
    """Where this training goes on from, and no other."""
    if request.checkpoints is None:
        return None
    import tensorflow as tf

    facts = {
        "dataset": request.dataset.resolved(),
        "nights": list(request.nights),
        "seed": request.seed,
        "expected_rows": request.expected_rows,
        "in_sample": request.in_sample,
        "start": request.start_hash,
        "shapes": [[list(variable.shape), str(variable.dtype)] for variable in model.variables],
        "made_with": {**_made_with(), "numpy": np.__version__},
        "devices": [device.device_type for device in tf.config.list_physical_devices()],
    }
    # The rows as the network sees them: a sample that was written again, in another order, is the same sample.
    identity = identity_of(facts, (encoded.fit, encoded.stop, encoded.calibrate))
    return Checkpoints(request.checkpoints, identity, request.checkpoint_seconds)


def _are_among(rows: pd.DataFrame, sample: pd.DataFrame) -> Flags:
    """Which rows a sample holds, bool [rows]: a key names a row, and file and line where it names several."""
    names = [name for name in ("sereno_hash", "sereno_file", "sereno_line") if name in rows.columns]
    flags: Flags = pd.MultiIndex.from_frame(rows[names]).isin(pd.MultiIndex.from_frame(sample[names]))
    return flags


def _threshold_of_tonight(rule: ThresholdRule, scores: Matrix, share: float) -> float:
    """The threshold by the sorted scores of the night that trains and is scored alike; no bound where they are few.

    A night that trains itself is the first one or one of a new kind: what nights before raise says little of it. All
    its rows count, fitted or not, since all will be scored: held-out rows alone score higher than the night does.
    """
    return threshold_by(rule, scores, share) if share * len(scores) >= 1.0 else -np.inf


def _summary(request: TrainingRequest, parts: Parts, trained: Made, width: int) -> TrainingSummary:
    return TrainingSummary(
        rows_fit=len(parts.fit),
        rows_stop=len(parts.stop),
        rows_calibrate=len(parts.calibrate),
        nights=request.nights,
        epochs=len(trained.curve.loss),
        loss=tuple(round(value, 8) for value in trained.curve.loss),
        held_out_loss=tuple(round(value, 8) for value in trained.curve.held_out),
        contamination_assumed=request.dataset.detector.trim,
        in_sample=request.in_sample,
        width=width,
        parameters=int(trained.network.model.count_params()),
    )


def _detector(
    request: TrainingRequest,
    trained: Made,
    made: Finished,
    summary: TrainingSummary,
    share: float,
    threshold: float,
) -> dict[str, Any]:
    """What `detector.json` says; no clock time in it, so that the same training gives the same bundle."""
    dataset, network, calibration = request.dataset, trained.network, made.calibration
    features = [{**asdict(f), "type": f.type.value, "kind": f.kind.value} for f in dataset.features]
    return {
        "dataset": dataset.name,
        "family": dataset.detector.family,
        "settings": dataset.detector.model_dump(mode="json"),
        "features": features,
        "code": {"size": network.code, "has_prior": network.has_prior, "classes": network.classes},
        "seed": request.seed,
        "nights": list(request.nights),
        "in_sample": request.in_sample,
        **judge_facts(made.judge),
        "threshold": threshold,
        **rule_facts(dataset.detector.threshold.model_dump()),
        "alerts": {
            "budget": dataset.detector.wished_alerts(request.expected_rows),
            "expected_rows": request.expected_rows,
            "share": share,
        },
        "calibration": {"rows": len(calibration), "low": float(calibration[0]), "high": float(calibration[-1])},
        "training": {
            "best_epoch": trained.curve.best + 1,
            "trimmed": trained.curve.trimmed,
            "moved": trained.moved,
            "started_from": trained.started_from,
        },
        "summary": summary.model_dump(mode="json"),
        "made_with": _made_with(),
    }


def _made_with() -> dict[str, str]:
    from importlib.metadata import version

    return {name: version(name) for name in ("keras", "tensorflow", "onnx", "tf2onnx")}


def _metrics(contents: BundleContents, curve: Curve, seconds: float) -> dict[str, float]:
    return {
        "loss": curve.loss[curve.best],
        "held_out_loss": curve.held_out[curve.best],
        "epochs": float(len(curve.loss)),
        "threshold": contents.threshold,
        "calibration_median": float(np.median(contents.calibration)),
        "calibration_alert_share": float(np.mean(contents.calibration > contents.threshold)),
        "seconds": seconds,
    }
