"""Categories and booleans: one number a frequent value, buckets for what is rare, unseen or many-valued."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from models.encoders import MISSING, Matrix, Texts, as_numbers, as_texts, named
from schemas.features import ColumnType, Feature, FeatureKind

MOST_LEVELS = 32
MOST_RARE = 500
RARE_SHARE = 0.0005
BUCKETS = 32
RARE, UNSEEN = "(rare value)", "(unseen value)"


@dataclass(frozen=True)
class OneHotEncoder:
    """A number for each frequent value, one for rare values, one for values that the sample did not have.

    A missing value counts as unseen unless the sample had missing values, or the contract allows them.

    Args:
        column: The column it reads.
        type: Its type in the contract.
        levels: Frequent values, most frequent first.
        rare: Values that the sample had a few times.
        indicator: Whether a last number says that the value is missing.
    """

    name: ClassVar[str] = "one_hot"

    column: str
    type: str
    levels: tuple[str, ...]
    rare: tuple[str, ...]
    indicator: bool

    @property
    def weights(self) -> tuple[float, ...]:
        """All levels together count like one number."""
        return _shared_weights(len(self._words))

    @property
    def _words(self) -> tuple[str, ...]:
        return (*self.levels, RARE, UNSEEN, *((MISSING,) if self.indicator else ()))

    def encode(self, values: pd.Series[Any]) -> Matrix:
        """Raw values to float64 [rows, levels + 2 or 3], a single 1 in each row."""
        texts = as_texts(values, ColumnType(self.type))
        unseen = len(self.levels) + 1
        known = {text: at for at, text in enumerate(self.levels)} | dict.fromkeys(self.rare, len(self.levels))
        codes, distinct = pd.factorize(texts)
        slots = np.array([known.get(text, unseen) for text in distinct] + [unseen + self.indicator], dtype=np.intp)
        return _single_ones(slots[codes], len(self._words))

    def expected(self, reconstructed: Matrix) -> Texts:
        """The level with the highest reconstructed mass."""
        words = np.array(self._words, dtype=object)
        best: Texts = words[np.argmax(reconstructed, axis=1)]
        return best

    def decode(self, reconstructed: Matrix, near: pd.Series[Any] | None = None) -> pd.Series[Any]:
        """The frequent value with the highest reconstructed mass [rows].

        What is rare, unseen or missing has no value of its own: the most likely frequent one stands for it. A row's own
        value stays where its number has the highest mass, so that rare values that were expected stay what they are.
        """
        words = self.levels or self.rare[:1]  # without a frequent value the first number is that of rare ones
        decoded = _typed(_most_likely(reconstructed, words), self.type)
        return decoded if near is None else _keeping(decoded, near, self.encode(near), reconstructed, self.type)

    def actual(self, values: pd.Series[Any]) -> Texts:
        """The raw values as text [rows]."""
        return named(as_texts(values, ColumnType(self.type)))

    def example(self, draws: Matrix) -> pd.Series[Any]:
        """Values that the sample had."""
        return _pick(self.levels or self.rare or ("value",), draws, self.type)


@dataclass(frozen=True)
class HashEncoder:
    """A bounded number of buckets for a column with many values, by a hash that is the same everywhere.

    Args:
        column: The column it reads.
        type: Its type in the contract.
        buckets: How many.
        common: The most frequent value of each bucket, empty where the sample had none; words for the explanation.
        indicator: Whether a last number says that the value is missing.
    """

    name: ClassVar[str] = "hash"

    column: str
    type: str
    buckets: int
    common: tuple[str, ...]
    indicator: bool

    @property
    def weights(self) -> tuple[float, ...]:
        """All buckets together count like one number."""
        return _shared_weights(self.buckets + self.indicator)

    def encode(self, values: pd.Series[Any]) -> Matrix:
        """Raw values to float64 [rows, buckets or one more], a single 1 in each row, none where oddly missing."""
        texts = as_texts(values, ColumnType(self.type))
        codes, distinct = pd.factorize(texts)
        slots = np.array([bucket(text, self.buckets) for text in distinct] + [self.buckets], dtype=np.intp)
        return _single_ones(slots[codes], self.buckets + 1)[:, : self.buckets + self.indicator]

    def expected(self, reconstructed: Matrix) -> Texts:
        """The most frequent value of the bucket with the highest reconstructed mass."""
        words = [f"values like {text!r}" if text else "another value" for text in self.common]
        best: Texts = np.array([*words, MISSING], dtype=object)[np.argmax(reconstructed, axis=1)]
        return best

    def decode(self, reconstructed: Matrix, near: pd.Series[Any] | None = None) -> pd.Series[Any]:
        """The sample's most frequent value of the likeliest bucket that has one [rows]; None where no bucket has.

        A bucket holds many values and cannot give a text back. A row's own value stays where its bucket has the highest
        mass.
        """
        decoded = _typed(_most_likely(reconstructed, [text or None for text in self.common]), self.type)
        return decoded if near is None else _keeping(decoded, near, self.encode(near), reconstructed, self.type)

    def actual(self, values: pd.Series[Any]) -> Texts:
        """The raw values as text [rows]."""
        return named(as_texts(values, ColumnType(self.type)))

    def example(self, draws: Matrix) -> pd.Series[Any]:
        """Values that the sample had."""
        return _pick(tuple(text for text in self.common if text) or ("1",), draws, self.type)


@dataclass(frozen=True)
class BooleanEncoder:
    """True as 1, false as 0.

    Args:
        column: The column it reads.
        fill: What stands for a missing value: the sample's share of true.
        indicator: Whether a second number says that the value is missing.
    """

    name: ClassVar[str] = "boolean"

    column: str
    fill: float
    indicator: bool

    @property
    def weights(self) -> tuple[float, ...]:
        """The value and its indicator count fully each."""
        return (1.0, 1.0) if self.indicator else (1.0,)

    def encode(self, values: pd.Series[Any]) -> Matrix:
        """Raw values to float64 [rows, 1 or 2]."""
        truth = _truth(values)
        missing = np.isnan(truth)
        parts = [np.where(missing, self.fill, truth)] + ([missing.astype(np.float64)] if self.indicator else [])
        return np.column_stack(parts)

    def expected(self, reconstructed: Matrix) -> Texts:
        """``true`` or ``false``."""
        texts = np.where(self.decode(reconstructed), "true", "false").astype(object)
        if self.indicator:
            texts[reconstructed[:, 1] > 0.5] = MISSING
        return texts

    def decode(self, reconstructed: Matrix, near: pd.Series[Any] | None = None) -> pd.Series[Any]:
        """Whether it is rather true than false, bool [rows]; the indicator of a missing value is not asked."""
        del near  # a number says it all
        return pd.Series(reconstructed[:, 0] > 0.5)

    def actual(self, values: pd.Series[Any]) -> Texts:
        """The raw values as text [rows]."""
        truth = _truth(values)
        return np.where(np.isnan(truth), MISSING, np.where(truth > 0.5, "true", "false")).astype(object)

    def example(self, draws: Matrix) -> pd.Series[Any]:
        """True as often as in the sample."""
        return pd.Series(draws < self.fill)


def bucket(text: str, buckets: int) -> int:
    """The bucket of a value; the same on every machine and in every process."""
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") % buckets


def fit_category(feature: Feature, values: pd.Series[Any], *, indicator: bool) -> OneHotEncoder | HashEncoder:
    """Fit a category's levels on the sample; `auto` takes hashing above 32 frequent values."""
    texts = pd.Series(as_texts(values, feature.type), dtype=object)
    counts = texts.dropna().value_counts()
    # Equal counts in an order of their own, so that the order of rows decides nothing.
    ordered = sorted(((str(text), int(count)) for text, count in counts.items()), key=lambda item: (-item[1], item[0]))
    indicator = indicator or bool(texts.isna().any())
    least = max(2, int(np.ceil(RARE_SHARE * len(texts))))
    frequent = [text for text, count in ordered if count >= least]
    wants_hash = len(frequent) > MOST_LEVELS or len(ordered) > MOST_RARE
    if feature.kind is FeatureKind.HASH or (feature.kind is FeatureKind.AUTO and wants_hash):
        return _fit_hash(feature, [text for text, _ in ordered], indicator=indicator)
    levels = tuple(frequent[:MOST_LEVELS])
    rare = tuple(sorted(text for text, _ in ordered[len(levels) : len(levels) + MOST_RARE]))
    return OneHotEncoder(feature.column, feature.type.value, levels, rare, indicator)


