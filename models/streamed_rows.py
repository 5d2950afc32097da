"""Rows larger than memory, scaled as they come, with a bounded part held out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from models.numeric_encoder import soft_bound
from models.plain_encoder import BOUND, BoundedPlainEncoder, PlainEncoder, Scaling, plain_encoder
from models.plain_rows import FIT, LEAST_ROWS, STOP
from models.row_source import Chunk, ParquetRows, Rows, RowSource
from models.transform import Transform
from schemas.errors import UnreadableInput

HELD_OUT = 60_000  # rows at most; they lie in memory

Matrix = np.ndarray[Any, np.dtype[np.float64]]
Positions = np.ndarray[Any, np.dtype[np.int64]]


class StreamedRows:
    """Rows of a source, scaled, without those that are held out.

    Args:
        source: Raw rows.
        encoders: One a column.
        held_out: Positions that no step sees, sorted.
    """

    def __init__(self, source: RowSource, encoders: tuple[PlainEncoder, ...], held_out: Positions) -> None:
        self._source = source
        self._center = np.array([each.center for each in encoders])
        self._scale = np.array([each.scale for each in encoders])
        self._is_bounded = np.array([isinstance(each, BoundedPlainEncoder) for each in encoders])
        self._is_held_out = np.zeros(len(source), dtype=bool)
        self._is_held_out[held_out] = True

    @property
    def width(self) -> int:
        """Numbers of a row."""
        return self._source.width

    def __len__(self) -> int:
        return len(self._source)

    def epoch(self, order: np.random.Generator) -> Iterator[Chunk]:
        """Chunks of scaled rows, the order without those that are held out."""
        for chunk in self._source.epoch(order):
            kept = chunk.order[~self._is_held_out[chunk.at][chunk.order]]
            yield Chunk(self.scaled(chunk.rows), kept, chunk.at)

    def in_place(self) -> Iterator[Rows]:
        """All rows, scaled, also those that are held out."""
        for rows in self._source.in_place():
            yield self.scaled(rows)

    def scaled(self, rows: Any) -> Rows:
        """Rows as the network sees them, float32 [rows, width]."""
        scaled: Matrix = np.clip((rows - self._center) / self._scale, -BOUND, BOUND)
        if self._is_bounded.any():
            scaled = np.where(self._is_bounded, soft_bound(scaled), scaled)
        found: Rows = scaled.astype(np.float32)
        return found


def prepare(
    source: ParquetRows, scaling: Scaling, seed: int, *, as_they_are: int, bounded: bool = False
) -> tuple[Transform, StreamedRows, Rows, Rows]:
    """Read all rows once: their scales, and the rows that stop the training and calibrate.

    Args:
        source: Raw rows.
        scaling: See `fit_plain`.
        seed: Decides which rows are held out.
        as_they_are: How many columns at the end are not scaled.
        bounded: Whether the others are softly bounded.

    Returns:
        The transform, the rows to learn from, early-stop rows and calibration rows, the last two scaled.

    Raises:
        UnreadableInput: When there are too few rows.
        TrainingFailed: When values are missing or infinite.
    """
    count = len(source)
    if count < LEAST_ROWS:
        raise UnreadableInput(f"{count} rows are too few: an autoencoder needs at least {LEAST_ROWS}")
    most = min(HELD_OUT, int(count * (1 - FIT)))
    held_out = np.sort(np.random.default_rng(seed).choice(count, most, replace=False))
    moments, rows = _read_once(source, held_out)
    encoders = tuple(
        plain_encoder(column, values, scaling, bounded=bounded)
        if at < source.width - as_they_are
        else plain_encoder(column, values, "none")
        for at, (column, values) in enumerate(zip(source.columns, moments, strict=True))
    )
    streamed = StreamedRows(source, encoders, held_out)
    mixed = streamed.scaled(rows[np.random.default_rng(seed).permutation(len(rows))])
    first = int(len(mixed) * (STOP - FIT) / (1 - FIT))
    return Transform(encoders), streamed, mixed[:first], mixed[first:]


def _read_once(source: ParquetRows, held_out: Positions) -> tuple[list[dict[str, float]], Rows]:
    """Mean, deviation, ends and middle of each column, and the rows that are held out."""
    total = np.zeros(source.width)
    squares = np.zeros(source.width)
    low, high = np.full(source.width, np.inf), np.full(source.width, -np.inf)
    kept: list[Rows] = []
    start = 0
    shift: Matrix | None = None
    for rows in source.in_place():
        numbers = rows.astype(np.float64)
        # Less a first guess of the mean: squares of large numbers would swallow the deviation.
        shift = numbers.mean(axis=0) if shift is None else shift
        total += (numbers - shift).sum(axis=0)
        squares += np.square(numbers - shift).sum(axis=0)
        low, high = np.minimum(low, numbers.min(axis=0)), np.maximum(high, numbers.max(axis=0))
        first, last = np.searchsorted(held_out, [start, start + len(rows)])
        kept.append(rows[held_out[first:last] - start])
        start += len(rows)
    held = np.concatenate(kept)
    mean = total / start
    deviation = np.sqrt(np.maximum(squares / start - mean * mean, 0.0))
    middle = np.median(held, axis=0)
    columns = zip(mean + (0.0 if shift is None else shift), deviation, low, high, middle, strict=True)
    names = ("mean", "deviation", "low", "high", "median")
    return [dict(zip(names, map(float, column), strict=True)) for column in columns], held
