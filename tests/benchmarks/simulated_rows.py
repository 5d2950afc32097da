"""Rows that a few hidden numbers decide, for benchmarks of training; numpy alone, as peers have an environment each."""

from __future__ import annotations

import numpy as np

LATENT = 4
NOISE = 0.3


def simulated_rows(count: int, width: int, *, latent: int = LATENT, seed: int = 0, world: int = 0) -> np.ndarray:
    """tanh of hidden factors through a matrix, and noise: float32 [count, width].

    Args:
        count: Rows.
        width: Numbers of a row.
        latent: Hidden factors.
        seed: Of the factors and the noise.
        world: Seed of the matrix: rows of one world hang together alike.
    """
    random = np.random.default_rng([world, seed])
    through = np.random.default_rng(world).normal(size=(latent, width)) / np.sqrt(latent)
    rows = np.tanh(random.normal(size=(count, latent)) @ through)
    return (rows + random.normal(scale=NOISE, size=rows.shape)).astype(np.float32)
