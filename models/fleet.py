"""An autoencoder for each entity (machine, host, customer), all trained together in one program.

    from models.autoencoder import Autoencoder
    from models.fleet import FleetAutoencoder

    fleet = FleetAutoencoder(Autoencoder("dense", hidden=(16,), code=4)).fit(X, machines)
    fleet.score(X, machines)
    fleet.reasons_              # which machines have no model of their own, and why
    fleet.of("machine 7")       # its autoencoder, to look at or to save

Each has its own scaling, early stop and threshold, and is what it would be if it had been trained alone. An entity with
too few rows, or one that was never seen, is scored by a model of all.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, clone
from sklearn.utils.validation import check_is_fitted

from models.autoencoder import Autoencoder, Matrix
from models.autoencoder_bundle import bundle_contents
from models.calibration import p_values, scores_of
from models.judge import Judge
from models.networks import is_ensemble, wants_bounds
from models.numbers_in import read_numbers
from models.plain_rows import check_rows, prepare_rows
from models.row_source import Rows
from models.scoring import Reconstructor
from models.thresholds import by_method
from models.trainer import Trained
from models.transform import Transform
from schemas.errors import ConfigError, SerenoError, TrainingFailed, UnreadableInput

LEAST_ROWS = 200
SHARED_ROWS = 100_000
OPEN = 256

Flags = np.ndarray[Any, np.dtype[np.bool_]]


@dataclass(frozen=True)
class _Member:
    """One entity's own model."""

    transform: Transform
    trained: Trained
    judge: Judge
    calibration: Matrix
    threshold: float


