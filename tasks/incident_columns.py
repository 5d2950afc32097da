"""Which alerts share their columns and their time: the arithmetic behind incidents, on plain arrays.

An alert is a vector of shares, column by column. Alerts with the same leading columns are one node; nodes join, largest
first, the cluster whose mean they agree with best. What one cause blames on different columns, row by row, is put
together again afterwards: clusters that agree less, but happened in the same moments, those that only lie at another's
rim, and single alerts in the moments of a crowd. The work grows with the alerts; what is done pair by pair is bounded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

MOST_COLUMNS = 400
MOST_NODES = 2_000
MOST_PAIRED = 200
LEADING = 0.5
"""An alert's leading columns make up at least this much of what is known of its score."""
MOST_CROWDS = 50
CROWD = 5
IN_ONE_CROWD, AT_ONCE = 0.4, 0.2
"""Of the agreement asked for, so much is enough between clusters of the same moments, and for single alerts in them."""
FEW, MOSTLY, AT_THE_RIM = 0.2, 0.5, 0.8
"""A cluster of so few alerts beside another's lies at its rim where so many of them nearly agree with its mean."""
INSIDE = 0.8
NO_TIME = np.iinfo(np.int64).min

Codes = np.ndarray[Any, np.dtype[np.int64]]
Shares = np.ndarray[Any, np.dtype[np.float64]]
Flags = np.ndarray[Any, np.dtype[np.bool_]]


@dataclass(frozen=True)
class Vectors:
    """Alerts as their columns' shares.

    Args:
        codes: Numbers of columns, int64 [alerts, columns]; -1 where an alert names fewer.
        shares: What each made, float64 [alerts, columns]; not negative, 0 where there is none.
        times: Microseconds since 1970, int64 [alerts]; `NO_TIME` where it is not known.
        weights: How many alerts each stands for, int64 [alerts].
    """

    codes: Codes
    shares: Shares
    times: Codes
    weights: Codes

    def __len__(self) -> int:
        return len(self.codes)

    def of(self, rows: Any) -> Vectors:
        """Some of them."""
        return Vectors(self.codes[rows], self.shares[rows], self.times[rows], self.weights[rows])


@dataclass
class _Cluster:
    """Alerts that go together: their places, their mean, and when they happened."""

    rows: Codes
    mean: Shares
    weight: int
    times: Codes


def clusters(alerts: Vectors, agreement: float, gap_us: int) -> Codes:
    """Number the cluster of each alert, int64 [alerts], from 0 and without holes.

    The same alerts in another order are clustered alike where they come sorted; the numbers say nothing.

    Args:
        alerts: At least one.
        agreement: Sum over columns of the smaller share that two have in common, 0..1.
        gap_us: Alerts of one cluster that lie further apart, in microseconds, are parted.
    """
    if len(alerts) == 1:
        return np.zeros(1, dtype=np.int64)
    nodes, place = _nodes(alerts, agreement)
    dense = _dense(alerts)
    means = _means(dense, place, alerts.weights, nodes)
    found = _led(means, np.bincount(place, alerts.weights, nodes).astype(float), agreement)[place]
    parted = _parted(found, alerts.times, gap_us)
    made = [_cluster(rows, dense, alerts) for rows in _rows_of(parted)]
    joined = _labels(len(alerts), _joined(made, dense, agreement, gap_us))
    return _drawn(joined, dense, alerts, agreement, gap_us)


def _nodes(alerts: Vectors, agreement: float) -> tuple[int, Codes]:
    """How many distinct sets of leading columns there are, and which one each alert has."""
    for leading in (max(LEADING, agreement), LEADING, 0.0):
        kept = np.where(_leads(alerts.shares, leading), alerts.codes, -1)
        sets, place = np.unique(np.sort(kept, axis=1), axis=0, return_inverse=True)
        if len(sets) <= MOST_NODES:
            break
    return len(sets), place.reshape(-1)


