"""What the columns of sampled files hold: type, missing and distinct values, numbers, times."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date as Date
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.dataset import Column, Source
from schemas.features import ColumnType
from tasks.coerce import coerce_column, native_text
from tasks.sample import SampledFile
from tasks.time_forms import find_time_form
from tasks.words import Words, find_words

TOLERATED = 0.01
LONG = 200
MANY = 1_000
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ColumnFacts:
    """One column over all rows that were looked at.

    Args:
        source_name: Its name in the files.
        type: What its values are.
        format: Form of times.
        rows: Rows looked at.
        missing: Rows without a value.
        unreadable: Rows whose value does not read as the type, and some of them.
        counts: Distinct texts and their counts, most frequent first; bounded for numbers and free text.
        distinct: Number of distinct values.
        numbers: Values of numeric columns, NaN where missing; times as seconds since 1970 `[rows]`.
        codes: A number for each distinct text, -1 where missing `[rows]`.
        is_ambiguous: Whether day and month of its times could be the other way round.
    """

    source_name: str
    type: ColumnType
    format: str | None
    rows: int
    missing: int
    unreadable: tuple[int, tuple[str, ...]]
    counts: tuple[tuple[str, int], ...]
    distinct: int
    numbers: Floats | None
    codes: npt.NDArray[np.int32]
    is_ambiguous: bool = False

    @property
    def present(self) -> int:
        """Rows with a readable value."""
        return self.rows - self.missing - self.unreadable[0]

    @cached_property
    def finite(self) -> Floats:
        """Finite numbers only."""
        return np.array([]) if self.numbers is None else self.numbers[np.isfinite(self.numbers)]

    @property
    def is_numeric(self) -> bool:
        """Whether it is an integer or a number."""
        return self.type in (ColumnType.INTEGER, ColumnType.NUMBER)


@dataclass(frozen=True)
class Profile:
    """All that `init` knows about a set of files.

    Args:
        files: The sampled files.
        words: How values are spelt.
        columns: Facts by the column's name in the files, in their order.
        file_of: Number of the file of each row `[rows]`.
    """

    files: tuple[SampledFile, ...]
    words: Words
    columns: Mapping[str, ColumnFacts]
    file_of: npt.NDArray[np.int32]

    @property
    def rows(self) -> int:
        """Rows looked at."""
        return len(self.file_of)

    @property
    def nights(self) -> tuple[Date, ...]:
        """Dates in the names of the files."""
        return tuple(dict.fromkeys(file.night for file in self.files if file.night is not None))


def profile(files: Sequence[SampledFile]) -> Profile:
    """Look at each column of the sampled files."""
    names = list(dict.fromkeys(name for file in files for name in file.table.column_names))
    pooled = {name: _pooled(files, name) for name in names}
    texts = {name: _text(column) for name, column in pooled.items()}
    counted = {name: _counted(text) for name, text in texts.items()}
    strings = [counted[name] for name, column in pooled.items() if pa.types.is_string(column.type)]
    words = find_words(strings, files[0].form.delimiter)
    file_of = np.repeat(np.arange(len(files), dtype=np.int32), [file.table.num_rows for file in files])
    columns = {name: _facts(name, pooled[name], texts[name], counted[name], words) for name in names}
    return Profile(tuple(files), words, columns, file_of)


def _pooled(files: Sequence[SampledFile], name: str) -> pa.Array:
    pieces = [
        file.table.column(name)
        if name in file.table.column_names
        else pa.chunked_array([pa.nulls(file.table.num_rows)])
        for file in files
    ]
    kinds = {piece.type for piece in pieces if not pa.types.is_null(piece.type)}
    kind = kinds.pop() if len(kinds) == 1 else pa.string()
    arrays = [
        (_text_of(piece) if piece.type != kind and pa.types.is_string(kind) else piece.cast(kind)) for piece in pieces
    ]
    flat = pa.chunked_array([chunk for array in arrays for chunk in _chunks(array)], kind).combine_chunks()
    return flat if isinstance(flat, pa.Array) else flat.chunk(0)


def _chunks(array: pa.Array | pa.ChunkedArray) -> list[pa.Array]:
    return list(array.chunks) if isinstance(array, pa.ChunkedArray) else [array]


def _text_of(column: pa.ChunkedArray) -> pa.Array:
    return (
        pa.concat_arrays([_text(chunk) for chunk in column.chunks]) if column.num_chunks else pa.array([], pa.string())
    )


def _text(column: pa.Array) -> pa.Array:
    if pa.types.is_null(column.type):
        return pa.nulls(len(column), pa.string())
    text = column if pa.types.is_string(column.type) else native_text(column)
    return pc.utf8_trim_whitespace(text)


def _counted(text: pa.Array) -> dict[str, int]:
    found = pc.value_counts(text)
    pairs = zip(found.field(0).to_pylist(), found.field(1).to_pylist(), strict=True)
    return {value: count for value, count in sorted(pairs, key=lambda p: -p[1]) if value is not None}


def source_words(words: Words) -> Source:
    """A source that reads values by these words."""
    return Source.model_validate(
        {
            "path": "x",
            "null_values": words.null_values,
            "true_values": words.true_values,
            "false_values": words.false_values,
            "decimal": words.decimal,
            "thousands": words.thousands,
        }
    )


def _facts(name: str, column: pa.Array, text: pa.Array, counts: dict[str, int], words: Words) -> ColumnFacts:
    nulls = {word.strip() for word in words.null_values}
    present = {value: count for value, count in counts.items() if value not in nulls}
    kind, form, ambiguous = _type(name, column.type, present, words)
    source = source_words(words)
    coerced = coerce_column(column, Column(type=kind, format=form), source, "UTC")
    failed = np.zeros(len(column), dtype=bool)
    for _, mask in coerced.failures:
        failed |= mask
    odd = tuple(dict.fromkeys(text.filter(pa.array(failed)).to_pylist()))[:3] if failed.any() else ()
    encoded = pc.if_else(pc.is_in(text, pa.array(sorted(nulls), pa.string())), None, text).dictionary_encode()
    codes = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False).astype(np.int32)
    return ColumnFacts(
        source_name=name,
        type=kind,
        format=form,
        rows=len(column),
        missing=coerced.values.null_count - int(failed.sum()),
        unreadable=(int(failed.sum()), odd),
        counts=tuple(list(present.items())[:MANY]),
        distinct=len(present),
        numbers=_numbers(coerced.values, kind),
        codes=codes,
        is_ambiguous=ambiguous,
    )


def _numbers(values: pa.Array, kind: ColumnType) -> Floats | None:
    if kind is ColumnType.TIME:
        values = pc.divide(pc.cast(pc.cast(values, pa.int64()), pa.float64(), safe=False), 1e6)
    elif kind not in (ColumnType.INTEGER, ColumnType.NUMBER):
        return None
    numbers: Floats = pc.cast(values, pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return numbers


def _type(name: str, native: pa.DataType, present: dict[str, int], words: Words) -> tuple[ColumnType, str | None, bool]:
    """The type of a column, the form of its times, and whether that form is ambiguous."""
    own = _native_type(native)
    if own is not None or not present:
        return own or ColumnType.TEXT, None, False
    time = find_time_form(name, list(present), words.null_values)
    if time is not None:
        return ColumnType.TIME, *time
    return ColumnType.INTEGER if pa.types.is_integer(native) else _plain_type(present, words), None, False


def _native_type(native: pa.DataType) -> ColumnType | None:
    """What a Parquet column's own type says by itself."""
    if pa.types.is_timestamp(native) or pa.types.is_date(native):
        return ColumnType.TIME
    if pa.types.is_boolean(native):
        return ColumnType.BOOLEAN
    return ColumnType.NUMBER if pa.types.is_floating(native) or pa.types.is_decimal(native) else None


