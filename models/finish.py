"""From a trained network to what scores: graphs, score map, calibration scores. Runs where Keras is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from models import keras_archive, onnx_export
from models.calibration import Matrix, ScoreMap, fit_score_map, scores_of
from models.networks import Network
from models.scoring import Reconstructor
from models.transform import Transform

COMPARED_ROWS = 2_000


@dataclass(frozen=True)
class Finished:
    """What a bundle holds of a network.

    Args:
        onnx: The whole graph's bytes.
        encoder: The encoder's.
        decoder: The decoder's.
        keras: The canonical `.keras` archive's bytes.
        score_map: What residual is normal.
        calibration: Sorted scores of rows that no step of the training saw, float64 [rows].
        reconstruct: The whole graph, opened.
    """

    onnx: bytes
    encoder: bytes
    decoder: bytes
    keras: bytes
    score_map: ScoreMap
    calibration: Matrix
    reconstruct: Reconstructor

    def scores(self, rows: Any) -> Matrix:
        """Scores [rows] of encoded rows [rows, width]."""
        return scores_of(self.score_map.parts(rows, self.reconstruct(rows)))


def finish(network: Network, transform: Transform, stop: Any, calibrate: Any) -> Finished:
    """Export a network, and learn on held-out rows what is normal for the graph that will score.

    Args:
        network: With the weights that count.
        transform: What encoded the rows.
        stop: The early-stop rows, encoded, float32 [rows, width]; they give the score map.
        calibrate: Further rows, encoded, float32 [rows, width]; they give the calibration scores.

    Raises:
        TrainingFailed: When an exported graph is not the model.
    """
    onnx, encoder, decoder = onnx_export.export_network(network, stop[:COMPARED_ROWS])
    reconstruct = Reconstructor(onnx)
    starts = [group.start for group in transform.groups.values()]
    score_map = fit_score_map(stop, reconstruct(stop), transform.weights, starts)
    calibration = np.sort(scores_of(score_map.parts(calibrate, reconstruct(calibrate))))
    return Finished(onnx, encoder, decoder, keras_archive.archive(network.model), score_map, calibration, reconstruct)
