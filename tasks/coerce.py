"""Staged columns, read loosely: text or native Arrow in, typed Arrow out, with a mask for each way to fail.

A value is never dropped and never raises: where it cannot be read it becomes null in the typed column and its row is
marked with a rule, so that the quarantine can show what stood there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.features import ColumnType
from schemas.tables import arrow_type
from tasks.coerce_times import read_times

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from schemas.dataset import Column, Dataset, Source

    Mask = NDArray[np.bool_]

NOT_A_NUMBER = "type: not a number"
NOT_AN_INTEGER = "type: not an integer"
BEYOND_64_BITS = "type: beyond 64 bits"
NOT_A_BOOLEAN = "type: not true or false"
NOT_A_TIME = "type: not a time"
NOT_TEXT = "type: not text"

NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
NOT_FINITE = r"(?i)^[+-]?(inf|infinity|nan)$"
WHOLE = r"^[+-]?\d+(\.0*)?$"
# Spaces that are written between groups of digits: plain, no-break, narrow no-break, thin.
GROUP_SPACES = "[ \u00a0\u202f\u2009]"
LARGEST_EXACT = float(2**53)


@dataclass(frozen=True)
class Coerced:
    """One typed column.

    Args:
        values: Array of `arrow_type(column.type)`; null where the value is missing or could not be read.
        failures: (rule, mask of the rows that failed it); the masks do not overlap.
    """

    values: pa.Array
    failures: tuple[tuple[str, Mask], ...] = ()


def coerce_table(table: pa.Table, dataset: Dataset) -> tuple[pa.Table, tuple[tuple[str, str, Mask], ...]]:
    """Read the contract's columns of a staged part.

    Args:
        table: A staged part; a column of the contract that it lacks is missing in every row.
        dataset: The contract.

    Returns:
        The typed columns in the contract's order, and (column, rule, mask) for all that could not be read.
    """
    arrays, failures = [], []
    for name, column in dataset.columns.items():
        staged = table.column(name) if name in table.column_names else pa.nulls(table.num_rows)
        coerced = coerce_column(staged, column, dataset.source, dataset.timezone)
        arrays.append(coerced.values)
        failures += [(name, rule, mask) for rule, mask in coerced.failures]
    return pa.table(arrays, names=list(dataset.columns)), tuple(failures)


def coerce_column(staged: pa.Array | pa.ChunkedArray, column: Column, source: Source, timezone: str) -> Coerced:
    """Read one column as its type in the contract.

    Args:
        staged: Text, or any native Arrow type; `[rows]`.
        column: Its entry in the contract.
        source: Words for missing, true and false, decimal mark, thousands mark.
        timezone: IANA zone in which a time without one is read.
    """
    flat = _flat(staged)
    if pa.types.is_null(flat.type):
        return Coerced(pa.nulls(len(flat), arrow_type(column.type)))
    if not pa.types.is_string(flat.type):
        flat = _without_sentinels(flat, source.null_values)
    match column.type:
        case ColumnType.INTEGER:
            return _integers(flat, source)
        case ColumnType.NUMBER:
            return _numbers(flat, source)
        case ColumnType.BOOLEAN:
            return _booleans(flat, source)
        case ColumnType.TIME:
            values, failed = read_times(flat, column.format, timezone, source.null_values)
            return _coerced(values, NOT_A_TIME, failed)
        case _:
            return _texts(flat, source)


def _flat(staged: pa.Array | pa.ChunkedArray) -> pa.Array:
    """One array without dictionary, view or large offsets."""
    flat = staged.combine_chunks() if isinstance(staged, pa.ChunkedArray) else staged
    if isinstance(flat, pa.ChunkedArray):
        flat = flat.chunk(0) if flat.num_chunks else pa.nulls(0, flat.type)
    if pa.types.is_dictionary(flat.type):
        flat = flat.dictionary_decode()
    if pa.types.is_large_string(flat.type) or pa.types.is_string_view(flat.type):
        flat = flat.cast(pa.string())
    return flat


def _without_sentinels(values: pa.Array, tokens: Sequence[str]) -> pa.Array:
    """Native numbers that the dataset file lists as missing, such as -999, become null."""
    if not (pa.types.is_integer(values.type) or pa.types.is_floating(values.type)):
        return values
    numbers = {float(token) for token in tokens if re.fullmatch(NUMBER[1:-1], token)}
    for number in sorted(numbers):
        values = pc.if_else(pc.equal(pc.cast(values, pa.float64(), safe=False), number), None, values)
    return values


def without_nulls_words(text: pa.Array, tokens: Sequence[str]) -> pa.Array:
    """Text with blanks around it cut off, and null where it is a word for missing."""
    trimmed = pc.utf8_trim_whitespace(text)
    words = pa.array(sorted({token.strip() for token in tokens}), pa.string())
    return pc.if_else(pc.is_in(trimmed, words), None, trimmed)


def _coerced(values: pa.Array, rule: str, failed: Mask) -> Coerced:
    return Coerced(values, ((rule, failed),) if failed.any() else ())


def _mask(array: pa.Array) -> Mask:
    mask: Mask = np.asarray(pc.fill_null(array, False).to_numpy(zero_copy_only=False), dtype=bool)
    return mask


def _failed(before: pa.Array, after: pa.Array) -> Mask:
    """Rows that held something which the typed column does not."""
    return _mask(pc.and_(before.is_valid(), after.is_null()))


def _numbers(flat: pa.Array, source: Source) -> Coerced:
    text = flat
    if pa.types.is_integer(flat.type) or pa.types.is_floating(flat.type) or pa.types.is_decimal(flat.type):
        return Coerced(_nan_is_missing(pc.cast(flat, pa.float64(), safe=False)))
    if not pa.types.is_string(flat.type):
        text = native_text(flat)
    quick = _quick_cast(text, pa.float64(), source)
    if quick is not None and not pc.any(pc.is_nan(quick)).as_py():
        return Coerced(_no_negative_zero(quick))
    plain = _plain_digits(text, source)
    words = pc.match_substring_regex(plain, NOT_FINITE)
    readable = pc.or_(pc.match_substring_regex(plain, NUMBER), words)
    values = pc.cast(pc.if_else(readable, plain, None), pa.float64())
    failed = _mask(pc.and_(plain.is_valid(), pc.invert(pc.fill_null(readable, False))))
    return _coerced(_nan_is_missing(values), NOT_A_NUMBER, failed)


def _nan_is_missing(values: pa.Array) -> pa.Array:
    return _no_negative_zero(pc.if_else(pc.is_nan(values), None, values))


def _no_negative_zero(values: pa.Array) -> pa.Array:
    """-0.0 and 0.0 are one number, and must be one key."""
    return pc.add(values, 0.0)


def _quick_cast(text: pa.Array, to: pa.DataType, source: Source) -> pa.Array | None:
    """All values at once where none needs a closer look; None where one does."""
    if source.thousands is not None or source.decimal != ".":
        return None
    words = pa.array(sorted(set(source.null_values)), pa.string())
    present = pc.if_else(pc.is_in(text, words), None, text)
    try:
        values = pc.cast(present, to)
    except pa.ArrowInvalid:
        return None
    # Arrow reads 0x1F as an integer; whether it is one must not hang on its neighbours.
    if pa.types.is_integer(to) and _has_letter(text, "x"):
        return None
    return values


def _has_letter(text: pa.Array, letter: str) -> bool:
    """Whether a letter, small or large, may stand in some value: one look at all bytes is the quickest search."""
    data = text.buffers()[2]
    return data is not None and bool((np.frombuffer(data, np.uint8) | 0x20 == ord(letter)).any())


def _plain_digits(text: pa.Array, source: Source) -> pa.Array:
    """Numbers as a program writes them: no group marks, a point as decimal mark, no blanks; what is no number stays."""
    plain = without_nulls_words(text, source.null_values)
    plain = pc.if_else(pc.equal(plain, ""), None, plain)
    decimal = re.escape(source.decimal)
    if source.thousands is not None:
        group = GROUP_SPACES if source.thousands == " " else re.escape(source.thousands)
        grouped = pc.match_substring_regex(plain, rf"^[+-]?\d{{1,3}}({group}\d{{3}})+({decimal}\d*)?([eE][+-]?\d+)?$")
        plain = pc.if_else(grouped, pc.replace_substring_regex(plain, group, ""), plain)
    if source.decimal != ".":
        # A point that is no decimal mark here must not become one.
        pointed = pc.match_substring(plain, ".")
        plain = pc.if_else(pointed, pc.binary_join_element_wise(plain, "?", ""), pc.replace_substring(plain, ",", "."))
    return plain


def _integers(flat: pa.Array, source: Source) -> Coerced:
    if pa.types.is_integer(flat.type):
        return _from_whole_numbers(flat)
    if pa.types.is_floating(flat.type):
        return _from_floats(_nan_is_missing(pc.cast(flat, pa.float64())))
    text = flat if pa.types.is_string(flat.type) else native_text(flat)
    quick = _quick_cast(text, pa.int64(), source)
    if quick is not None:
        return Coerced(quick)
    plain = _plain_digits(text, source)
    whole = pc.fill_null(pc.match_substring_regex(plain, WHOLE), False)
    digits = pc.replace_substring_regex(pc.if_else(whole, plain, None), r"\.0*$", "")
    values, beyond = _parse_int64(pc.replace_substring_regex(digits, r"^\+", ""))
    rest = _numbers(pc.if_else(whole, None, plain), source.model_copy(update={"decimal": ".", "thousands": None}))
    fractions = _from_floats(rest.values)
    failures = _joined((BEYOND_64_BITS, beyond), *rest.failures, *fractions.failures)
    return Coerced(pc.coalesce(values, fractions.values), failures)


def _joined(*failures: tuple[str, Mask]) -> tuple[tuple[str, Mask], ...]:
    """One mask a rule, empty ones left out."""
    joined: dict[str, Mask] = {}
    for rule, mask in failures:
        joined[rule] = joined[rule] | mask if rule in joined else mask
    return tuple((rule, mask) for rule, mask in joined.items() if mask.any())


def _parse_int64(digits: pa.Array) -> tuple[pa.Array, Mask]:
    try:
        return pc.cast(digits, pa.int64()), np.zeros(len(digits), dtype=bool)
    except pa.ArrowInvalid:
        numbers = [None if text is None else int(text) for text in digits.to_pylist()]
        values = pa.array([n if n is not None and -(2**63) <= n < 2**63 else None for n in numbers], pa.int64())
        return values, _failed(digits, values)


def _from_whole_numbers(flat: pa.Array) -> Coerced:
    if flat.type != pa.uint64():
        return Coerced(pc.cast(flat, pa.int64()))
    fits = pc.less(flat, pa.scalar(2**63, pa.uint64()))
    values = pc.cast(pc.if_else(fits, flat, None), pa.int64())
    return _coerced(values, BEYOND_64_BITS, _failed(flat, values))


def _from_floats(values: pa.Array) -> Coerced:
    """Floating numbers that are whole and exact; infinities and fractions are not integers."""
    whole = pc.and_(pc.is_finite(values), pc.equal(values, pc.trunc(values)))
    exact = pc.less_equal(pc.abs(values), LARGEST_EXACT)
    integers = pc.cast(pc.if_else(pc.and_(whole, exact), values, None), pa.int64())
    present = values.is_valid()
    is_whole = pc.fill_null(whole, False)
    failures = _joined(
        (NOT_AN_INTEGER, _mask(pc.and_(present, pc.invert(is_whole)))),
        (BEYOND_64_BITS, _mask(pc.and_(is_whole, pc.invert(pc.fill_null(exact, True))))),
    )
    return Coerced(integers, failures)


def _booleans(flat: pa.Array, source: Source) -> Coerced:
    if pa.types.is_boolean(flat.type):
        return Coerced(flat)
    text = without_nulls_words(flat if pa.types.is_string(flat.type) else native_text(flat), source.null_values)
    text = pc.if_else(pc.equal(text, ""), None, text)
    words = pc.replace_substring_regex(text, r"^([01])\.0*$", r"\1")
    true = pc.is_in(words, pa.array(source.true_values, pa.string()))
    false = pc.is_in(words, pa.array(source.false_values, pa.string()))
    values = pc.if_else(true, True, pc.if_else(false, False, pa.scalar(None, pa.bool_())))
    return _coerced(values, NOT_A_BOOLEAN, _failed(text, values))


def _texts(flat: pa.Array, source: Source) -> Coerced:
    text = flat if pa.types.is_string(flat.type) else native_text(flat)
    values = without_nulls_words(text, source.null_values)
    return _coerced(values, NOT_TEXT, _failed(flat, text))


def native_text(flat: pa.Array) -> pa.Array:
    """Values of any Arrow type as text: whole floats without a fraction, nested as JSON; null where undecodable."""
    kind = flat.type
    if pa.types.is_floating(kind):
        return pc.cast(_nan_is_missing(pc.cast(flat, pa.float64())), pa.string())
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind):
        return pa.array([_decoded(value) for value in flat.to_pylist()], pa.string())
    if pa.types.is_nested(kind):
        return _each(flat, lambda value: json.dumps(value, ensure_ascii=False, default=str, sort_keys=True))
    if pa.types.is_temporal(kind) or pa.types.is_decimal(kind):
        return _each(flat, str)
    return pc.cast(flat, pa.string())


def _each(flat: pa.Array, write: Callable[[Any], str]) -> pa.Array:
    return pa.array([None if value is None else write(value) for value in flat.to_pylist()], pa.string())


def _decoded(value: bytes | None) -> str | None:
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return None
