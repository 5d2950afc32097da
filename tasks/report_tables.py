"""The figures of the charts as short tables: for mail that shows no drawings, and for those who cannot see them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from schemas.results import ScoreDistribution, TrainingSummary
from tasks.chart_scales import merged, rising, thinned

MOST_BINS = 16
MOST_EPOCHS = 12
MOST_STAGES = 24
_SHARES = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0)


@dataclass(frozen=True)
class CurveRow:
    """What another threshold would have meant.

    Args:
        threshold: The threshold.
        alerts: How many alerts it would have given tonight.
        usual: About how many a usual night as large as this one has past it, by the calibration rows; None: not known.
        in_force: Whether it is the threshold that was used.
    """

    threshold: float
    alerts: int
    usual: float | None
    in_force: bool


@dataclass(frozen=True)
class BinRow:
    """How many rows scored between two values, tonight and among the calibration rows."""

    low: float
    high: float
    tonight: float
    calibration: float | None


@dataclass(frozen=True)
class EpochRow:
    """The loss after one epoch; None: not known."""

    epoch: int
    fit: float | None
    held_out: float | None
    best: bool


@dataclass(frozen=True)
class StageRow:
    """How long one stage took, and its share of the longest one in whole percent."""

    name: str
    seconds: float
    percent: int


def curve_rows(scores: ScoreDistribution, budget: float | None) -> tuple[CurveRow, ...]:
    """Return a few thresholds, highest first: the one in force and those around the budget."""
    pairs = sorted((t, n) for t, n in scores.alert_curve if math.isfinite(t))
    if len(pairs) < 2:
        return ()
    asked = budget if budget and math.isfinite(budget) else 20.0
    wanted = [max(1.0, asked * share) for share in _SHARES]
    kept = dict(next((p for p in pairs if p[1] <= most), pairs[-1]) for most in wanted)
    force = scores.threshold
    if force is not None and math.isfinite(force):
        near = min(pairs, key=lambda pair: abs(pair[0] - force))
        kept = {t: n for t, n in kept.items() if n != near[1]} | {force: near[1]}
    return tuple(
        CurveRow(t, n, _usual(scores, t), t == force)
        for t, n in sorted(kept.items(), reverse=True)
        if n > 0 or t == force
    )


def _usual(scores: ScoreDistribution, threshold: float) -> float | None:
    """Return how many of tonight's number of rows would lie past a threshold if they were calibration rows."""
    counts, edges = scores.calibration, scores.edges
    whole = sum(counts)
    if not whole or not rising(edges) or len(edges) != len(counts) + 1:
        return None
    past = 0.0
    for n, (low, high) in zip(counts, pairwise(edges), strict=True):
        past += n * min(1.0, max(0.0, (high - threshold) / (high - low)))
    return past / whole * sum(scores.tonight)


def bin_rows(scores: ScoreDistribution) -> tuple[BinRow, ...]:
    """Return the histogram with a few bins, lowest first."""
    if not rising(scores.edges) or len(scores.tonight) != len(scores.edges) - 1 or not any(scores.tonight):
        return ()
    tonight, edges = merged(scores.tonight, scores.edges, MOST_BINS)
    known = len(scores.calibration) == len(scores.tonight) and any(scores.calibration)
    usual: Sequence[float | None] = (
        merged(scores.calibration, scores.edges, MOST_BINS)[0] if known else [None] * len(tonight)
    )
    return tuple(BinRow(low, high, n, u) for (low, high), n, u in zip(pairwise(edges), tonight, usual, strict=True))


def epoch_rows(training: TrainingSummary) -> tuple[EpochRow, ...]:
    """Return the losses of a few epochs, the first, the best and the last among them."""
    epochs = max(len(training.loss), len(training.held_out_loss))
    best = _best(training.held_out_loss)
    shown = sorted({*thinned(range(1, epochs + 1), MOST_EPOCHS), *([best] if best else [])})
    return tuple(EpochRow(e, _at(training.loss, e), _at(training.held_out_loss, e), e == best) for e in shown)


def _best(losses: Sequence[float]) -> int | None:
    known = [(loss, i + 1) for i, loss in enumerate(losses) if math.isfinite(loss)]
    return min(known)[1] if known else None


def _at(losses: Sequence[float], epoch: int) -> float | None:
    return losses[epoch - 1] if epoch <= len(losses) else None


def stage_rows(seconds: Mapping[str, float]) -> tuple[StageRow, ...]:
    """Return how long each stage took, in the order given."""
    known = [(name, s) for name, s in seconds.items() if name != "total" and math.isfinite(s) and s >= 0]
    longest = max((s for _, s in known), default=0.0) or 1.0
    return tuple(StageRow(name, s, round(100 * (s / longest))) for name, s in known[:MOST_STAGES])