def _fit_hash(feature: Feature, ordered: list[str], *, indicator: bool) -> HashEncoder:
    common = [""] * BUCKETS
    for text in ordered:
        at = bucket(text, BUCKETS)
        common[at] = common[at] or text
    return HashEncoder(feature.column, feature.type.value, BUCKETS, tuple(common), indicator)


def fit_boolean(feature: Feature, values: pd.Series[Any], *, indicator: bool) -> BooleanEncoder:
    """Fit a boolean: how often it is true."""
    truth = _truth(values)
    seen = truth[~np.isnan(truth)]
    return BooleanEncoder(feature.column, float(seen.mean()) if len(seen) else 0.0, indicator or len(seen) < len(truth))


def _truth(values: pd.Series[Any]) -> Matrix:
    if values.dtype == object or pd.api.types.is_string_dtype(values.dtype):
        values = values.map({True: 1.0, False: 0.0, "true": 1.0, "false": 0.0, "True": 1.0, "False": 0.0})
    return as_numbers(values)


def _single_ones(slots: np.ndarray[Any, np.dtype[np.intp]], width: int) -> Matrix:
    ones = np.zeros((len(slots), width), dtype=np.float64)
    ones[np.arange(len(slots)), slots] = 1.0
    return ones


def _shared_weights(width: int) -> tuple[float, ...]:
    return (1.0 / width,) * width


