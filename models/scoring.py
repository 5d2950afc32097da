"""Scoring with a bundle: ONNX Runtime, numpy, pandas and Arrow; never TensorFlow.

A row gets the same number alone or among a million: the graph always sees micro-batches of one size, padded with
zeros, on one thread. Rows that stand out are explained by mending them, which costs some twenty reconstructions; of all
others the contributions are the residuals as they are. A classical detector is mended
likewise: what it expects is put in a column's place.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from models.bundle import BundleContents, open_bundle
from models.calibration import Matrix, p_values, scores_of
from models.explanation import Explainer, Explanation, shares_of
from models.judge import Judge
from schemas.errors import BundleError

if TYPE_CHECKING:
    import pandas as pd

BATCH = 1_024
TOP = 5
STANDS_OUT = 0.05


@dataclass(frozen=True)
class Scores:
    """What scoring says of each row.

    Args:
        score: Float64 [rows]; high is anomalous.
        p_value: Float64 [rows]; the share of usual rows that score as high.
        is_alert: Bool [rows]; score above the bundle's threshold.
        contributions: Arrow array [rows] of lists of {column, share, actual, expected}, largest share first.
    """

    score: Matrix
    p_value: Matrix
    is_alert: np.ndarray[Any, np.dtype[np.bool_]]
    contributions: Any


@dataclass(frozen=True, eq=False)
class Examined:
    """What a detector sees in rows, for a second stage.

    Args:
        encoded: Float32 [rows, width].
        residuals: In units of what is normal for each number, float64 [rows, width].
        parts: What each column adds to the score, float64 [rows, columns].
        shares: What each column contributes, as scores explain it, float64 [rows, columns].
        score: Float64 [rows].
    """

    encoded: np.ndarray[Any, np.dtype[np.float32]]
    residuals: Matrix
    parts: Matrix
    shares: Matrix
    score: Matrix


class Reconstructor:
    """An ONNX graph from float32 [rows, n] to float32 [rows, m]: a whole detector, or its encoder or decoder.

    Args:
        onnx: The graph's bytes.

    Raises:
        BundleError: When ONNX Runtime cannot open it.
    """

    def __init__(self, onnx: bytes) -> None:
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
        options.log_severity_level = 4
        try:
            self._session = ort.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # noqa: BLE001  (ONNX Runtime's errors share no base class)
            raise BundleError(f"ONNX Runtime cannot open the graph: {error}", hint="train again") from None
        self._input = self._session.get_inputs()[0].name

    def __call__(self, rows: np.ndarray[Any, Any]) -> np.ndarray[Any, np.dtype[np.float32]]:
        """What the graph gives for rows [rows, n], float32 [rows, m]."""
        batch = np.zeros((BATCH, rows.shape[1]), dtype=np.float32)
        given = np.empty((len(rows), self.width_out), dtype=np.float32)
        for start in range(0, len(rows), BATCH):
            count = min(BATCH, len(rows) - start)
            batch[:count] = rows[start : start + count]
            batch[count:] = 0.0
            given[start : start + count] = self._session.run(None, {self._input: batch})[0][:count]
        return given

    @property
    def width_out(self) -> int:
        """Numbers that it gives for a row."""
        return int(self._session.get_outputs()[0].shape[1])


class Scorer:
    """A bundle, ready to score.

    Args:
        bundle: The bundle's folder, or what one holds.
        expected_hash: What the ledger or the registry says its hash is.

    Raises:
        BundleError: When the bundle is not what its manifest says.
    """

    def __init__(self, bundle: Path | BundleContents, expected_hash: str | None = None) -> None:
        self.bundle = bundle if isinstance(bundle, BundleContents) else open_bundle(bundle, expected_hash)
        self._rival = self.bundle.rival
        self._reconstruct = Reconstructor(self.bundle.onnx) if self._rival is None else None

    @property
    def threshold(self) -> float:
        """The score above which a row is an alert."""
        return self.bundle.threshold

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that a frame must have."""
        return self.bundle.transform.columns

    @cached_property
    def calibration(self) -> Matrix:
        """Sorted calibration scores, float64 [rows]."""
        return np.asarray(self.bundle.calibration, dtype=np.float64)

    def score(self, frame: pd.DataFrame, *, top: int = TOP) -> Scores:
        """Score rows; none of a row's values depends on other rows.

        Args:
            frame: Has the detector's columns, in any order, with any others.
            top: Contributions kept for each row; 0 for none, which is quicker.

        Raises:
            UnreadableInput: When columns are missing.
        """
        rows = self.bundle.transform.apply(frame)
        reconstructed, parts = self.look(rows)
        score = scores_of(parts)
        p_value, is_alert = p_values(score, self.calibration), score > self.threshold
        explained = Explanation(shares_of(parts), reconstructed)
        if top:
            self._explain(explained, rows, is_alert | (p_value <= STANDS_OUT))
        return Scores(score, p_value, is_alert, self._contributions(frame, explained, top))

    def examine(self, frame: pd.DataFrame) -> Examined:
        """What is behind the scores of rows; costs as much as explaining each.

        Args:
            frame: As for `score`.

        Raises:
            UnreadableInput: When columns are missing.
        """
        rows = self.bundle.transform.apply(frame)
        reconstructed, parts = self.look(rows)
        units = 1.0 if self._rival is not None else np.sqrt(np.array(self.bundle.score_map.factors))
        residuals = (rows.astype(np.float64) - reconstructed) * units
        shares = self._explainer.explain(rows, reconstructed).shares
        return Examined(rows, residuals, parts, shares, scores_of(parts))

    def look(self, rows: Any) -> tuple[Any, Matrix]:
        """What is expected of encoded rows [rows, width], and the parts of their scores [rows, columns]."""
        if self._rival is not None:
            return self._rival.look(rows)
        reconstructed = self._network(rows)
        return reconstructed, self._judge.parts(rows, reconstructed)

    @property
    def _network(self) -> Reconstructor:
        if self._reconstruct is None:
            raise BundleError("the bundle holds a classical detector, which has no network", hint="train again")
        return self._reconstruct

    @cached_property
    def _judge(self) -> Judge:
        return self.bundle.judge

    @cached_property
    def _explainer(self) -> Explainer:
        transform = self.bundle.transform
        rival = self._rival
        if rival is not None:
            return Explainer(
                lambda rows: rival.look(rows)[0], rival, tuple(transform.groups.values()), transform.neutral
            )
        return Explainer(self._network, self._judge, tuple(transform.groups.values()), transform.neutral)

    def _explain(self, explained: Explanation, rows: Any, odd: np.ndarray[Any, np.dtype[np.bool_]]) -> None:
        """Put mended rows' shares and expectations where rows stand out."""
        at = np.flatnonzero(odd)
        found = self._explainer.explain(rows[at], explained.expected[at])
        explained.shares[at], explained.expected[at] = found.shares, found.expected

    def _contributions(self, frame: pd.DataFrame, explained: Explanation, top: int) -> Any:
        """The `top` largest shares of each row, in words."""
        import pyarrow as pa

        from schemas.tables import contribution_type

        count = min(top, len(self.columns))
        shares = explained.shares
        # Stable, so that equal parts keep the columns' order.
        best = np.argsort(-shares, axis=1, kind="stable")[:, :count]
        actual, expected = self._words(frame, explained.expected, best)
        kind = contribution_type()
        flat = pa.StructArray.from_arrays(
            [
                pa.array(np.array(self.columns, dtype=object)[best.reshape(-1)], pa.string()),
                pa.array(np.take_along_axis(shares, best, axis=1).reshape(-1), pa.float64()),
                pa.array(actual.reshape(-1), pa.string()),
                pa.array(expected.reshape(-1), pa.string()),
            ],
            fields=[kind.value_type.field(at) for at in range(kind.value_type.num_fields)],
        )
        offsets = pa.array(np.arange(len(frame) + 1, dtype=np.int32) * count)
        return pa.ListArray.from_arrays(offsets, flat, type=kind)

    def _words(self, frame: pd.DataFrame, reconstructed: Any, best: np.ndarray[Any, Any]) -> tuple[Any, Any]:
        """Actual and expected texts [rows, count]; each column formats only the rows that name it."""
        actual = np.empty(best.shape, dtype=object)
        expected = np.empty(best.shape, dtype=object)
        for at, column in enumerate(self.columns):
            rows, places = np.nonzero(best == at)
            if len(rows):
                actual[rows, places] = self.bundle.transform.actual_text(column, frame.iloc[rows])
                expected[rows, places] = self.bundle.transform.expected_text(column, reconstructed[rows])
        return actual, expected