def _plain_type(present: dict[str, int], words: Words) -> ColumnType:
    values = list(present)
    if {*values} <= {*words.true_values, *words.false_values} and not all(v in "01" for v in values):
        return ColumnType.BOOLEAN
    source = source_words(words)
    weights = np.array(list(present.values()), dtype=float)
    array = pa.array(values, pa.string())
    if not any(re.fullmatch(r"[+-]?0\d+", value) for value in values[:MANY]):
        for kind in (ColumnType.INTEGER, ColumnType.NUMBER):
            if _unread(array, weights, kind, source) <= TOLERATED:
                return _whole(kind, values)
    is_free = sum(len(v) * c for v, c in present.items()) / weights.sum() > 40 and len(values) > 0.2 * weights.sum()
    is_many = len(values) > max(MANY, 0.5 * weights.sum()) or (len(values) > 50 and len(values) > 0.9 * weights.sum())
    return ColumnType.TEXT if is_free or is_many or max(map(len, values)) > LONG else ColumnType.CATEGORY


def _whole(kind: ColumnType, values: list[str]) -> ColumnType:
    """Whole numbers that are written with a fraction (`32.0`) are measured, not counted."""
    if kind is ColumnType.INTEGER and any("." in value or "e" in value.lower() for value in values):
        return ColumnType.NUMBER
    return kind


def _unread(array: pa.Array, weights: Floats, kind: ColumnType, source: Source) -> float:
    failed = np.zeros(len(array), dtype=bool)
    for _, mask in coerce_column(array, Column(type=kind), source, "UTC").failures:
        failed |= mask
    return float(weights[failed].sum() / weights.sum())
