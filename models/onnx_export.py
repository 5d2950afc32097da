"""From a Keras model to an ONNX graph that was opened and compared before anyone relies on it."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from models.scoring import Reconstructor
from schemas.errors import BundleError, TrainingFailed

RELATIVE, ABSOLUTE = 1e-5, 1e-6


def export(model: Any, rows: np.ndarray[Any, np.dtype[np.float32]]) -> bytes:
    """Export a model and compare the graph's outputs with the model's.

    Args:
        model: A Keras model from [rows, width] to [rows, width].
        rows: Rows to compare on, float32 [rows, width].

    Raises:
        TrainingFailed: When the graph cannot be opened, or its outputs are not the model's.
    """
    import onnx

    expected = np.asarray(model(rows, training=False))
    with tempfile.TemporaryDirectory(prefix="sereno-") as folder:
        path = Path(folder) / "model.onnx"
        model.export(path, format="onnx", verbose=False)
        graph = onnx.load(path)
    for node in graph.graph.node:
        node.ClearField("doc_string")
    onnx.checker.check_model(graph)
    data: bytes = graph.SerializeToString(deterministic=True)
    _compare(data, rows, expected)
    return data


def _compare(data: bytes, rows: np.ndarray[Any, Any], expected: np.ndarray[Any, Any]) -> None:
    try:
        found = Reconstructor(data)(rows)
    except BundleError as error:
        raise TrainingFailed(f"the exported graph does not open: {error.message}", hint="choose another activation") from None
    if not np.allclose(found, expected, rtol=RELATIVE, atol=ABSOLUTE):
        difference = float(np.max(np.abs(found - expected)))
        raise TrainingFailed(
            f"the exported graph differs from the Keras model by up to {difference:.3g}", hint="choose another activation"
        )
