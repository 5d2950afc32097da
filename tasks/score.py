"""Scores a night's accepted rows with one version of the detector, part by part through Dask."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from schemas.results import Alert, Reduction, ScoreDistribution
from schemas.tables import scores_schema
from tasks.alert import alerts_of
from tasks.score_part import BIN, PartScores, ScoreJob, histogram, ranked, score_part
from tasks.threshold_choices import with_rule

if TYPE_CHECKING:
    import pyarrow as pa

    from infra.runtime.compute import Compute
    from schemas.dataset import Dataset

TOP_ALERTS = 200
MOST_BINS = 60
CURVE_POINTS = 40


@dataclass(frozen=True)
class Scored:
    """What scoring a night found.

    Args:
        rows: Scored rows.
        alerts: Rows past the threshold.
        parts: Parquet files with the columns of `scores`, in the order of the accepted parts.
        top: The highest alerts, at most `TOP_ALERTS`, ranked.
        distribution: Tonight's scores beside the calibration scores.
        threshold: The score above which a row is an alert.
        above_usual: Share of the rows that score above the median of usual ones; None where there are no rows.
        suppressed: The highest of those that people's labels took out of `top`.
        reduction: What the second stage made of the alerts; None where nobody labelled any.
    """

    rows: int
    alerts: int
    parts: tuple[Path, ...]
    top: tuple[Alert, ...]
    distribution: ScoreDistribution
    threshold: float
    above_usual: float | None = None
    suppressed: tuple[Alert, ...] = ()
    reduction: Reduction | None = None


def score(
    dataset: Dataset,
    accepted: Sequence[Path],
    bundle: Path,
    bundle_hash: str,
    version: str,
    compute: Compute,
    work: Path,
    *,
    in_sample: bool,
) -> Scored:
    """Score accepted rows; score, p-value and alert come from the bundle alone, never from tonight's ranks.

    Args:
        dataset: The dataset.
        accepted: Parquet parts of `accepted`.
        bundle: The detector's folder.
        bundle_hash: The hash that the ledger has for it.
        version: Its registered version.
        compute: Where the parts are scored.
        work: Scratch folder of the run.
        in_sample: Whether these rows trained the detector.

    Raises:
        BundleError: The bundle is not the one that was asked for.
        UnreadableInput: The rows lack columns that the detector reads.
    """
    from models.bundle import open_bundle

    opened = open_bundle(bundle, bundle_hash)
    folder = work / "scores"
    folder.mkdir(parents=True, exist_ok=True)
    job = ScoreJob(
        bundle=bundle,
        bundle_hash=bundle_hash,
        version=version,
        in_sample=in_sample,
        key=dataset.key,
        entity=dataset.entity,
        event_time=dataset.event_time,
        schema=scores_schema(dataset),
        folder=folder,
        top=TOP_ALERTS,
    )
    parts = compute.map(score_part, list(enumerate(accepted)), job)
    alerts, rows = sum(part.alerts for part in parts), sum(part.rows for part in parts)
    return Scored(
        rows=rows,
        alerts=alerts,
        parts=tuple(part.path for part in parts),
        top=_top(parts, job.schema),
        distribution=with_rule(distribution(parts, opened.calibration, opened.threshold, alerts), opened),
        threshold=opened.threshold,
        above_usual=round(sum(part.above_usual for part in parts) / rows, 6) if rows else None,
    )


def distribution(parts: Sequence[PartScores], calibration: Any, threshold: float, alerts: int) -> ScoreDistribution:
    """Tonight's scores and the calibration scores on common edges, and how many alerts other thresholds would give.

    Args:
        parts: What the workers counted.
        calibration: Calibration scores, float64 [rows].
        threshold: The threshold in force.
        alerts: Tonight's alerts.
    """
    if not parts or not any(part.rows for part in parts):
        return ScoreDistribution(threshold=threshold)
    tonight = np.sum([part.counts for part in parts], axis=0)
    usual = histogram(calibration)
    filled = np.flatnonzero(tonight + usual)
    first, last = int(filled[0]), int(filled[-1]) + 1
    step = -(-(last - first) // MOST_BINS)
    starts = np.arange(first, last, step)
    edges = [*(starts * BIN).tolist(), float((starts[-1] + step) * BIN)]
    highest = max(part.highest for part in parts)
    edges[-1] = max(edges[-1], highest)  # the last bin also holds what lies above the finest bins
    return ScoreDistribution(
        edges=tuple(edges),
        tonight=_joined(tonight, starts, last),
        calibration=_joined(usual, starts, last),
        threshold=threshold,
        alert_curve=_curve(tonight, threshold, alerts),
    )


def repartition(paths: Sequence[Path], count: int, work: Path) -> tuple[Path, ...]:
    """Write the same rows, in their order, into another number of parts.

    Args:
        paths: Parquet parts of one schema.
        count: How many parts to write; some are empty where there are fewer rows.
        work: Folder to write to.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.concat_tables([pq.read_table(path) for path in paths])
    bounds = np.linspace(0, len(table), count + 1).astype(int).tolist()
    work.mkdir(parents=True, exist_ok=True)
    written = []
    for number, (start, end) in enumerate(pairwise(bounds)):
        path = work / f"part-{count:04d}-{number:06d}.parquet"
        pq.write_table(table.slice(start, end - start), path)
        written.append(path)
    return tuple(written)


def _joined(counts: Any, starts: Any, last: int) -> tuple[int, ...]:
    return tuple(int(n) for n in np.add.reduceat(counts[:last], starts))


def _curve(tonight: Any, threshold: float, alerts: int) -> tuple[tuple[float, int], ...]:
    """(threshold, alerts) from the median upwards; thresholds lie on bin edges, so that the counts are exact."""
    above = np.cumsum(tonight[::-1])[::-1]
    wanted = np.flatnonzero((above > 0) & (above <= above[0] / 2))
    picked = wanted[np.unique(np.linspace(0, len(wanted) - 1, CURVE_POINTS).astype(int))] if len(wanted) else wanted
    points = {float(at * BIN): int(above[at]) for at in picked.tolist()}
    return tuple(sorted({**points, threshold: alerts}.items()))


def _top(parts: Sequence[PartScores], schema: pa.Schema) -> tuple[Alert, ...]:
    import pyarrow as pa

    merged = pa.concat_tables([schema.empty_table(), *(part.top for part in parts)])
    return alerts_of(ranked(merged, TOP_ALERTS))
