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
        times = as_times(values)
        missing = times.isna().to_numpy()
        of_day, of_week = self._clock(times)
        circles = [_circle(of_day / DAY)]
        if self.weekly:
            circles.append(_circle(of_week / WEEK))
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

    def decode(self, reconstructed: Matrix, near: pd.Series[Any] | None = None) -> pd.Series[Any]:
        """Moments at which the local clock shows what was reconstructed, to the second, UTC [rows].

        A circle has no date. The moment is the nearest one to the row's own, less than half a day away (half a week,
        where the day of week counts); without an own one it lies in the first week of 2024, as `example` has it.
        """
        period = WEEK if self.weekly else DAY
        start = pd.Timestamp("2024-01-01", tz=self.timezone) + pd.Timedelta(seconds=period / 2)
        own = pd.Series(pd.NaT, index=range(len(reconstructed))) if near is None else near.reset_index(drop=True)
        moments: pd.Series[Any] = as_times(own).fillna(start.tz_convert("UTC")).dt.as_unit("us")
        wanted = self._wanted(reconstructed)
        for _ in range(2):  # the second time for clocks that were changed in between
            shown = self._clock(moments)[1 if self.weekly else 0]
            away = (wanted - shown + period / 2) % period - period / 2
            moments += away.astype("timedelta64[s]")
        return moments

    def _wanted(self, reconstructed: Matrix) -> Matrix:
        """Whole seconds since midnight, or since Monday's where the day of week counts, float64 [rows]."""
        of_day = np.rint(_turn(reconstructed[:, 0], reconstructed[:, 1]) * DAY)
        if not self.weekly:
            return of_day
        of_week = _turn(reconstructed[:, 2], reconstructed[:, 3]) * WEEK
        wanted: Matrix = np.rint((of_week - of_day) / DAY) * DAY + of_day
        return wanted

    def _clock(self, times: pd.Series[Any]) -> tuple[Matrix, Matrix]:
        """Whole seconds since local midnight, and since local Monday's, float64 [rows]; NaN where one is missing."""
        local = times.dt.tz_convert(self.timezone)
        of_day = (local.dt.hour * 3600 + local.dt.minute * 60 + local.dt.second).to_numpy(dtype=np.float64)
        return of_day, local.dt.day_of_week.to_numpy(dtype=np.float64) * DAY + of_day

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
