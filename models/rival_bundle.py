"""A rival as a bundle: what a champion needs, from the challenger whose rows, columns and alert budget it takes."""

from __future__ import annotations

import time
from importlib.metadata import version
from pathlib import Path

import numpy as np

from models.bundle import Bundle, BundleContents, rule_facts, write_bundle
from models.rivals import Given, Rival, rival
from models.split import Parts
from models.thresholds import threshold_by
from models.training_request import TrainingOutcome
from schemas.detector import DetectorSettings
from schemas.results import TrainingSummary

MOST_ROWS = 5_000
TAKEN_OVER = ("dataset", "settings", "features", "seed", "nights", "in_sample", "alerts")


def given_of(bundle: BundleContents, parts: Parts, seed: int) -> Given:
    """What a rival learns from: the challenger's own encoding of rows of each part, `MOST_ROWS` at most.

    Args:
        bundle: The challenger.
        parts: The window's sample.
        seed: Of all random choices.
    """
    transform = bundle.transform
    fit, stop = (transform.apply(part.iloc[:MOST_ROWS]) for part in (parts.fit, parts.stop))
    return Given(fit, stop, transform, seed)


def write_rival(name: str, challenger: Bundle, parts: Parts, given: Given, output: Path) -> TrainingOutcome:
    """Fit a rival, calibrate it on the rows that no step of it saw, and write its bundle.

    Args:
        name: The rival's.
        challenger: Whose transform, nights and alert budget it takes over.
        parts: The window's sample.
        given: What it learns from.
        output: Folder that the bundle becomes.
    """
    started = time.monotonic()
    fitted: Rival = rival(name).fit(given)
    calibration = np.sort(fitted.score(given.transform.apply(parts.calibrate)))
    detector = challenger.detector
    rule = DetectorSettings.model_validate(detector["settings"]).threshold
    threshold = threshold_by(rule, calibration, float(detector["alerts"]["share"]))
    summary = TrainingSummary(
        rows_fit=len(given.fit),
        rows_stop=len(given.stop),
        rows_calibrate=len(parts.calibrate),
        nights=tuple(detector["nights"]),
        in_sample=bool(detector["in_sample"]),
        width=given.transform.width,
        parameters=sum(int(np.size(array)) for array in fitted.arrays().values()),
    )
    contents = BundleContents(
        detector={
            **{key: detector[key] for key in TAKEN_OVER},
            "family": name,
            "threshold": threshold,
            **rule_facts(rule.model_dump()),
            "calibration": {
                "rows": len(calibration),
                "low": float(calibration[0]),
                "high": float(calibration[-1]),
            },
            "summary": summary.model_dump(mode="json"),
            "made_with": {library: version(library) for library in ("numpy", "scikit-learn")},
        },
        transform=given.transform,
        calibration=calibration,
        rival=fitted,
    )
    digest = write_bundle(output, contents, replace=True)
    seconds = round(time.monotonic() - started, 3)
    return TrainingOutcome(output, digest, summary.model_copy(update={"seconds": seconds}), _metrics(contents, seconds))


def _metrics(contents: BundleContents, seconds: float) -> dict[str, float]:
    return {
        "threshold": contents.threshold,
        "calibration_median": float(np.median(contents.calibration)),
        "calibration_alert_share": float(np.mean(contents.calibration > contents.threshold)),
        "seconds": seconds,
    }
