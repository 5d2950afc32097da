"""What a bundle holds of an `Autoencoder`, fitted by itself or in a fleet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.bundle import BundleContents
from models.judge_files import judge_facts
from models.thresholds import by_method

if TYPE_CHECKING:
    from models.autoencoder import Autoencoder
    from models.finish import Finished
    from models.networks import Network
    from models.trainer import Trained
    from models.transform import Transform


def bundle_contents(
    asked: Autoencoder, network: Network, transform: Transform, trained: Trained, made: Finished
) -> BundleContents:
    """What a bundle holds of a trained autoencoder; no clock time in it, so that the same fit gives the same bundle."""
    detector = {
        "family": asked.family,
        "settings": {**asked.get_params(deep=False), "options": None if asked.options is None else dict(asked.options)},
        "named": not all(name == f"x{at}" for at, name in enumerate(transform.columns)),
        "code": {"size": network.code, "has_prior": network.has_prior, "classes": network.classes},
        **judge_facts(made.judge),
        "threshold": by_method(asked.threshold_method, made.calibration, asked.alert_share),
        "training": {"best_epoch": trained.curve.best + 1, "trimmed": trained.curve.trimmed, "moved": trained.moved},
    }
    return BundleContents(
        detector=detector,
        transform=transform,
        onnx=made.onnx,
        keras=made.keras,
        calibration=made.calibration,
        encoder=made.encoder,
        decoder=made.decoder,
        neighbours=made.judge.neighbours,
    )
