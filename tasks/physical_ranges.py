"""Physical ranges: bounds that hold by what a column is, never the largest value that merely was seen."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import numpy as np

from schemas.features import ColumnType
from tasks.profile import ColumnFacts, Floats

PORT = re.compile(
    r"(^|[^a-z])(src|dst|s|d|source|dest|destination|orig|resp|nat|local|remote|client|server)?[ _.-]?port$|"
    r"(orig|resp)_p$"
)
BOUNDED = (
    (re.compile(r"percent|(^|[^a-z])pct([^a-z]|$)|%|humidity"), 0.0, 100.0, "a percentage"),
    (re.compile(r"(^|[^a-z])hour(_of_day)?$"), 0.0, 23.0, "an hour of the day"),
    (re.compile(r"(^|[^a-z])minute$"), 0.0, 59.0, "a minute"),
    (re.compile(r"(^|[^a-z])month$"), 1.0, 12.0, "a month"),
    (re.compile(r"(^|[^a-z])(weekday|dayofweek|day_of_week)$"), 0.0, 7.0, "a day of the week"),
    (re.compile(r"(^|[^a-z])(lat|latitude)$"), -90.0, 90.0, "a latitude"),
    (re.compile(r"(^|[^a-z])(lon|lng|longitude)$"), -180.0, 180.0, "a longitude"),
    (re.compile(r"^(s|d|src|dst|ip)?_?ttl$"), 0.0, 255.0, "a time to live"),
    (re.compile(r"probability|(^|[^a-z])prob([^a-z]|$)"), 0.0, 1.0, "a probability"),
)
COUNTED = re.compile(
    r"byte|octet|pkt|packet|count|(^|[^a-z])(ct|cnt|num|no|nb|n|len|length|size|dur|age|bps|pps|qty|rms)([^a-z]|$)|duration|elapsed|"
    r"latency|rtt|jitter|error|retrans|request|bytes|speed|rpm|rate$|freq|(^|[^a-z])load|load$|loss|uptime|wear|weight|length|"
    r"amount_of|memory|disk|visits|hits|price"
)
SIGNED = re.compile(
    r"temp|volt|current|pressure|accel|angle|level|balance|delta|diff|offset|change|position|torque|phase|gain|score|error|drift|"
    r"trend|profit|residual|skew|slope|power|(^|[^a-z])(x|y|z|ax|ay|az|dx|dy|dz|dbm?)([^a-z]|$)"
)
OTHER_LETTER = re.compile(r"[^\W\d_a-z]")
"""Letters beyond a to z: they do not part words, so that the n of a longer word is no number."""
FEW_ZEROS = 0.002
FEW_OUTSIDE = 0.005


@dataclass(frozen=True)
class Range:
    """Physical bounds and the reason for them."""

    min: float | None = None
    max: float | None = None
    why: str = ""


def is_port(name: str, facts: ColumnFacts) -> bool:
    """Whether a column holds port numbers."""
    named = PORT.search(name.lower()) is not None and facts.is_numeric and facts.distinct > 1
    return named and facts.finite.size > 0 and facts.finite.min() >= 0 and facts.finite.max() <= 65_535


def physical_range(name: str, facts: ColumnFacts) -> Range:
    """The range of a numeric column, as far as its name and its values show what it is.

    A few values outside a range that the name implies are spoilt rows, not the measure of the range.
    """
    if not facts.is_numeric or not facts.finite.size:
        return Range()
    if is_port(name, facts):
        return Range(0, 65_535, "a port number")
    lower, values = OTHER_LETTER.sub("x", name.lower()), facts.finite
    bounded = (Range(a, b, what) for form, a, b, what in BOUNDED if form.search(lower) and _holds(values, a, b))
    found = next(bounded, None) or _from_zero(lower, facts)
    outside = int(np.sum(values < (-np.inf if found.min is None else found.min)))
    outside += int(np.sum(values > (np.inf if found.max is None else found.max)))
    return replace(found, why=f"{found.why}; {outside:,} values outside are quarantined") if outside else found


def _holds(values: Floats, least: float, most: float) -> bool:
    return float(np.mean((values < least) | (values > most))) <= FEW_OUTSIDE


def _from_zero(name: str, facts: ColumnFacts) -> Range:
    is_flag = facts.type is ColumnType.INTEGER and facts.distinct == 2 and bool(np.isin(facts.finite, (0, 1)).all())
    if is_flag:
        return Range(0, None, "yes or no as 1 and 0, or a small count")
    if COUNTED.search(name) and not _measured(name) and _holds(facts.finite, 0, np.inf):
        return Range(0, None, "an amount cannot be negative")
    if facts.finite.min() >= 0 and not SIGNED.search(name) and _looks_like_an_amount(facts):
        return Range(0, None, "an amount: often exactly 0, never negative, with a long tail")
    return Range()


def _measured(name: str) -> bool:
    return re.search(r"temp|volt|current|pressure|accel|delta|diff|change|offset", name) is not None


def _looks_like_an_amount(facts: ColumnFacts) -> bool:
    values = facts.finite
    if facts.distinct <= 2:
        return False
    zeros = float(np.mean(values == 0))
    if zeros < FEW_ZEROS or values.size < 100:
        return False
    above = values[values > 0]
    if not above.size:
        return False
    return bool(np.quantile(above, 0.99) >= 3 * np.median(above) or (above == np.trunc(above)).all())