def _most_likely(reconstructed: Matrix, words: Sequence[str | None]) -> Texts:
    """The word whose number is highest [rows]; words stand for the first numbers, None for one that has none."""
    known = [at for at, word in enumerate(words) if word is not None]
    if not known:
        return np.full(len(reconstructed), None, dtype=object)
    texts: Texts = np.array([words[at] for at in known], dtype=object)[np.argmax(reconstructed[:, known], axis=1)]
    return texts


def _keeping(
    decoded: pd.Series[Any], near: pd.Series[Any], encoded: Matrix, reconstructed: Matrix, kind: str
) -> pd.Series[Any]:
    """Decoded values, but a row's own where its number is the highest of the reconstruction too."""
    agreed = np.argmax(encoded, axis=1) == np.argmax(reconstructed, axis=1)
    own = _typed(near, kind)
    kept: pd.Series[Any] = own.where(agreed & own.notna(), decoded)
    return kept


def _typed(values: pd.Series[Any] | Texts, kind: str) -> pd.Series[Any]:
    """Values as the column's type has them: Int64, or objects; None where one is missing."""
    series = pd.Series(values).reset_index(drop=True)
    if kind != ColumnType.INTEGER:
        return pd.Series(as_texts(series, ColumnType(kind)), dtype=object)
    if pd.api.types.is_integer_dtype(series.dtype):
        return series.astype("Int64")
    texts = as_texts(series, ColumnType.INTEGER)
    return pd.Series([None if text is None else _int64(text) for text in texts], dtype="Int64")


def _int64(text: str) -> int:
    """A whole number from text; those beyond int64, which went through float64, as its ends."""
    return min(max(int(text), -(2**63)), 2**63 - 1)


def _pick(words: tuple[str, ...], draws: Matrix, kind: str) -> pd.Series[Any]:
    at = np.minimum((draws * len(words)).astype(np.intp), len(words) - 1)
    picked = pd.Series(np.array(words, dtype=object)[at])
    return picked.map(_int64).astype(np.int64) if kind == ColumnType.INTEGER else picked
