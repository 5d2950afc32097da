"""The alerts of a night as incidents: by entity, by time, by the columns that they share.

What comes out does not depend on the order of the rows, and is the same for a night that is done again. A dataset
without entities has one group of all rows, one without times has one moment.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from schemas.incident_results import IncidentColumn
from tasks.incident_columns import NO_TIME, Vectors, clusters
from tasks.incident_severity import points_of

if TYPE_CHECKING:
    from schemas.incidents import IncidentSettings
    from tasks.incident_alerts import Alerts

MOST_GROUPS = 200
"""A night's incidents beyond so many, those with the fewest alerts, are one: nobody looks at each of them."""
MOST_COLUMNS = 8
MOST_ENTITIES = 20
MOST_KEYS = 100_000
"""More rows than a person can answer for: of an incident with more alerts the highest so many can be labelled."""


@dataclass(frozen=True)
class Group:
    """The part of an incident that lies in one night.

    Args:
        entity: What it is about; None where the dataset has no entities, or several are affected.
        columns: What made its alerts, largest mean share first.
        alerts: How many.
        score: The highest score.
        p_value: The lowest p-value.
        points: How severe it is by itself: 0..4.
        affected: How many entities have alerts of it.
        entities: Those with most alerts, where they are several.
        first_time: When its first alert happened.
        last_time: When its last alert happened.
        keys: The keys of its rows, highest score first.
    """

    entity: str | None
    columns: tuple[IncidentColumn, ...]
    alerts: int
    score: float
    p_value: float
    points: int = 0
    affected: int = 0
    entities: tuple[str, ...] = ()
    first_time: datetime | None = None
    last_time: datetime | None = None
    keys: tuple[str, ...] = ()


def grouped(alerts: Alerts, settings: IncidentSettings, threshold: float, wished: float) -> tuple[Group, ...]:
    """Group the alerts of a night, the largest group first.

    Args:
        alerts: The alerts.
        settings: What belongs together.
        threshold: The score that made them alerts.
        wished: Alerts that a usual night shall have.
    """
    if not len(alerts):
        return ()
    entities = _entities(alerts)
    gap = settings.gap // timedelta(microseconds=1)
    labels = _spread(alerts, entities, _by_entity(alerts, entities, settings.agreement, gap), settings, gap)
    rows = _capped(_rows_of(labels))
    made = [_group(alerts.only(some), [entities[at] for at in some.tolist()]) for some in rows]
    rated = [_rated(group, settings, threshold, wished) for group in made]
    return tuple(sorted(rated, key=_order))


def _entities(alerts: Alerts) -> list[str | None]:
    if "entity" not in alerts.table.column_names:
        return [None] * len(alerts)
    # No database holds this sign in a text.
    return [
        text if text is None else text.replace("\x00", "\N{REPLACEMENT CHARACTER}")
        for text in alerts.table["entity"].to_pylist()
    ]


def _by_entity(alerts: Alerts, entities: Sequence[str | None], agreement: float, gap: int) -> Any:
    """Number the cluster of each alert, entity by entity, int64 [alerts]."""
    number = {name: at for at, name in enumerate(dict.fromkeys(entities))}
    labels = np.empty(len(alerts), dtype=np.int64)
    made = 0
    for rows in _rows_of(np.array([number[name] for name in entities], dtype=np.int64)):
        labels[rows] = made + clusters(alerts.vectors.of(rows), agreement, gap)
        made += int(labels[rows].max()) - made + 1
    return labels


def _spread(alerts: Alerts, entities: Sequence[str | None], labels: Any, settings: IncidentSettings, gap: int) -> Any:
    """Put together what many entities have at the same time."""
    of = _rows_of(labels)
    names = [entities[int(rows[0])] for rows in of]
    if len({name for name in names if name is not None}) < settings.spread:
        return labels
    wide = clusters(_stands_for(alerts.vectors, of, len(alerts.names)), settings.agreement, gap)
    spread = labels.copy()
    for members in _rows_of(wide):
        if len({names[at] for at in members.tolist()} - {None}) >= settings.spread:
            for at in members.tolist():
                spread[of[at]] = len(of) + int(members[0])
    return spread


