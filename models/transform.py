"""The feature transform: a frame of raw columns to one float32 matrix, fitted once and frozen as JSON.

Fitted on the window's sample, stored in the bundle, and the same code for training and scoring. Numpy and pandas only.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from models.category_encoders import BooleanEncoder, HashEncoder, OneHotEncoder, fit_boolean, fit_category
from models.encoders import Encoder, Matrix, Texts
from models.numeric_encoder import NumericEncoder, fit_numeric
from models.plain_encoder import BoundedPlainEncoder, PlainEncoder
from models.time_encoder import CyclicEncoder, fit_cyclic
from schemas.errors import BundleError, TrainingFailed, UnreadableInput, listed
from schemas.features import ColumnType, Feature, FeatureKind

ENCODERS: dict[str, Any] = {
    kind.name: kind
    for kind in (
        NumericEncoder,
        OneHotEncoder,
        HashEncoder,
        BooleanEncoder,
        CyclicEncoder,
        PlainEncoder,
        BoundedPlainEncoder,
    )
}


@dataclass(frozen=True)
class Transform:
    """One encoder a feature, in order.

    Args:
        encoders: The fitted encoders.
    """

    encoders: tuple[Encoder, ...]

    @cached_property
    def groups(self) -> dict[str, slice]:
        """Each column's place in the matrix."""
        ends = np.cumsum([len(encoder.weights) for encoder in self.encoders]).tolist()
        starts = [0, *ends[:-1]]
        return {e.column: slice(a, b) for e, a, b in zip(self.encoders, starts, ends, strict=True)}

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns it reads."""
        return tuple(encoder.column for encoder in self.encoders)

    @cached_property
    def width(self) -> int:
        """Columns of the matrix."""
        return sum(len(encoder.weights) for encoder in self.encoders)

    @cached_property
    def weights(self) -> Matrix:
        """How much each number counts within its column, float64 [width]."""
        return np.array([weight for encoder in self.encoders for weight in encoder.weights], dtype=np.float64)

    @cached_property
    def neutral(self) -> np.ndarray[Any, np.dtype[np.float32]]:
        """What says nothing of a column, float32 [width]: a number's mean, no category, as true as the sample was."""
        values = np.zeros(self.width, dtype=np.float32)
        for encoder in self.encoders:
            if isinstance(encoder, BooleanEncoder):
                values[self.groups[encoder.column].start] = encoder.fill
        return values

    def apply(self, frame: pd.DataFrame) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Encode rows; a row's numbers never depend on other rows.

        Args:
            frame: Any frame that has the columns; order and further columns do not matter.

        Returns:
            float32 [rows, width], finite.

        Raises:
            UnreadableInput: When columns are missing.
        """
        missing = [column for column in self.columns if column not in frame.columns]
        if missing:
            raise UnreadableInput(
                f"the detector reads {len(self.columns)} columns, and these are missing: {listed(missing)}",
                hint="score rows that met the dataset's contract, or train a new detector on the columns that are left",
            )
        matrix = np.empty((len(frame), self.width), dtype=np.float32)
        for encoder in self.encoders:
            matrix[:, self.groups[encoder.column]] = encoder.encode(frame[encoder.column])
        return matrix

    def decode(self, matrix: np.ndarray[Any, Any], near: pd.DataFrame | None = None) -> pd.DataFrame:
        """Raw values of encoded or reconstructed rows, each column with its own type.

        Args:
            matrix: Floats [rows, width].
            near: The rows themselves, where there are some: they decide what the numbers leave open, such as the date
                of a time of day, or which of a bucket's values it was.

        Returns:
            A frame [rows, columns], numbered from 0.
        """
        of_rows = {e.column: None if near is None else near[e.column] for e in self.encoders}
        return pd.DataFrame({e.column: e.decode(self._own(e.column, matrix), of_rows[e.column]) for e in self.encoders})

    def expected_text(self, column: str, reconstructed: np.ndarray[Any, Any]) -> Texts:
        """What the detector expected of a column, as text [rows], from reconstructions [rows, width]."""
        return self._encoder(column).expected(self._own(column, reconstructed))

    def actual_text(self, column: str, frame: pd.DataFrame) -> Texts:
        """What a column's value was, as text [rows]."""
        return self._encoder(column).actual(frame[column])

    def examples(self, rows: int, seed: int = 0) -> pd.DataFrame:
        """Made-up rows within what the sample had, column by column; for checks that need rows but no data."""
        draws = np.random.default_rng(seed).random((len(self.encoders), rows))
        return pd.DataFrame({e.column: e.example(at) for e, at in zip(self.encoders, draws, strict=True)})

    def to_json(self) -> list[dict[str, Any]]:
        """Plain JSON values."""
        return [{"encoder": encoder.name, **asdict(encoder)} for encoder in self.encoders]

    @classmethod
    def from_json(cls, values: Any) -> Transform:
        """Build from `to_json`'s values.

        Raises:
            BundleError: When an encoder or a field of it is not known.
        """
        try:
            return cls(tuple(_encoder_from_json(dict(value)) for value in values))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise BundleError(
                f"transform.json does not describe a transform that this version knows: {error}",
                hint="use the version of Sereno that made the bundle, or train again",
            ) from None

    def _own(self, column: str, matrix: np.ndarray[Any, Any]) -> Matrix:
        """A column's numbers of a matrix [rows, width], float64."""
        return np.asarray(matrix[:, self.groups[column]], dtype=np.float64)

    def _encoder(self, column: str) -> Encoder:
        return self.encoders[list(self.groups).index(column)]


def _encoder_from_json(value: dict[str, Any]) -> Encoder:
    kind = ENCODERS[value.pop("encoder")]
    names = {field.name for field in fields(kind)}
    if set(value) != names:
        raise ValueError(f"fields {listed(sorted(set(value) ^ names))}")
    plain = {name: tuple(item) if isinstance(item, list) else item for name, item in value.items()}
    encoder: Encoder = kind(**plain)
    return encoder


def fit_transform(
    sample: pd.DataFrame,
    features: Sequence[Feature],
    *,
    nullable: Collection[str] = (),
    timezone: str = "UTC",
) -> Transform:
    """Fit one encoder a feature on the sample.

    Args:
        sample: Rows of the window, with the features' columns.
        features: What to read.
        nullable: Columns that may be missing even where the sample has no missing value.
        timezone: Zone whose clock counts for times.

    Raises:
        TrainingFailed: When there is no feature, or the sample lacks a column.
    """
    wanted = [feature for feature in features if feature.kind is not FeatureKind.NONE]
    if not wanted:
        raise TrainingFailed("the dataset has no feature", hint="let at least one column enter: `feature: auto`")
    missing = [feature.column for feature in wanted if feature.column not in sample.columns]
    if missing:
        raise TrainingFailed(f"the sample lacks columns that the detector reads: {listed(missing)}")
    return Transform(tuple(_fit(f, sample[f.column], f.column in nullable, timezone) for f in wanted))


def _fit(feature: Feature, values: pd.Series[Any], indicator: bool, timezone: str) -> Encoder:
    if feature.type is ColumnType.BOOLEAN:
        return fit_boolean(feature, values, indicator=indicator)
    if feature.type is ColumnType.TIME:
        return fit_cyclic(feature, values, indicator=indicator, timezone=timezone)
    is_category = feature.type in (ColumnType.CATEGORY, ColumnType.TEXT)
    if is_category or feature.kind in (FeatureKind.ONE_HOT, FeatureKind.HASH):
        return fit_category(feature, values, indicator=indicator)
    return fit_numeric(feature, values, indicator=indicator)
