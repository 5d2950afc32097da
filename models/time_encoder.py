"""Times: the time of day, and of the week where the sample is long enough, as places on a circle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from models.encoders import MISSING, Matrix, Texts
from schemas.features import Feature

DAY, WEEK = 86_400.0, 7 * 86_400.0
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


@dataclass(frozen=True)
class CyclicEncoder:
    """Local time of day as sine and cosine, then day of week likewise.

    Args:
        column: The column it reads.
        timezone: IANA zone whose clock counts.
        weekly: Whether the sample spans two weeks, so that a week's rhythm can be learnt.
        indicator: Whether a last number says that the value is missing.
    """

    name: ClassVar[str] = "cyclic"

    column: str
    timezone: str
    weekly: bool
    indicator: bool

    @property
    def weights(self) -> tuple[float, ...]:
        """Sine and cosine together count like one number."""
        return (0.5,) * (4 if self.weekly else 2) + ((1.0,) if self.indicator else ())

    def encode(self, values: pd.Series[Any]) -> Matrix:
        """Times to float64 [rows, 2 to 5]; a missing time lies in the circle's middle."""
        local = as_times(values).dt.tz_convert(self.timezone)
        missing = local.isna().to_numpy()
        seconds = (local.dt.hour * 3600 + local.dt.minute * 60 + local.dt.second).to_numpy(dtype=np.float64)
        circles = [_circle(seconds / DAY)]
        if self.weekly:
            circles.append(_circle((local.dt.day_of_week.to_numpy(dtype=np.float64) * DAY + seconds) / WEEK))
        encoded = np.where(missing[:, None], 0.0, np.column_stack(circles))
        return np.column_stack([encoded, missing]) if self.indicator else encoded

    def expected(self, reconstructed: Matrix) -> Texts:
        """``14:05``, with the day of week where it counts: ``Mon 14:05``."""
        minutes = (_turn(reconstructed[:, 0], reconstructed[:, 1]) * 1440).astype(int) % 1440
        texts = np.array([f"{m // 60:02d}:{m % 60:02d}" for m in minutes], dtype=object)
        if self.weekly:
            days = (_turn(reconstructed[:, 2], reconstructed[:, 3]) * 7).astype(int) % 7
            texts = np.array([f"{DAYS[d]} {text}" for d, text in zip(days, texts, strict=True)], dtype=object)
        if self.indicator:
            texts[reconstructed[:, -1] > 0.5] = MISSING
        return texts

    def actual(self, values: pd.Series[Any]) -> Texts:
        """Local day and time as text [rows]."""
        words = as_times(values).dt.tz_convert(self.timezone).dt.strftime("%a %H:%M").astype(object)
        texts: Texts = words.where(words.notna(), MISSING).to_numpy(dtype=object)
        return texts

    def example(self, draws: Matrix) -> pd.Series[Any]:
        """Times within one week of 2024."""
        return pd.Series(pd.Timestamp("2024-01-01", tz="UTC") + pd.to_timedelta(np.floor(draws * WEEK), unit="s"))


def fit_cyclic(feature: Feature, values: pd.Series[Any], *, indicator: bool, timezone: str) -> CyclicEncoder:
    """Fit a time column: only its span counts."""
    times = as_times(values)
    seen = times.dropna()
    weekly = len(seen) > 0 and (seen.max() - seen.min()).total_seconds() >= 2 * WEEK - DAY
    return CyclicEncoder(feature.column, timezone, bool(weekly), indicator or len(seen) < len(times))


def as_times(values: pd.Series[Any]) -> pd.Series[Any]:
    """Any column as UTC times; what is no time is missing."""
    return pd.to_datetime(values, utc=True, errors="coerce")


def _circle(turns: Matrix) -> Matrix:
    angle = 2 * np.pi * turns
    return np.column_stack([np.sin(angle), np.cos(angle)])


def _turn(sine: Matrix, cosine: Matrix) -> Matrix:
    turn: Matrix = (np.arctan2(sine, cosine) / (2 * np.pi)) % 1.0
    return turn