def _stands_for(vectors: Vectors, groups: Sequence[Any], columns: int) -> Vectors:
    """One vector for each group of alerts: its mean, cut to the largest shares, and the middle of its time."""
    width = min(MOST_COLUMNS, max(columns, 1))
    codes, shares = np.full((len(groups), width), -1, dtype=np.int64), np.zeros((len(groups), width))
    times = np.full(len(groups), NO_TIME)
    for at, rows in enumerate(groups):
        found = _mean(vectors.of(rows))[:width]
        codes[at, : len(found)] = [code for code, _ in found]
        shares[at, : len(found)] = [share for _, share in found]
        known = np.sort(vectors.times[rows][vectors.times[rows] != NO_TIME])
        times[at] = known[len(known) // 2] if len(known) else NO_TIME
    return Vectors(codes, shares, times, np.array([len(rows) for rows in groups], dtype=np.int64))


def _mean(vectors: Vectors) -> list[tuple[int, float]]:
    """Numbers and mean shares of the columns of some alerts, largest first."""
    total = vectors.shares.sum(axis=1, keepdims=True)
    shares = np.divide(vectors.shares, total, out=np.zeros_like(vectors.shares), where=total > 0)
    codes, inverse = np.unique(vectors.codes, return_inverse=True)
    sums = np.bincount(inverse.reshape(-1), shares.reshape(-1), len(codes)) / len(vectors)
    order = np.lexsort((codes, -sums))
    return [(int(codes[at]), float(sums[at])) for at in order.tolist() if codes[at] >= 0 and sums[at] > 0]


def _rows_of(labels: Any) -> list[Any]:
    """The places of each label, in the order in which the labels come first."""
    order = np.argsort(labels, kind="stable")
    rows = np.split(order, np.flatnonzero(np.diff(labels[order])) + 1)
    return sorted(rows, key=lambda some: int(some[0]))


def _capped(rows: list[Any]) -> list[Any]:
    if len(rows) <= MOST_GROUPS:
        return rows
    ranked = sorted(rows, key=lambda some: (-len(some), int(some[0])))
    return [*ranked[: MOST_GROUPS - 1], np.sort(np.concatenate(ranked[MOST_GROUPS - 1 :]))]


def _group(alerts: Alerts, entities: Sequence[str | None]) -> Group:
    counts = Counter(name for name in entities if name is not None)
    named = sorted(counts, key=lambda name: (-counts[name], name))
    ranked = alerts.table.sort_by([("score", "descending"), ("sereno_key", "ascending")])
    times = alerts.vectors.times[alerts.vectors.times != NO_TIME]
    columns = [
        IncidentColumn(column=alerts.names[code], share=round(share, 4))
        for code, share in _mean(alerts.vectors)[:MOST_COLUMNS]
    ]
    return Group(
        entity=named[0] if len(named) == 1 and len(counts) == len(set(entities)) else None,
        columns=tuple(columns),
        alerts=len(alerts),
        score=_finite(ranked["score"][0].as_py()),
        p_value=_finite(min(alerts.table["p_value"].to_pylist())),
        affected=len(named),
        entities=tuple(named[:MOST_ENTITIES]) if len(named) > 1 else (),
        first_time=_moment(times.min()) if len(times) else None,
        last_time=_moment(times.max()) if len(times) else None,
        keys=tuple(dict.fromkeys(ranked["sereno_key"].slice(0, MOST_KEYS).to_pylist())),
    )


def _rated(group: Group, settings: IncidentSettings, threshold: float, wished: float) -> Group:
    return replace(group, points=points_of(group.score - threshold, group.alerts / max(wished, 1.0), settings.severity))


def _order(group: Group) -> tuple[Any, ...]:
    return -group.points, -group.alerts, -group.score, group.entity or "", group.keys[:1]


def _finite(value: float | None) -> float:
    return float(np.nan_to_num(value or 0.0))


def _moment(microseconds: Any) -> datetime | None:
    try:
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(microseconds))
    except OverflowError:
        return None
