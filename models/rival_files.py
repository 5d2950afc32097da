"""A classical detector's arrays as the one array of a bundle, end to end, and back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from models.rivals import Rival, rival
from models.transform import Transform

Numbers = np.ndarray[Any, np.dtype[np.float64]]


def packed(fitted: Rival) -> tuple[Numbers, dict[str, Any]]:
    """All numbers of a rival, float64 [numbers], and its name with the names and shapes of its arrays."""
    arrays = {name: np.asarray(array, dtype=np.float64) for name, array in fitted.arrays().items()}
    facts = {"name": fitted.name, "arrays": [[name, list(array.shape)] for name, array in arrays.items()]}
    return np.concatenate([array.reshape(-1) for array in arrays.values()]), facts


def unpacked(numbers: np.ndarray[Any, Any], facts: Mapping[str, Any], transform: Transform) -> Rival:
    """The rival of `packed`'s numbers.

    Args:
        numbers: As they were packed.
        facts: Likewise.
        transform: What encodes the rows that it looks at.

    Raises:
        ValueError: When they do not fit each other.
        ConfigError: When there is no rival of that name.
    """
    if numbers.dtype != np.float64 or numbers.ndim != 1:
        raise ValueError("rival.npy must hold float64 numbers, end to end")
    shapes = {str(name): [int(length) for length in shape] for name, shape in facts["arrays"]}
    ends = np.cumsum([math.prod(shape) for shape in shapes.values()])
    if len(ends) == 0 or min(min(shape, default=0) for shape in shapes.values()) < 0 or ends[-1] != len(numbers):
        raise ValueError("detector.json does not fit rival.npy")
    parts = np.split(numbers, ends[:-1])
    arrays = {name: part.reshape(shape) for (name, shape), part in zip(shapes.items(), parts, strict=True)}
    starts = tuple(int(group.start) for group in transform.groups.values())
    return rival(str(facts["name"])).read(arrays, starts, transform.width)
