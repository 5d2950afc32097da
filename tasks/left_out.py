"""Why a column is no feature: constant, empty, key-like, free text, a label, a duplicate, a clock."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from schemas.features import ColumnType
from tasks.physical_ranges import is_port
from tasks.profile import ColumnFacts, Profile

ID_NAME = re.compile(r"(^|[^a-z])(id|uid|uuid|guid|key|udi|rowid|index|idx|seq|sequence|no|nr|serial|hash)s?$|_?id$")
LABEL = re.compile(
    r"(^|[^a-z])(label|labels|attack|attack_?cat|attack_?type|anomaly|is_anomaly|anomalous|changepoint|outlier|target|"
    r"ground_?truth|att_flag|fraud|malicious|is_attack|detailed-?label|detailedlabel|intrusion)([^a-z]|$)|"
    r"(^|[^a-z])failure$"
)
FEW, ENOUGH_ROWS = 20, 100
COMMON_PORTS = 64


def why_left_out(name: str, facts: ColumnFacts, profile: Profile, twins: Mapping[str, str]) -> str | None:
    """Why a column is no feature, or None where it is one.

    Args:
        name: The contract's name.
        facts: What it holds.
        profile: For the files' boundaries.
        twins: Columns that repeat another one.
    """
    if LABEL.search(name.lower()) and facts.distinct > 1:
        return "looks like a label: an answer must not be a feature"
    if name in twins:
        return f"duplicate of column {shown_value(twins[name])}"
    if facts.type is ColumnType.TIME:
        return "another time than the event time"
    return _says_nothing(facts) or (_number(name, facts, profile) if facts.is_numeric else _text(facts))


def shown_value(text: str) -> str:
    """A value in a comment or reason: one line, bounded."""
    text = re.sub(r"\s+", " ", text)
    return repr(text) if len(text) <= 40 else f"'{text[:40]}...'"


def _says_nothing(facts: ColumnFacts) -> str | None:
    if facts.present == 0:
        return f"empty: no value in {facts.rows:,} rows"
    if facts.distinct == 1 and facts.missing == 0:
        return f"constant: always {shown_value(facts.counts[0][0])}"
    return None


def _ratio(facts: ColumnFacts) -> str:
    return f"{facts.distinct:,} values in {facts.present:,} rows"


def _text(facts: ColumnFacts) -> str | None:
    if facts.type is ColumnType.TEXT:
        long = sum(len(v) * c for v, c in facts.counts) > 30 * sum(c for _, c in facts.counts)
        return f"{'free text' if long else 'key-like'}: {_ratio(facts)}"
    if facts.type is ColumnType.CATEGORY and facts.distinct > 0.7 * facts.present and facts.present > FEW:
        return f"key-like: {_ratio(facts)}"
    return None


def _number(name: str, facts: ColumnFacts, profile: Profile) -> str | None:
    if is_port(name, facts):
        common = sum(count for _, count in facts.counts[:COMMON_PORTS])
        return None if common >= 0.5 * facts.present else f"key-like: short-lived port numbers, {_ratio(facts)}"
    return _counts_on(facts, profile) or (_key_like(name, facts) if facts.type is ColumnType.INTEGER else None)


def _counts_on(facts: ColumnFacts, profile: Profile) -> str | None:
    """Row numbers, clocks and counters: they say where in the file a row stands."""
    if facts.numbers is None or facts.present < facts.rows or facts.rows < 3:
        return None
    steps = np.diff(facts.numbers)[np.diff(profile.file_of) == 0]
    if steps.size and bool((steps == 1).all()):
        return "a row number: goes up by one from row to row"
    if facts.distinct > FEW and facts.rows >= ENOUGH_ROWS and bool((steps >= 0).all()):
        return "only rises within a file, as a clock or a counter does"
    return None


def _key_like(name: str, facts: ColumnFacts) -> str | None:
    values = facts.finite[facts.finite != 0]
    if values.size <= 50 or len(np.unique(values)) <= 0.9 * values.size:
        return None
    if ID_NAME.search(name.lower()):
        return f"key-like: {_ratio(facts)}"
    quarters = np.quantile(values, [0.25, 0.5, 0.75]) / max(1.0, float(values.max()))
    is_even = bool((np.abs(quarters - [0.25, 0.5, 0.75]) < 0.06).all())
    return f"key-like: spread evenly like random numbers, {_ratio(facts)}" if values.max() > 1e6 and is_even else None
