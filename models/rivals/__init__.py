"""Classical detectors that run beside an autoencoder, on the same encoded rows: what it must be worth its cost against.

A rival is a frozen dataclass under `@register`; its file has its name. It fits with scikit-learn where that helps,
holds plain arrays alone, and scores with numpy. What belongs here is the methods; who is tried on which rows, and which
rival may become champion, is the gate's.
"""

from __future__ import annotations

import importlib
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self, TypeVar

import numpy as np

from models.calibration import Matrix, scores_of
from models.nearest import AT_ONCE
from models.transform import Transform
from schemas.errors import ConfigError, listed

Rows = np.ndarray[Any, np.dtype[np.float32]]
Arrays = Mapping[str, np.ndarray[Any, np.dtype[np.float64]]]


@dataclass(frozen=True)
class Given:
    """What a rival learns from.

    Args:
        fit: Encoded rows, float32 [rows, width].
        stop: Held-out rows, for methods that ask what residual is normal, float32 [rows, width].
        transform: What encoded them.
        seed: Of all random choices.
    """

    fit: Rows
    stop: Rows
    transform: Transform
    seed: int

    @property
    def starts(self) -> tuple[int, ...]:
        """Where each column's numbers start, [columns]."""
        return tuple(group.start for group in self.transform.groups.values())


@dataclass(frozen=True)
class Rival(ABC):
    """A fitted classical detector.

    Args:
        starts: Where each column's numbers start in an encoded row, [columns].
    """

    starts: tuple[int, ...]

    name: ClassVar[str]
    title: ClassVar[str]

    @classmethod
    @abstractmethod
    def fit(cls, given: Given) -> Self:
        """Learn what is normal."""

    @classmethod
    @abstractmethod
    def read(cls, arrays: Arrays, starts: tuple[int, ...], width: int) -> Self:
        """Build from `arrays`.

        Raises:
            ValueError: When they do not fit each other or the rows' width.
            KeyError: When one is missing.
        """

    @abstractmethod
    def arrays(self) -> dict[str, np.ndarray[Any, Any]]:
        """All that it has learnt, as numbers that float64 holds exactly."""

    @abstractmethod
    def look_at(self, rows: Rows) -> tuple[Rows, Matrix]:
        """What it expected of 1,024 rows, and what each column adds to the inside of a score's logarithm."""

    def look(self, rows: Rows) -> tuple[Rows, Matrix]:
        """Look at encoded rows [rows, width], each by itself.

        Returns:
            What was expected in their place, float32 [rows, width], and what each column adds, float64 [rows,
            columns]; a row's sum is `expm1` of its score.
        """
        expected, parts = np.empty_like(rows), np.empty((len(rows), len(self.starts)))
        block = np.zeros((AT_ONCE, rows.shape[1]), np.float32)
        for start in range(0, len(rows), AT_ONCE):
            count = len(rows[start : start + AT_ONCE])
            block[:count], block[count:] = rows[start : start + count], 0.0
            found = self.look_at(block)
            expected[start : start + count], parts[start : start + count] = found[0][:count], found[1][:count]
        return expected, parts

    def parts(self, rows: Rows, expected: Rows, /) -> Matrix:
        """What each column adds; what was expected in the rows' place is known to the rival itself."""
        del expected
        return self.look(rows)[1]

    def score(self, rows: Rows) -> Matrix:
        """Scores [rows] of encoded rows [rows, width]; high is anomalous."""
        return scores_of(self.look(rows)[1])

    def by_column(self, numbers: Matrix) -> Matrix:
        """Sum what single numbers add, [rows, width], to what columns add, [rows, columns]."""
        columns: Matrix = np.add.reduceat(numbers, np.array(self.starts, dtype=np.intp), axis=1)
        return columns

    def shared(self, total: Matrix, by: Matrix) -> Matrix:
        """Deal totals [rows] out to columns in proportion to `by` [rows, columns]; evenly where that is nothing."""
        sums = by.sum(axis=1, keepdims=True)
        shares = np.divide(by, sums, out=np.full_like(by, 1.0 / by.shape[1]), where=sums > 0)
        parts: Matrix = total[:, None] * shares
        return parts


Made = TypeVar("Made", bound=type[Rival])
_RIVALS: dict[str, type[Rival]] = {}


def register(kind: Made) -> Made:
    """Make a rival known under its name."""
    _RIVALS[kind.name] = kind
    return kind


def rivals() -> dict[str, type[Rival]]:
    """All rivals by name, in the order in which people read them."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    order = ("pca", "k_means", "nearest", "lof", "isolation_forest")
    return dict(sorted(_RIVALS.items(), key=lambda item: (*order, item[0]).index(item[0])))


def rival(name: str) -> type[Rival]:
    """The rival of that name.

    Raises:
        ConfigError: When there is none.
    """
    known = rivals()
    if name not in known:
        raise ConfigError(f"there is no rival {name!r}; there are {listed(known)}")
    return known[name]


def shaped(arrays: Arrays, name: str, shape: Sequence[int | None]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """One array of a rival, checked.

    Args:
        arrays: All of them.
        name: Its name.
        shape: What it must have; None: any length.

    Raises:
        ValueError: When it has another shape, or a number in it is not finite.
    """
    found = arrays[name]
    fits = found.ndim == len(shape) and all(due in (None, size) for due, size in zip(shape, found.shape, strict=True))
    if not fits or not np.isfinite(found).all():
        raise ValueError(f"the rival's {name} has shape {found.shape}, or numbers that are not finite")
    return found
