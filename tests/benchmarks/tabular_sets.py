"""The classical sets of ADBench (Han et al., 2022), cut into what a detector sees and what it is asked about."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

MOST_TRAINED, MOST_ASKED = 4_000, 8_000
LEFT_IN = 0.05

Numbers = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class Cut:
    """One set, cut by one seed.

    Args:
        name: The set's.
        seed: Decides who is where.
        train: Rows to learn from, [rows, columns], each column with mean 0 and deviation 1.
        asked: Rows to rank, on the same scale.
        is_anomaly: Which of these are, [rows].
    """

    name: str
    seed: int
    train: Numbers
    asked: Numbers
    is_anomaly: np.ndarray[Any, np.dtype[np.int64]]


def names(folder: Path) -> list[str]:
    """The sets that lie there."""
    return sorted((path.stem for path in folder.glob("*.npz")), key=lambda name: int(name.partition("_")[0]))


def cuts(folder: Path, name: str, seeds: tuple[int, ...], contamination: float = 0.0) -> Iterator[Cut]:
    """Cut a set: half of the normal rows train, the others and the anomalies are asked about.

    Where more normal rows are left than are asked about, as many anomalies fewer are: their ratio is the set's.

    Args:
        folder: Where it lies.
        name: Its name.
        seeds: One cut each.
        contamination: Share of anomalies among the rows that train; these are not asked about.
    """
    with np.load(folder / f"{name}.npz", allow_pickle=False) as found:
        rows, labels = found["X"].astype(np.float64), found["y"].ravel()
    for seed in seeds:
        draw = np.random.default_rng([seed, 17])
        normal, anomalous = (draw.permutation(np.flatnonzero(labels == label)) for label in (0, 1))
        half = len(normal) // 2
        train, others = normal[:half][:MOST_TRAINED], normal[half:]
        asked = others[:MOST_ASKED]
        count = min(len(anomalous), max(1, round(len(anomalous) * len(asked) / len(others))))
        if contamination:
            left_in = max(1, round(len(train) * contamination / (1 - contamination)))
            left_in = min(left_in, len(anomalous) // 2)
            train = np.concatenate([train, anomalous[:left_in]])
            anomalous = anomalous[left_in:]
        given = np.concatenate([asked, anomalous[:count]])
        mean, deviation = rows[train].mean(axis=0), rows[train].std(axis=0)
        deviation[deviation == 0] = 1
        yield Cut(
            name, seed, (rows[train] - mean) / deviation, (rows[given] - mean) / deviation, labels[given].astype(int)
        )