class FleetAutoencoder(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Autoencoders of one shape, one for each entity.

    Args:
        estimator: What each is: family, layers, budgets, seed. It is not fitted itself.
        least_rows: An entity with fewer rows is scored by the model of all.

    Attributes:
        reasons_: Entities without a model of their own, and why.
        curves_: How each entity's training went.
        shared_: The autoencoder of all.
    """

    def __init__(self, estimator: Autoencoder, *, least_rows: int = LEAST_ROWS) -> None:
        self.estimator = estimator
        self.least_rows = least_rows

    def fit(self, X: Any, entities: Sequence[Hashable] | Any) -> Self:  # noqa: N803  (scikit-learn's name)
        """Learn what is normal for each entity, and for all.

        Args:
            X: [rows, width]: numpy, pandas, polars, Arrow or lists.
            entities: Whom each row is about, [rows].

        Raises:
            UnreadableInput: When the rows are no finite numbers, or the entities are not as many.
            ConfigError: When a setting is wrong, or the family has no model axis.
        """
        numbers, names = read_numbers(X)
        check_rows(numbers, names)
        groups = _groups(entities, len(numbers))
        columns = names or tuple(f"x{at}" for at in range(numbers.shape[1]))
        self.columns_ = columns
        self.is_named_ = names is not None
        self.reasons_ = {
            entity: f"{len(at)} rows, and {self.least_rows} are due"
            for entity, at in groups.items()
            if len(at) < self.least_rows
        }
        self._members: dict[Hashable, _Member] = {}
        self._train(numbers, {entity: at for entity, at in groups.items() if entity not in self.reasons_})
        self.curves_ = {entity: member.trained.curve for entity, member in self._members.items()}
        self.shared_ = clone(self.estimator).fit(_some_of(numbers, groups, names, self.estimator.seed))
        self._graphs: dict[Hashable, Reconstructor] = {}
        return self

    def score(self, X: Any, entities: Sequence[Hashable] | Any) -> Matrix:  # noqa: N803  (scikit-learn's name)
        """Anomaly score of each row by its entity's model, float64 [rows]; high is anomalous.

        Scores of two entities are residuals over what is normal for each: compare them by `p_value`.
        """
        score: Matrix = self._each(X, entities)[0]
        return score

    def p_value(self, X: Any, entities: Sequence[Hashable] | Any) -> Matrix:  # noqa: N803  (scikit-learn's name)
        """Share of the entity's usual rows that score as high, float64 [rows]."""
        p_value: Matrix = self._each(X, entities)[1]
        return p_value

    def is_alert(self, X: Any, entities: Sequence[Hashable] | Any) -> Flags:  # noqa: N803  (scikit-learn's name)
        """Whether a row's score is above its entity's threshold, bool [rows]."""
        flags: Flags = self._each(X, entities)[2].astype(bool)
        return flags

    def of(self, entity: Hashable) -> Autoencoder:
        """The autoencoder that scores an entity: its own, or the one of all."""
        check_is_fitted(self, "reasons_")
        member = self._members.get(entity)
        if member is None:
            shared: Autoencoder = self.shared_
            return shared
        from models import keras_archive, onnx_export
        from models.finish import Finished

        piece = self._piece()
        piece.load(member.trained.weights, member.trained.others)
        rows = member.transform.apply(member.transform.examples(OPEN))
        graphs = onnx_export.export_network(piece.network, rows)
        keras = keras_archive.archive(piece.network.model)
        finished = Finished(*graphs, keras, member.judge, member.calibration, Reconstructor(graphs[0]))
        contents = bundle_contents(self.estimator, piece.network, member.transform, member.trained, finished)
        made: Autoencoder = clone(self.estimator).become(
            contents, member.trained, self.columns_ if self.is_named_ else None
        )
        return made

    def _piece(self) -> Any:
        from models.tensorflow_import import import_tensorflow

        import_tensorflow()
        from models.workshop import WORKSHOP

        chosen, config, _ = self.estimator.settings()
        return WORKSHOP.workpiece(chosen.name, len(self.columns_), config)

    def _train(self, numbers: Matrix, groups: dict[Hashable, Any]) -> None:
        """Train all that have rows enough, and keep what scores."""
        from models.model_axis import Job, train_many

        if not groups:
            return
        piece = self._piece()
        if piece.network.pretraining:
            raise ConfigError(
                f"the family {self.estimator.family} is trained part by part and has no model axis",
                hint="choose another: dense, denoising, sparse or variational",
            )
        _, config, budget = self.estimator.settings()
        seed = self.estimator.seed
        classes = int(getattr(config, "classes", 0))
        encoded: dict[Hashable, tuple[Transform, list[Rows]]] = {}
        for entity, at in groups.items():
            try:
                check_rows(numbers[at], self.columns_ if self.is_named_ else None)
            except UnreadableInput as refused:
                self.reasons_[entity] = refused.message
                continue
            scaling = self.estimator.scaling
            transform, *parts = prepare_rows(
                numbers[at],
                self.columns_,
                scaling,
                seed,
                as_they_are=classes,
                bounded=wants_bounds(config),
                to_the_full=is_ensemble(config),
            )
            encoded[entity] = transform, parts
        jobs = [Job(parts[0], parts[1], seed) for _, parts in encoded.values()]
        results = train_many(piece, jobs, budget) if jobs else []
        self._template = _template(piece)
        for (entity, (transform, parts)), result in zip(encoded.items(), results, strict=True):
            if isinstance(result, TrainingFailed):
                self.reasons_[entity] = result.message
            else:
                self._members[entity] = self._finished(transform, parts, result)

    def _finished(self, transform: Transform, parts: list[Rows], trained: Trained) -> _Member:
        """What a training gave, and what is normal for it."""
        reconstruct = self._opened(trained)
        from models.finish import Known, judged

        piece = self._piece()
        if piece.network.members is not None:
            piece.load(trained.weights, trained.others)
        fit, stop, calibrate = parts
        known = Known(fit, stop, calibrate, lends_all=True)
        judge, calibration = judged(reconstruct, piece.network, transform, known, self.estimator.seed)
        threshold = by_method(self.estimator.threshold_method, calibration, self.estimator.alert_share)
        return _Member(transform, trained, judge, calibration, threshold)

    def _opened(self, trained: Trained) -> Reconstructor:
        if self._template is not None:
            return Reconstructor(self._template.graph(trained.weights))
        from models import onnx_export

        piece = self._piece()
        piece.load(trained.weights, trained.others)
        rows = np.random.default_rng(0).standard_normal((OPEN, piece.width)).astype(np.float32)
        return Reconstructor(onnx_export.export(piece.network.model, rows))

    def _each(self, X: Any, entities: Any) -> Matrix:  # noqa: N803  (scikit-learn's name)
        """Score, p-value and alert of each row, float64 [3, rows]."""
        check_is_fitted(self, "reasons_")
        numbers, _ = read_numbers(X, self.columns_ if self.is_named_ else None)
        if numbers.shape[1] != len(self.columns_):
            raise UnreadableInput(
                f"the rows have {numbers.shape[1]} columns, and the fleet was fitted on {len(self.columns_)}"
            )
        found = np.zeros((3, len(numbers)))
        shared: list[Any] = []
        for entity, at in _groups(entities, len(numbers)).items():
            if entity in self._members:
                found[:, at] = self._by_member(entity, numbers[at])
            else:
                shared.append(at)
        if shared:
            at = np.concatenate(shared)
            frame = pd.DataFrame(numbers[at], columns=list(self.columns_))
            score = self.shared_.score(frame)
            found[:, at] = score, self.shared_.p_value(frame), score > self.shared_.threshold
        return found

    def _by_member(self, entity: Hashable, numbers: Matrix) -> Matrix:
        member = self._members[entity]
        if entity not in self._graphs:
            if len(self._graphs) >= OPEN:
                self._graphs.pop(next(iter(self._graphs)))
            self._graphs[entity] = self._opened(member.trained)
        rows = member.transform.apply(pd.DataFrame(numbers, columns=list(self.columns_)))
        score = scores_of(member.judge.parts(rows, self._graphs[entity](rows)))
        return np.stack([score, p_values(score, member.calibration), score > member.threshold])


def _template(piece: Any) -> Any:
    """The graph whose numbers are exchanged, or None where it has to be exported for each."""
    from models.graph_template import GraphTemplate

    try:
        return GraphTemplate(piece)
    except (ValueError, SerenoError):
        return None


def _groups(entities: Any, rows: int) -> dict[Hashable, np.ndarray[Any, np.dtype[np.intp]]]:
    """Each entity's rows, in the order in which they come first."""
    labels = pd.Series(list(entities), dtype=object)
    if len(labels) != rows:
        raise UnreadableInput(f"{len(labels)} entities are given for {rows} rows", hint="name an entity for each row")
    if labels.isna().any():
        at = int(np.flatnonzero(labels.isna())[0])
        raise UnreadableInput(f"row {at + 1} has no entity", hint="give it one, or leave the row out")
    return dict(_positions(labels))


def _positions(labels: pd.Series[Any]) -> Iterator[tuple[Hashable, np.ndarray[Any, np.dtype[np.intp]]]]:
    codes, names = pd.factorize(labels)
    order = np.argsort(codes, kind="stable")
    ends = np.cumsum(np.bincount(codes, minlength=len(names)))
    yield from zip(names, np.split(order, ends[:-1]), strict=True)


def _some_of(numbers: Matrix, groups: dict[Hashable, Any], names: tuple[str, ...] | None, seed: int) -> Any:
    """Rows of all entities, as many of each as there is room for."""
    draws = np.random.default_rng(seed)
    most = max(1, SHARED_ROWS // len(groups))
    at = np.concatenate([at if len(at) <= most else draws.choice(at, most, replace=False) for at in groups.values()])
    rows = numbers[np.sort(at)]
    return rows if names is None else pd.DataFrame(rows, columns=list(names))
