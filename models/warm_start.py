"""Keras models and weights of earlier detectors, for a training to start from."""

from __future__ import annotations

import importlib
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from models.tensorflow_import import import_tensorflow
from models.trainer import Weights
from schemas.errors import BundleError


def weights_of(archive: bytes) -> Weights:
    """Read the weights of a `.keras` archive, in the order in which the trainer keeps them.

    Args:
        archive: The archive's bytes, as a checked bundle holds them.

    Raises:
        BundleError: When Keras cannot load it.
    """
    model = load_model(archive)
    trainable = [np.asarray(variable).reshape(-1) for variable in model.trainable_variables]
    return (
        np.concatenate([*trainable, np.zeros(0, np.float32)]),
        tuple(np.array(variable) for variable in model.non_trainable_variables),
    )


def load_model(archive: bytes) -> Any:
    """Load a `.keras` archive in Keras' safe mode.

    Args:
        archive: The archive's bytes, as a checked bundle holds them.

    Raises:
        BundleError: When Keras cannot load it.
    """
    import_tensorflow()
    import keras

    importlib.import_module("models.layers")  # registers what an archive may name
    with tempfile.TemporaryDirectory(prefix="sereno-") as folder:
        path = Path(folder) / "weights.keras"
        path.write_bytes(archive)
        try:
            return keras.saving.load_model(path, compile=False, safe_mode=True)
        except (ValueError, TypeError, KeyError, OSError) as error:
            raise BundleError(f"the Keras archive of the bundle cannot be loaded: {error}", hint="train anew") from None
