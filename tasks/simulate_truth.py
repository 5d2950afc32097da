"""What was planted in the simulated week, how much of it was found, and the simplest peer to compare with."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from statistics import NormalDist

import numpy as np
import numpy.typing as npt
import pandas as pd

_MOST_CATEGORIES = 50


@dataclass(frozen=True)
class Planted:
    """One attack row: where it stands, its kind, and whether each of its values is usual for its own column."""

    night: date
    flow_id: str
    kind: str
    inside_range: bool


@dataclass(frozen=True)
class KindFound:
    """How many rows of one kind were planted, and how many of them were among the alerts."""

    kind: str
    planted: int
    found: int
    inside_range: bool


def found(planted: Iterable[Planted], alerts: Mapping[date, Sequence[str]]) -> list[KindFound]:
    """Count, kind by kind, the planted rows that were raised as alerts on their own night.

    Args:
        planted: The rows that were planted.
        alerts: Keys of the alerts of each night, already cut to the alert budget; a night without an entry raised none.

    Returns:
        One line a kind, the kinds inside their range last, each group in the order of first appearance.
    """
    raised = {night: set(keys) for night, keys in alerts.items()}
    lines: dict[str, KindFound] = {}
    for row in planted:
        before = lines.get(row.kind, KindFound(row.kind, 0, 0, row.inside_range))
        hit = int(row.flow_id in raised.get(row.night, ()))
        lines[row.kind] = KindFound(row.kind, before.planted + 1, before.found + hit, row.inside_range)
    return sorted(lines.values(), key=lambda line: line.inside_range)


def zscore_ranking(history: pd.DataFrame, night: pd.DataFrame, *, rarity: bool = True) -> npt.NDArray[np.float64]:
    """Score each row by its most unusual single value: the largest z-score over the columns.

    Numbers are compared as signed logarithms, because counts and times are heavy-tailed. Text with many values
    (keys, times, remarks, hosts) is left out, as most of its values are rare; so is what does not vary.

    Args:
        history: Rows of the nights before, which say what is usual.
        night: Rows to score, with the same columns.
        rarity: Whether categories count too, by the z-score that a normal column exceeds as rarely.

    Returns:
        One score a row of `night`, high is unusual; shape [rows].
    """
    scores = np.zeros(len(night))
    for name in history.columns:
        if pd.api.types.is_numeric_dtype(history[name]):
            column = _number_z(history[name], night[name])
        elif rarity and history[name].nunique() <= _MOST_CATEGORIES:
            column = _category_z(history[name], night[name])
        else:
            continue
        scores = np.maximum(scores, column)
    return scores


def _number_z(history: pd.Series, night: pd.Series) -> npt.NDArray[np.float64]:
    before = _signed_log(history.dropna())
    # Not the standard deviation: rounding leaves it above zero for some constants.
    if before.size == 0 or np.ptp(before) == 0:
        return np.zeros(len(night))
    return np.asarray(np.nan_to_num(np.abs(_signed_log(night) - before.mean()) / before.std()))


def _signed_log(values: pd.Series) -> npt.NDArray[np.float64]:
    number = pd.to_numeric(values, errors="coerce").to_numpy(dtype=float)
    return np.asarray(np.sign(number) * np.log1p(np.abs(number)))


def _category_z(history: pd.Series, night: pd.Series) -> npt.NDArray[np.float64]:
    share = history.astype(str).value_counts(normalize=True)
    unseen = 0.5 / len(history)
    z_of = {value: _same_tail(max(float(part), unseen)) for value, part in share.items()}
    return night.astype(str).map(z_of).fillna(_same_tail(unseen)).to_numpy(dtype=float)


def _same_tail(share: float) -> float:
    """Give the z-score that a normal column exceeds, on either side, as often as a category with this share occurs."""
    return -NormalDist().inv_cdf(share / 2)
