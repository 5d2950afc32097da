"""From a trained network to what scores: graphs, judge, calibration scores. Runs where Keras is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from models import keras_archive, onnx_export
from models.calibration import Matrix, fit_score_map, scores_of
from models.judge import Judge, fit_judge
from models.nearest import Places
from models.neighbours import fit_neighbours
from models.networks import Network
from models.scoring import Reconstructor
from models.transform import Transform

COMPARED_ROWS = 2_000
MOST_JUDGED = 20_000


@dataclass(frozen=True)
class Finished:
    """What a bundle holds of a network.

    Args:
        onnx: The whole graph's bytes.
        encoder: The encoder's.
        decoder: The decoder's.
        keras: The canonical `.keras` archive's bytes.
        judge: What residual, and what distance, is normal.
        calibration: Sorted scores of rows that no step of the training saw, float64 [rows].
        reconstruct: The whole graph, opened.
    """

    onnx: bytes
    encoder: bytes
    decoder: bytes
    keras: bytes
    judge: Judge
    calibration: Matrix
    reconstruct: Reconstructor

    def scores(self, rows: Any) -> Matrix:
        """Scores [rows] of encoded rows [rows, width]."""
        return scores_of(self.judge.parts(rows, self.reconstruct(rows)))


@dataclass(frozen=True)
class Known:
    """The encoded rows behind a detector, float32 [rows, width] each.

    Args:
        fit: Rows that it learned from; those of a reference come from these and from `stop`.
        stop: Held-out rows that say what residual is normal.
        calibrate: Further rows, for the calibration scores.
        lends_all: Whether the reference may have calibration rows too, each judged without itself: then few rows are
            used to the full, but no later comparison may take them for unseen.
    """

    fit: Any
    stop: Any
    calibrate: Any
    lends_all: bool = False


def finish(network: Network, transform: Transform, known: Known, seed: int) -> Finished:
    """Export a network, and learn on held-out rows what is normal for the graph that will score.

    Args:
        network: With the weights that count.
        transform: What encoded the rows.
        known: The rows.
        seed: Decides which rows are the reference.

    Raises:
        TrainingFailed: When an exported graph is not the model.
    """
    onnx, encoder, decoder = onnx_export.export_network(network, known.stop[:COMPARED_ROWS])
    reconstruct = Reconstructor(onnx)
    judge, calibration = judged(reconstruct, network, transform, known, seed)
    return Finished(onnx, encoder, decoder, keras_archive.archive(network.model), judge, calibration, reconstruct)


def judged(
    reconstruct: Reconstructor, network: Network, transform: Transform, known: Known, seed: int
) -> tuple[Judge, Matrix]:
    """What is normal for a graph, and the sorted scores of its calibration rows.

    Args:
        reconstruct: The graph.
        network: What the graph was made from, with its weights in it.
        transform: What encoded the rows.
        known: The rows.
        seed: Decides which rows are the reference.
    """
    starts = [group.start for group in transform.groups.values()]
    if network.members is None:
        score_map = fit_score_map(known.stop, reconstruct(known.stop), transform.weights, starts)
        return Judge(score_map), _calibrated(Judge(score_map), reconstruct, known.calibrate)
    seen = np.concatenate([known.fit, known.stop]) if isinstance(known.fit, np.ndarray) else known.stop
    # Each row by the member that it did not teach: so all rows tell what residual is normal, not the few held out.
    some = seen[:MOST_JUDGED]
    untaught = network.members.by_untaught(some)
    score_map = fit_score_map(some, untaught, transform.weights, starts)
    nearness = network.nearness
    if nearness is None:
        return Judge(score_map), _calibrated(Judge(score_map), reconstruct, known.calibrate)
    rows = np.concatenate([seen, *([known.calibrate] if known.lends_all else [])])
    count = nearness.count_of(len(rows), lends_all=known.lends_all)
    neighbours, places = fit_neighbours(rows, count, nearness.most, seed, nearness.kind)
    lent = len(known.calibrate) if known.lends_all else 0
    share = len(neighbours.reference) / (len(known.fit) + len(known.stop) + lent)
    judge = fit_judge(score_map, neighbours, some, untaught, places[: len(some)], share)
    of = places[-len(known.calibrate) :] if known.lends_all else None
    return judge, _calibrated(judge, reconstruct, known.calibrate, of)


def _calibrated(judge: Judge, reconstruct: Reconstructor, rows: Any, of: Places | None = None) -> Matrix:
    """Sorted scores of calibration rows."""
    return np.sort(scores_of(judge.parts(rows, reconstruct(rows), of=of)))