def _leads(shares: Shares, leading: float) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Which columns of an alert come before that much of its known shares is reached; always its largest one."""
    order = np.argsort(-shares, axis=1, kind="stable")
    ranked = np.take_along_axis(shares, order, axis=1)
    before = np.cumsum(ranked, axis=1) - ranked
    leads = (before < leading * ranked.sum(axis=1, keepdims=True)) & (ranked > 0)
    leads[:, 0] = ranked[:, 0] > 0
    back = np.empty_like(order)
    np.put_along_axis(back, order, np.arange(order.shape[1])[None, :], axis=1)
    return np.asarray(np.take_along_axis(leads, back, axis=1))


def _dense(alerts: Vectors) -> tuple[Codes, Shares]:
    """Column places [alerts, columns] and shares that add up to 1; the rarest of too many columns share a place.

    Alerts of which nothing is known have a place of their own.
    """
    known = alerts.codes >= 0
    names, inverse = np.unique(np.where(known, alerts.codes, -1), return_inverse=True)
    weight = np.bincount(inverse.reshape(-1), np.where(known, alerts.shares, 0.0).reshape(-1), len(names))
    rank = np.empty(len(names), dtype=np.int64)
    rank[np.argsort(-weight, kind="stable")] = np.arange(len(names))
    places = 1 + np.minimum(rank, MOST_COLUMNS)[inverse].reshape(alerts.codes.shape)
    total = alerts.shares.sum(axis=1, keepdims=True)
    shares = np.divide(alerts.shares, total, out=np.zeros_like(alerts.shares), where=total > 0)
    nothing = total[:, 0] <= 0
    places[nothing, 0], shares[nothing, 0] = 0, 1.0
    return places, shares


def _means(dense: tuple[Codes, Shares], place: Codes, weights: Codes, count: int) -> Shares:
    """Mean shares of each group of alerts, float64 [groups, columns]."""
    places, shares = dense
    width = int(places.max()) + 1
    flat = place[:, None] * width + places
    sums = np.bincount(flat.reshape(-1), (shares * weights[:, None]).reshape(-1), count * width)
    held = np.bincount(place, weights, count)
    return np.asarray(sums.reshape(count, width) / np.maximum(held, 1)[:, None])


def _led(means: Shares, weights: Shares, agreement: float) -> Codes:
    """The cluster that each node joins: the one whose mean it agrees with best, else one of its own."""
    order = np.argsort(-weights, kind="stable")
    leaders = np.zeros((min(len(means), MOST_PAIRED), means.shape[1]))
    held = np.zeros(len(leaders))
    joined = np.zeros(len(means), dtype=np.int64)
    made = 0
    for node in order:
        common = np.minimum(leaders[:made], means[node]).sum(axis=1)
        best = int(np.argmax(common)) if made else -1
        if best < 0 or (common[best] < agreement and made < len(leaders)):
            best, made = made, made + 1
        total = held[best] + weights[node]
        leaders[best] += (means[node] - leaders[best]) * (weights[node] / total)
        held[best] = total
        joined[node] = best
    return joined


def _parted(found: Codes, times: Codes, gap_us: int) -> Codes:
    """Clusters, parted where their alerts lie too far apart; those without a time stay with the first ones."""
    order = np.lexsort((times, found))
    after, at = times[order], found[order]
    far = np.zeros(len(order), dtype=bool)
    # In floating point: the distance of two moments may be beyond 64 bits.
    far[1:] = (after[:-1] != NO_TIME) & (np.diff(after.astype(np.float64)) > gap_us)
    numbers = np.cumsum(far | np.concatenate([[False], np.diff(at) != 0]))
    parted = np.empty(len(found), dtype=np.int64)
    parted[order] = numbers
    return parted


def _rows_of(labels: Codes) -> list[Codes]:
    order = np.argsort(labels, kind="stable")
    return [np.asarray(rows) for rows in np.split(order, np.flatnonzero(np.diff(labels[order])) + 1)]


def _cluster(rows: Codes, dense: tuple[Codes, Shares], alerts: Vectors) -> _Cluster:
    weights = alerts.weights[rows]
    mean = _means((dense[0][rows], dense[1][rows]), np.zeros(len(rows), dtype=np.int64), weights, 1)[0]
    times = np.sort(alerts.times[rows][alerts.times[rows] != NO_TIME])
    return _Cluster(rows, np.pad(mean, (0, MOST_COLUMNS + 2 - len(mean))), int(weights.sum()), times)


def _joined(made: Sequence[_Cluster], dense: tuple[Codes, Shares], agreement: float, gap_us: int) -> list[Codes]:
    """Put together what one cause blamed on different columns, the largest clusters first."""
    order = sorted(made, key=lambda one: -one.weight)
    kept: list[_Cluster] = []
    for one in order[:MOST_PAIRED]:
        into = next((large for large in kept if _belongs(one, large, dense, agreement, gap_us)), None)
        if into is None:
            kept.append(one)
        else:
            total = into.weight + one.weight
            into.mean = into.mean + (one.mean - into.mean) * (one.weight / total)
            into.rows, into.weight = np.concatenate([into.rows, one.rows]), total
            into.times = np.sort(np.concatenate([into.times, one.times]))
    return [one.rows for one in (*kept, *order[MOST_PAIRED:])]


def _belongs(one: _Cluster, large: _Cluster, dense: tuple[Codes, Shares], agreement: float, gap_us: int) -> bool:
    moments = _moments(large.times, gap_us)
    if moments is not None and len(one.times) and np.mean(_within(one.times, moments)) >= INSIDE:
        return float(np.minimum(one.mean, large.mean).sum()) >= IN_ONE_CROWD * agreement
    if one.weight > FEW * large.weight or not _near(one.times, large.times, gap_us):
        return False
    common = _common(one.rows, large.mean, dense)
    return bool(np.mean(common >= AT_THE_RIM * agreement) >= MOSTLY)


def _drawn(found: Codes, dense: tuple[Codes, Shares], alerts: Vectors, agreement: float, gap_us: int) -> Codes:
    """Give a crowd the few alerts of its moments that another cluster took for a column or two.

    Where less than one alert is usual in so short a time, hardly anything must be common for one to be the crowd's.
    """
    drawn, settled = found.copy(), np.zeros(len(found), dtype=bool)
    weights = np.bincount(found, alerts.weights)
    for label in np.argsort(-weights, kind="stable")[:MOST_CROWDS].tolist():
        own = drawn == label
        moments = _moments(np.sort(alerts.times[own & (alerts.times != NO_TIME)]), gap_us)
        weight = int(alerts.weights[own].sum())
        if weight < CROWD or moments is None:
            continue
        others = _within(alerts.times, moments) & ~own & ~settled
        held = np.bincount(drawn[others], alerts.weights[others], len(weights))
        rows = np.flatnonzero(others & (held[drawn] <= FEW * weight))
        least = IN_ONE_CROWD if _usual(alerts, own, moments) >= 1 else AT_ONCE
        mean = _cluster(np.flatnonzero(own), dense, alerts).mean
        alike = _common(rows, mean, dense) >= least * agreement
        # Where most of what another cluster has in these moments goes, the rest of it goes along.
        most = np.bincount(drawn[rows], alike, len(weights)) >= MOSTLY * np.bincount(
            drawn[rows], minlength=len(weights)
        )
        drawn[rows[alike | most[drawn[rows]]]] = label
        settled |= drawn == label
    return np.asarray(np.unique(drawn, return_inverse=True)[1].reshape(-1))


def _usual(alerts: Vectors, own: Flags, moments: tuple[float, float]) -> float:
    """How many alerts are to be expected in some moments, by those that lie outside of them."""
    known = alerts.times != NO_TIME
    outside = known & ~own & ~_within(alerts.times, moments)
    span = float(alerts.times[known].max()) - float(alerts.times[known].min()) - (moments[1] - moments[0])
    return float(alerts.weights[outside].sum()) * (moments[1] - moments[0]) / max(span, moments[1] - moments[0], 1.0)


def _common(rows: Codes, mean: Shares, dense: tuple[Codes, Shares]) -> Shares:
    """What each of some alerts has in common with a mean."""
    return np.asarray(np.minimum(mean[dense[0][rows]], dense[1][rows]).sum(axis=1))


def _moments(times: Codes, gap_us: int) -> tuple[float, float] | None:
    """The short time in which most of a cluster happened, and a margin around it; None where it is long."""
    if not len(times):
        return None
    low, high = np.quantile(times.astype(np.float64), [0.1, 0.9])
    margin = (high - low) / 2
    return (float(low - margin), float(high + margin)) if high - low <= gap_us else None


def _within(times: Codes, moments: tuple[float, float]) -> Flags:
    return np.asarray((times >= moments[0]) & (times <= moments[1]))


def _near(one: Codes, large: Codes, gap_us: int) -> bool:
    """Whether no more than the gap lies between two clusters; so it is where a time is not known."""
    if not len(one) or not len(large):
        return True
    between = max(float(one[0]) - float(large[-1]), float(large[0]) - float(one[-1]))
    return between <= gap_us


def _labels(count: int, groups: Sequence[Codes]) -> Codes:
    labels = np.empty(count, dtype=np.int64)
    for number, rows in enumerate(groups):
        labels[rows] = number
    return labels
