"""One autoencoder of any family for arrays and frames, with scikit-learn's habits.

    from models.autoencoder import Autoencoder

    detector = Autoencoder("variational", code=2).fit(X)
    detector.score(X)          # high is anomalous
    detector.encode(X)         # [rows, 2]
    detector.save("bundle")    # data, no pickle: the form in which nights keep their detectors

Missing values count as the column's median; infinities are refused in `fit` and score as very large numbers later; a
constant column is only shifted. Of the rows, 70 % are learned from, 10 % say when to stop and what residual is normal,
and 20 % calibrate; of an ensemble's, whose members tell what is normal, 85, 5 and 10 %. Training needs TensorFlow,
which is imported then; all else needs ONNX Runtime alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, OutlierMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from models.autoencoder_bundle import bundle_contents
from models.bundle import BundleContents, open_bundle, write_bundle
from models.families import Family, family, with_prior
from models.networks import Layered, is_ensemble, wants_bounds
from models.numbers_in import read_numbers
from models.plain_encoder import Scaling
from models.plain_rows import check_rows, prepare_rows
from models.prior import code_batches
from models.row_source import ParquetRows, Rows
from models.scoring import Reconstructor, Scorer, Scores
from models.streamed_rows import prepare
from models.trainer import Budget, Curve, Trained, Weights, train
from models.transform import Transform
from schemas.errors import ConfigError, UnreadableInput, listed
from schemas.threshold import ThresholdMethod, rule_for

Matrix = np.ndarray[Any, np.dtype[np.float64]]


class Autoencoder(TransformerMixin, OutlierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """An autoencoder that is fitted on rows of numbers.

    Args:
        family: Registered name; `docs/families.md` lists them.
        hidden: Units of the encoder's hidden layers; the family's where none are given, as for all that follow.
        code: Numbers of the code.
        activation: Activation of the hidden layers.
        loss: Registered name of the reconstruction loss.
        weight_decay: Decay of the kernels each step, as a share of its size.
        dropout: Share of hidden values that is dropped while training.
        batch_norm: Whether hidden layers are normalised over the batch.
        options: The family's own options.
        scaling: standard: each column to mean 0 and deviation 1; minmax: from 0 to 1; none.
        epochs: Most epochs; the family's where none are given.
        patience: Epochs without a better held-out loss before training stops.
        batch_size: Rows in one gradient step.
        learning_rate: First step size of Adam; the family's where none is given.
        trim: Share of rows, those that fit worst, whose pull is bounded: the contamination that one expects.
        seconds: Training stops with the best epoch so far when they are over; no bound where none are given.
        rows: Training stops when as many rows passed through it, each epoch counted.
        alert_share: Share of usual rows that `predict` calls outliers.
        threshold_method: How that share becomes a threshold: quantile; p_value: where `p_value` is at most the share;
            tail: by the tail of the highest scores, for shares that the rows by themselves say little of.
        seed: Decides every random choice.

    Attributes:
        curve_: How the training went.
        n_features_in_: Numbers of a row.
        feature_names_in_: The columns' names, where `fit` was given names.
    """

    def __init__(  # noqa: PLR0913  (scikit-learn takes each setting by its own name)
        self,
        family: str = "denoising",
        *,
        hidden: tuple[int, ...] | None = None,
        code: int | None = None,
        activation: str | None = None,
        loss: str | None = None,
        weight_decay: float | None = None,
        dropout: float | None = None,
        batch_norm: bool | None = None,
        options: Mapping[str, Any] | None = None,
        scaling: Scaling = "standard",
        epochs: int | None = None,
        patience: int = 12,
        batch_size: int = 512,
        learning_rate: float | None = None,
        trim: float = 0.005,
        seconds: float | None = None,
        rows: int | None = None,
        alert_share: float = 0.01,
        threshold_method: ThresholdMethod = "quantile",
        seed: int = 0,
    ) -> None:
        self.family = family
        self.hidden = hidden
        self.code = code
        self.activation = activation
        self.loss = loss
        self.weight_decay = weight_decay
        self.dropout = dropout
        self.batch_norm = batch_norm
        self.options = options
        self.scaling = scaling
        self.epochs = epochs
        self.patience = patience
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.trim = trim
        self.seconds = seconds
        self.rows = rows
        self.alert_share = alert_share
        self.threshold_method = threshold_method
        self.seed = seed

    def fit(self, X: Any, y: Any = None, *, start_from: Autoencoder | None = None) -> Self:  # noqa: N803  (scikit-learn's names)
        """Learn what is normal.

        Args:
            X: [rows, width]: numpy, pandas, polars, Arrow or lists; or `models.row_source.ParquetRows`, which need not
                fit into memory: one pass over them gives the scales, and at most 60,000 are held out.
            y: Ignored; there for pipelines.
            start_from: A fitted autoencoder of the same shape whose weights the training starts from.

        Raises:
            UnreadableInput: When the rows are no finite numbers, or too few.
            ConfigError: When a setting is wrong.
            TrainingFailed: When the loss is not finite or rows are not the loss's.
        """
        del y
        chosen, config, budget = self.settings()
        classes, bounded = int(getattr(config, "classes", 0)), wants_bounds(config)
        if isinstance(X, ParquetRows):
            names: tuple[str, ...] | None = X.columns
            transform, *parts = prepare(X, self.scaling, self.seed, as_they_are=classes, bounded=bounded)
        else:
            numbers, names = read_numbers(X)
            check_rows(numbers, names)
            columns = names or tuple(f"x{at}" for at in range(numbers.shape[1]))
            transform, *parts = prepare_rows(
                numbers,
                columns,
                self.scaling,
                self.seed,
                as_they_are=classes,
                bounded=bounded,
                to_the_full=is_ensemble(config),
            )
        contents, trained = _trained(chosen, config, budget, self, transform, parts, start_from)
        return self.become(contents, trained, names)

    def encode(self, X: Any) -> Rows:  # noqa: N803  (scikit-learn's name)
        """Codes of rows, float32 [rows, code]."""
        return self._graph("encoder")(self._encoded(X))

    transform = encode

    def decode(self, codes: Any) -> Matrix:
        """Rows of codes [rows, code], on the scale of what was fitted, float64 [rows, width].

        Raises:
            UnreadableInput: When the codes have another width.
        """
        graph = self._graph("decoder")
        given, _ = read_numbers(codes)
        if given.shape[1] != self.code_size:
            raise UnreadableInput(
                f"the codes have {given.shape[1]} numbers, and must have {self.code_size}",
                hint="give what `encode` gave",
            )
        return self._decoded(graph(given.astype(np.float32)))

    def reconstruct(self, X: Any) -> Matrix:  # noqa: N803  (scikit-learn's name)
        """Rows as the autoencoder expects them, on the scale of what was fitted, float64 [rows, width]."""
        return self._decoded(self._graph("onnx")(self._encoded(X)))

    def score(self, X: Any, y: Any = None) -> Matrix:  # noqa: N803  (scikit-learn's names)
        """Anomaly score of each row, float64 [rows]; high is anomalous."""
        del y
        return self._scores(X).score

    def p_value(self, X: Any) -> Matrix:  # noqa: N803  (scikit-learn's name)
        """Share of usual rows that score as high, float64 [rows]."""
        return self._scores(X).p_value

    def decision_function(self, X: Any) -> Matrix:  # noqa: N803  (scikit-learn's name)
        """Threshold less score [rows]: negative for outliers, as scikit-learn has it."""
        return self._fitted.threshold - self.score(X)

    def predict(self, X: Any) -> np.ndarray[Any, np.dtype[np.int64]]:  # noqa: N803  (scikit-learn's name)
        """-1 for outliers and 1 for other rows, [rows], as scikit-learn has it."""
        return np.where(self.decision_function(X) < 0, -1, 1).astype(np.int64)

    def generate(self, rows: int, *, seed: int = 0) -> Matrix:
        """Rows that were never there, from codes drawn from the prior, float64 [rows, width].

        Args:
            rows: How many.
            seed: Decides the draws.

        Raises:
            ConfigError: When the family has no prior.
        """
        facts = self._fitted.detector["code"]
        if not facts["has_prior"]:
            raise ConfigError(
                f"the family {self.family} has no prior to draw codes from",
                hint=f"choose one that has: {listed(with_prior())}",
            )
        decoder = self._graph("decoder")
        batches = code_batches(rows, facts["size"], facts["classes"], seed)
        return np.concatenate(
            [np.empty((0, self.n_features_in_)), *(self._decoded(decoder(batch)) for batch in batches)]
        )

    def save(self, folder: str | Path) -> str:
        """Write the bundle, and return its hash.

        Raises:
            BundleError: When the folder exists.
        """
        return write_bundle(Path(folder), self._fitted)

    @classmethod
    def load(cls, folder: str | Path, expected_hash: str | None = None) -> Self:
        """Read what `save` wrote; nothing in it is code.

        Raises:
            BundleError: When it was changed, or is none of an `Autoencoder`.
        """
        bundle = open_bundle(Path(folder), expected_hash)
        settings = dict(bundle.detector["settings"])
        if "scaling" not in settings:
            raise ConfigError(
                f"{folder} is the bundle of a dataset's night", hint="score it with models.scoring.Scorer(folder)"
            )
        settings["hidden"] = None if settings["hidden"] is None else tuple(settings["hidden"])
        return cls(**settings).become(bundle, None, bundle.transform.columns if bundle.detector["named"] else None)

    @property
    def threshold(self) -> float:
        """The score above which a row is an outlier."""
        return self._fitted.threshold

    @property
    def code_size(self) -> int:
        """Numbers of a code."""
        return int(self._fitted.detector["code"]["size"])

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_contents")

    def settings(self) -> tuple[Family, Layered, Budget]:
        """The family, its config and the budget.

        Raises:
            ConfigError: When one of them is wrong.
        """
        chosen = family(self.family)
        shared = ("hidden", "code", "activation", "loss", "weight_decay", "dropout", "batch_norm")
        given = {name: getattr(self, name) for name in shared if getattr(self, name) is not None}
        config = chosen.with_options({**given, **(self.options or {})})
        if self.scaling not in ("standard", "minmax", "none"):
            raise ConfigError(f"scaling is {self.scaling!r}", hint="known: standard, minmax, none")
        for name in ("epochs", "patience", "batch_size", "learning_rate"):
            value = getattr(self, name)
            if not (value is None and name in ("epochs", "learning_rate")) and not value > 0:
                raise ConfigError(f"{name} is {getattr(self, name)!r}, and must be above 0")
        if not 0 <= self.trim < 1:
            raise ConfigError(f"trim is {self.trim!r}, and must be at least 0 and below 1")
        rule_for(self.threshold_method, self.alert_share)
        budget = Budget(
            epochs=self.epochs or chosen.pace.epochs,
            patience=self.patience,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate or chosen.pace.learning_rate,
            least_steps=chosen.pace.least_steps,
            trim=self.trim,
            seconds=np.inf if self.seconds is None else self.seconds,
            rows=self.rows,
            late="stop",
        )
        return chosen, config, budget

    def become(self, contents: BundleContents, trained: Trained | None, names: tuple[str, ...] | None) -> Self:
        """Be fitted: take what a bundle holds, how it was trained where that is known, and the columns' names."""
        self._contents = contents
        self._scorer = Scorer(contents)
        self._weights = None if trained is None else (trained.weights, trained.others)
        self.n_features_in_ = len(contents.transform.columns)
        if names is not None:
            self.feature_names_in_ = np.array(names, dtype=object)
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_
        if trained is not None:
            self.curve_: Curve = trained.curve
        return self

    @property
    def _fitted(self) -> BundleContents:
        check_is_fitted(self)
        return self._contents

    def _start(self, shape: int) -> Weights:
        """Its weights, for another training of the same shape."""
        if self._weights is None:
            from models.warm_start import weights_of

            self._weights = weights_of(self._fitted.keras)
        if len(self._weights[0]) != shape:
            raise ConfigError(
                f"start_from has {len(self._weights[0]):,} weights, and this autoencoder has {shape:,}",
                hint="start from one of the same family, layers and width",
            )
        return self._weights

    def _scores(self, X: Any) -> Scores:  # noqa: N803  (scikit-learn's name)
        frame = self._frame(X)
        return self._scorer.score(frame, top=0)

    def _graph(self, name: str) -> Reconstructor:
        data: bytes = getattr(self._fitted, name)
        graphs: dict[str, tuple[bytes, Reconstructor]] = self.__dict__.setdefault("_graphs", {})
        if name not in graphs or graphs[name][0] is not data:
            graphs[name] = data, Reconstructor(data)
        return graphs[name][1]

    def _frame(self, X: Any) -> pd.DataFrame:  # noqa: N803  (scikit-learn's name)
        columns = self._fitted.transform.columns
        names = tuple(self.feature_names_in_) if hasattr(self, "feature_names_in_") else None
        numbers, found = read_numbers(X, names)
        if numbers.shape[1] != len(columns):
            raise UnreadableInput(
                f"the rows have {numbers.shape[1]} columns, and the autoencoder was fitted on {len(columns)}",
                hint=f"it reads: {listed(columns)}" if found is None and names else None,
            )
        return pd.DataFrame(numbers, columns=list(columns))

    def _encoded(self, X: Any) -> Rows:  # noqa: N803  (scikit-learn's name)
        return self._fitted.transform.apply(self._frame(X))

    def _decoded(self, rows: Rows) -> Matrix:
        return self._fitted.transform.decode(rows).to_numpy(dtype=np.float64)


def _trained(
    chosen: Family,
    config: Layered,
    budget: Budget,
    asked: Autoencoder,
    transform: Transform,
    parts: Sequence[Any],
    start_from: Autoencoder | None,
) -> tuple[BundleContents, Trained]:
    """Train, and make of it what a bundle holds."""
    from models.tensorflow_import import import_tensorflow

    import_tensorflow()
    from models.finish import Known, finish
    from models.workshop import WORKSHOP

    fit, stop, calibrate = parts
    piece = WORKSHOP.workpiece(chosen.name, transform.width, config)
    if asked.epochs is None:
        budget = replace(budget, epochs=chosen.pace.epochs_of(len(fit) + len(stop) + len(calibrate)))
    start = None if start_from is None else start_from._start(len(piece.weights()[0]))  # noqa: SLF001  (of this class)
    trained = train(piece, fit, stop, budget, seed=asked.seed, start=start)
    known = Known(fit, stop, calibrate, lends_all=isinstance(fit, np.ndarray))
    made = finish(piece.network, transform, known, asked.seed)
    return bundle_contents(asked, piece.network, transform, trained, made), trained
