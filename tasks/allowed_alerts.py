"""Alerts that the dataset file's allow-list takes: counted by rule, and in no incident."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date as Date
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from schemas.incident_results import Allowed

if TYPE_CHECKING:
    from schemas.dataset import Dataset
    from schemas.incidents import AllowRule
    from tasks.incident_alerts import Alerts

BATCH_ROWS = 65_536
_PLACE = ("sereno_file", "sereno_line", "sereno_key")

Flags = np.ndarray[Any, np.dtype[np.bool_]]


def without_allowed(
    dataset: Dataset, alerts: Alerts, accepted: Sequence[Path], night: Date
) -> tuple[Alerts, tuple[Allowed, ...]]:
    """The alerts that no rule takes, and how many each rule took; of several rules that fit, the first one counts.

    Args:
        dataset: The dataset.
        alerts: A night's alerts.
        accepted: Parquet files with the night's accepted rows, in any parts; read only where a rule names values.
        night: The logical date; a rule that has ended takes nothing.
    """
    rules = [rule for rule in dataset.incidents.allow if rule.until is None or night <= rule.until]
    if not rules or not len(alerts):
        return alerts, ()
    values = _values(alerts, accepted, sorted({name for rule in rules for name in rule.values}))
    left = np.ones(len(alerts), dtype=bool)
    counts = []
    for rule in rules:
        taken = left & _fits(rule, alerts, values)
        left &= ~taken
        until = rule.until.isoformat() if rule.until else None
        counts.append(Allowed(reason=rule.reason, alerts=int(taken.sum()), until=until))
    return alerts.only(left), tuple(one for one in counts if one.alerts)


def _fits(rule: AllowRule, alerts: Alerts, values: Mapping[str, Sequence[Any]]) -> Flags:
    fits = np.ones(len(alerts), dtype=bool)
    if rule.entity:
        of = alerts.table["entity"].to_pylist()
        known = {name: any(is_like(name, form) for form in rule.entity) for name in {*of} - {None}}
        fits &= np.array([known.get(name, False) for name in of], dtype=bool)
    if rule.column:
        fits &= np.isin(np.array(alerts.made_by, dtype=object), list(rule.column))
    for column, wanted in rule.values.items():
        same = _same_as(wanted)
        fits &= np.array([value is not None and same(value) for value in values[column]], dtype=bool)
    return fits


def is_like(name: str, form: str) -> bool:
    """Whether a name has a form, in which `*` stands for anything and every other sign for itself."""
    first, *rest = form.split("*")
    if not rest:
        return name == form
    *middle, last = rest
    if not name.startswith(first) or len(name) < len(first) + len(last) or not name.endswith(last):
        return False
    at, end = len(first), len(name) - len(last)
    for part in middle:
        found = name.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return True


def _same_as(wanted: bool | float | str) -> Callable[[Any], bool]:
    """Whether a value of a row is the one that a rule names: numbers as numbers, times and all else as text."""
    text = str(wanted)

    def same(value: Any) -> bool:
        if isinstance(value, bool) or isinstance(wanted, bool):
            return str(value).lower() == text.lower()
        if isinstance(value, datetime):
            return value.isoformat() == text
        if isinstance(value, int | float):
            return _number(text) == value
        return str(value) == text

    return same


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _values(alerts: Alerts, accepted: Sequence[Path], names: Sequence[str]) -> dict[str, list[Any]]:
    """What the alerts' rows hold in some columns; None where a row is not found."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    if not names:
        return {}
    keys = alerts.table["sereno_key"].combine_chunks()
    found: dict[tuple[Any, ...], tuple[Any, ...]] = {}
    for path in accepted:
        with pq.ParquetFile(path) as part:
            for batch in part.iter_batches(BATCH_ROWS, columns=list(dict.fromkeys([*_PLACE, *names]))):
                some = pa.Table.from_batches([batch]).filter(pc.is_in(batch["sereno_key"], keys))
                found.update(zip(_tuples(some, _PLACE), _tuples(some, names), strict=True))
    nothing = (None,) * len(names)
    rows = [found.get(place, nothing) for place in _tuples(alerts.table, _PLACE)]
    return {name: [row[at] for row in rows] for at, name in enumerate(names)}


def _tuples(table: Any, names: Sequence[str]) -> list[tuple[Any, ...]]:
    return list(zip(*(table[name].to_pylist() for name in names), strict=True))
