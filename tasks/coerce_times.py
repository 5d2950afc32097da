"""Times by their form, as microseconds in UTC.

A time without a zone is read in the dataset's time zone. A local time that the clock skipped in spring is read with the
offset before the change, one that it showed twice in autumn is the first of the two (the rule of PEP 495): no row is
lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Mask = NDArray[np.bool_]

UTC_MICROSECONDS = pa.timestamp("us", tz="UTC")
MICROSECONDS = pa.timestamp("us")
# Years 1 to 9999: what Python, SQL and a person call a date.
EARLIEST, LATEST = -62_135_596_800_000_000, 253_402_300_799_999_999
UNIX = {"unix_s": 1e6, "unix_ms": 1e3, "unix_us": 1.0, "unix_ns": 1e-3}
ZONE = r"([zZ]|UTC|GMT|[+-]\d{2}(:?\d{2})?)"
CLOCK = r"\d{2}:\d{2}(:\d{2}([.,]\d{1,9})?)?"
ISO = rf"^\d{{4}}-\d{{2}}-\d{{2}}([T ]{CLOCK} ?{ZONE}?)?$"
COMPACT = rf"^(\d{{4}})(\d{{2}})(\d{{2}})(?:[T ]?(\d{{2}})(\d{{2}})(\d{{2}})?([.,]\d{{1,9}})? ?({ZONE})?)?$"
NUMBER = r"^[+-]?\d+(\.\d*)?([eE][+-]?\d+)?$"


def read_times(flat: pa.Array, form: str | None, timezone: str, null_values: Sequence[str]) -> tuple[pa.Array, Mask]:
    """Read a staged time column.

    Args:
        flat: Text, numbers or native times, `[rows]`.
        form: iso8601 (also for None), unix_s, unix_ms, unix_us, unix_ns, or a strptime pattern.
        timezone: IANA zone of times without one.
        null_values: Words for missing.

    Returns:
        timestamp[us, UTC] `[rows]`, null where missing or unreadable, and the mask of unreadable rows.
    """
    if pa.types.is_timestamp(flat.type) or pa.types.is_date(flat.type):
        values = _native(flat, timezone)
        return values, _lost(flat, values)
    if form in UNIX:
        return _unix(flat, UNIX[form], null_values)
    text = _words(flat, null_values)
    values = _iso(text, timezone) if form in (None, "iso8601") else _patterned(text, str(form), timezone)
    values = _in_range(values)
    return values, _lost(text, values)


def _words(flat: pa.Array, null_values: Sequence[str]) -> pa.Array:
    text = pc.utf8_trim_whitespace(flat if pa.types.is_string(flat.type) else _plain_text(flat))
    missing = pa.array(sorted({"", *(word.strip() for word in null_values)}), pa.string())
    return pc.if_else(pc.is_in(text, missing), None, text)


def _plain_text(flat: pa.Array) -> pa.Array:
    """Whole floats lose their fraction: a year 2026.0 is written 2026."""
    try:
        return pc.cast(flat, pa.string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return pa.array([None if value is None else str(value) for value in flat.to_pylist()], pa.string())


def _lost(before: pa.Array, after: pa.Array) -> Mask:
    lost: Mask = np.asarray(pc.and_(before.is_valid(), after.is_null()).to_numpy(zero_copy_only=False), dtype=bool)
    return lost


def _in_range(values: pa.Array) -> pa.Array:
    ticks = pc.cast(values, pa.int64())
    inside = pc.and_(pc.greater_equal(ticks, EARLIEST), pc.less_equal(ticks, LATEST))
    return pc.if_else(inside, values, None)


def _native(flat: pa.Array, timezone: str) -> pa.Array:
    zone = getattr(flat.type, "tz", None)
    unit = "us" if pa.types.is_date(flat.type) else flat.type.unit
    moments = pc.cast(flat, MICROSECONDS, safe=False) if unit != "ns" else _from_nanoseconds(flat)
    if zone is not None:
        return _in_range(pc.cast(pc.cast(moments, pa.int64()), UTC_MICROSECONDS))
    return _in_range(_localised(moments, timezone))


def _from_nanoseconds(flat: pa.Array) -> pa.Array:
    ticks = np.asarray(pc.fill_null(pc.cast(flat, pa.int64()), 0))
    return pa.array(ticks // 1000, MICROSECONDS, mask=np.asarray(flat.is_null()))


def _unix(flat: pa.Array, scale: float, null_values: Sequence[str]) -> tuple[pa.Array, Mask]:
    """Counts since 1970; whole ones are multiplied or divided exactly, others rounded to the microsecond."""
    text = _words(flat, null_values)
    readable = pc.fill_null(pc.match_substring_regex(text, NUMBER), False)
    numbers = pc.if_else(readable, text, None)
    try:
        counts = np.asarray(pc.fill_null(pc.cast(numbers, pa.int64()), 0))
        limit = int(LATEST // scale) + 1
        ticks = np.clip(counts, -limit, limit)
        ticks = ticks * int(scale) if scale >= 1 else ticks // 1000
    except pa.ArrowInvalid:
        parsed = np.asarray(pc.fill_null(pc.cast(numbers, pa.float64()), 0.0)) * scale
        ticks = np.round(np.clip(parsed, EARLIEST - 1e6, LATEST + 1e6)).astype(np.int64)
    values = _in_range(pa.array(ticks, UTC_MICROSECONDS, mask=np.asarray(numbers.is_null())))
    return values, _lost(text, values)


def _iso(text: pa.Array, timezone: str) -> pa.Array:
    text = _dashed(text)
    readable = pc.fill_null(pc.match_substring_regex(text, ISO), False)
    plain = pc.replace_substring(pc.if_else(readable, text, None), ",", ".")
    # Arrow and pandas count microseconds; what is finer is cut, not rounded into the next second.
    plain = pc.replace_substring_regex(plain, r"(\.\d{6})\d+", r"\1")
    plain = pc.replace_substring_regex(plain, r" ?(z|UTC|GMT)$", "Z")
    plain = pc.replace_substring_regex(plain, r" ([+-]\d{2}(:?\d{2})?)$", r"\1")
    zoned = pc.match_substring_regex(plain, rf":\d{{2}}(\.\d+)?{ZONE}$")
    aware = _parsed(pc.if_else(zoned, plain, None), UTC_MICROSECONDS)
    naive = _parsed(pc.if_else(zoned, None, plain), MICROSECONDS)
    return pc.coalesce(aware, _localised(naive, timezone))


def _dashed(text: pa.Array) -> pa.Array:
    """20260920T000011Z as 2026-09-20T00:00:11Z."""
    compact = pc.fill_null(pc.match_substring_regex(text, COMPACT), False)
    if not pc.any(compact).as_py():
        return text
    dashed = pc.replace_substring_regex(text, r"^(\d{4})(\d{2})(\d{2})", r"\1-\2-\3")
    dashed = pc.replace_substring_regex(dashed, r"^([\d-]{10})[T ]?(\d{2})(\d{2})", r"\1T\2:\3")
    dashed = pc.replace_substring_regex(dashed, r"^([\d-]{10}T\d{2}:\d{2})(\d{2})", r"\1:\2")
    return pc.if_else(compact, dashed, text)


def _parsed(text: pa.Array, to: pa.DataType) -> pa.Array:
    """Texts that have the form; one that is no day of the calendar (30 February) becomes null."""
    try:
        return pc.cast(text, to)
    except pa.ArrowInvalid:
        moments = pd.to_datetime(
            pd.Series(text.to_pylist(), dtype="object"), errors="coerce", format="ISO8601", utc=to.tz is not None
        )
        return _from_pandas(moments, to)


def _from_pandas(moments: pd.Series, to: pa.DataType) -> pa.Array:
    plain = moments.dt.tz_convert("UTC").dt.tz_localize(None) if moments.dt.tz is not None else moments
    ticks = plain.astype("datetime64[us]").to_numpy().view("int64")
    return pa.array(ticks, to, mask=plain.isna().to_numpy())


def _patterned(text: pa.Array, pattern: str, timezone: str) -> pa.Array:
    has_zone = "%z" in pattern or "%Z" in pattern
    moments = pd.to_datetime(pd.Series(text.to_pylist(), dtype="object"), errors="coerce", format=pattern, utc=has_zone)
    if has_zone:
        return _from_pandas(moments, UTC_MICROSECONDS)
    return _localised(_from_pandas(moments, MICROSECONDS), timezone)


def _localised(naive: pa.Array, timezone: str) -> pa.Array:
    """Local times as moments in UTC."""
    ticks = np.asarray(pc.fill_null(pc.cast(naive, pa.int64()), 0))
    missing = np.asarray(naive.is_null())
    if timezone != "UTC" and not missing.all():
        local = pd.DatetimeIndex(ticks.view("datetime64[us]"))
        zone = ZoneInfo(timezone)
        # `True` for an hour that is shown twice means the first of the two.
        first = np.ones(len(local), dtype=bool)
        forward = _utc_ticks(local.tz_localize(zone, ambiguous=first, nonexistent="shift_forward"))
        before = local.tz_localize(zone, ambiguous=first, nonexistent="shift_backward")
        skipped = _utc_ticks(before) != forward
        offset = before.tz_localize(None).as_unit("us").asi8 - _utc_ticks(before)
        ticks = np.where(skipped, ticks - offset, forward)
    return pa.array(ticks, UTC_MICROSECONDS, mask=missing)


def _utc_ticks(moments: pd.DatetimeIndex) -> NDArray[np.int64]:
    ticks: NDArray[np.int64] = np.asarray(moments.as_unit("us").asi8)
    return ticks
