"""Codes drawn from a prior: what a decoder makes rows of that were never there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

BATCH = 65_536

Codes = np.ndarray[Any, np.dtype[np.float32]]


def code_batches(rows: int, size: int, classes: int = 0, seed: int = 0, *, most: int = BATCH) -> Iterator[Codes]:
    """Yield codes drawn from a standard normal distribution; the first ones are the same however many follow.

    Args:
        rows: How many codes, in all.
        size: Numbers of a code.
        classes: How many of them, at its end, say a class: one of them is 1, each as likely as the others.
        seed: Decides the draws.
        most: Codes in one batch.

    Yields:
        float32 [at most `most`, size].
    """
    numbers, chosen = (np.random.default_rng(own) for own in np.random.SeedSequence(seed).spawn(2))
    for start in range(0, rows, most):
        count = min(most, rows - start)
        codes = np.zeros((count, size), dtype=np.float32)
        codes[:, : size - classes] = numbers.standard_normal((count, size - classes))
        if classes:
            codes[np.arange(count), size - classes + (chosen.random(count) * classes).astype(np.intp)] = 1.0
        yield codes
