"""Scores one part of a night; what a Dask worker runs. Imports neither Prefect nor TensorFlow."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from models.scoring import Scorer, Scores

BATCH_ROWS = 65_536
USUAL = 0.5  # a p-value: half of usual rows have a lower one
BIN = 1 / 32
BINS = 3_200
"""Histogram bins of one width from 0 to 100: scores are logarithms, and the last bin takes what lies above."""

_scorers: dict[tuple[str, str], Scorer] = {}
_lock = threading.Lock()


@dataclass(frozen=True)
class ScoreJob:
    """What all parts of a night share.

    Args:
        bundle: The bundle's folder.
        bundle_hash: The hash that it must have.
        version: Registered version, written beside each score.
        in_sample: Whether the rows trained the detector.
        key: Key columns, kept with their types.
        entity: The entity column.
        event_time: The event time column.
        schema: Columns of `scores`.
        folder: Where the parts are written.
        top: Most alerts that come back from a part.
    """

    bundle: Path
    bundle_hash: str
    version: str
    in_sample: bool
    key: tuple[str, ...]
    entity: str | None
    event_time: str | None
    schema: pa.Schema
    folder: Path
    top: int


@dataclass(frozen=True)
class PartScores:
    """What comes back from a worker.

    Args:
        path: The part of `scores`.
        rows: Its rows.
        alerts: Rows past the threshold.
        counts: Rows in each bin, int64 [BINS].
        highest: The highest score; 0 where there are no rows.
        top: The highest alerts, columns of `scores`.
        above_usual: Rows that score above the median of usual ones.
    """

    path: Path
    rows: int
    alerts: int
    counts: np.ndarray[Any, np.dtype[np.int64]]
    highest: float
    top: pa.Table
    above_usual: int = 0


def score_part(item: tuple[int, Path], job: ScoreJob) -> PartScores:
    """Score one Parquet part of `accepted` into one of `scores`; doing it again gives the same file.

    Args:
        item: The part's number and path.
        job: What all parts share.

    Raises:
        BundleError: The bundle is not the one that was asked for.
        UnreadableInput: Columns are missing.
    """
    import pyarrow.parquet as pq

    number, source = item
    scorer = _scorer(job)
    target = job.folder / f"scores-{number:06d}.parquet"
    draft = target.with_suffix(f".{os.getpid()}-{threading.get_ident()}.draft")
    counts = np.zeros(BINS, dtype=np.int64)
    rows, highest, top = 0, 0.0, job.schema.empty_table()
    alerts = above_usual = 0
    with pq.ParquetFile(source) as part, pq.ParquetWriter(draft, job.schema) as writer:
        for batch in part.iter_batches(BATCH_ROWS, columns=_columns(scorer, job)):
            scored, scores = _score(pa.Table.from_batches([batch]), scorer, job)
            writer.write_table(scored)
            counts += histogram(scores.score)
            rows, alerts = rows + len(scored), alerts + int(scores.is_alert.sum())
            above_usual += int(np.sum(scores.p_value < USUAL))
            highest = max(highest, float(scores.score.max(initial=0.0)))
            top = ranked(pa.concat_tables([top, scored.filter(pa.array(scores.is_alert))]), job.top)
    draft.replace(target)
    return PartScores(target, rows, alerts, counts, highest, top, above_usual)


def histogram(scores: np.ndarray[Any, np.dtype[np.float64]]) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Rows in each bin, int64 [BINS]; a score on an edge counts to the bin above it."""
    bins = np.clip(np.floor(scores / BIN), 0, BINS - 1).astype(np.int64)
    return np.bincount(bins, minlength=BINS).astype(np.int64)


def ranked(table: pa.Table, most: int) -> pa.Table:
    """The rows with the highest scores, highest first; equal ones by key, file and line."""
    order = [
        ("score", "descending"),
        ("sereno_key", "ascending"),
        ("sereno_file", "ascending"),
        ("sereno_line", "ascending"),
    ]
    return table.sort_by(order).slice(0, most)


def named_by(rows: pa.Table, key: Sequence[str], entity: str | None, event_time: str | None) -> dict[str, Any]:
    """What says which row it is, by the names that `scores` has for it."""
    columns: dict[str, Any] = {name: rows[name] for name in key}
    if entity is not None:
        columns["entity"] = rows[entity].cast(pa.string())
    if event_time is not None:
        columns["event_time"] = rows[event_time]
    return columns


def _score(rows: pa.Table, scorer: Scorer, job: ScoreJob) -> tuple[pa.Table, Scores]:
    scores = scorer.score(rows.to_pandas())
    columns = named_by(rows, job.key, job.entity, job.event_time)
    columns |= {name: rows[name] for name in ("sereno_key", "sereno_file", "sereno_line")}
    columns |= {
        "score": pa.array(scores.score),
        "p_value": pa.array(scores.p_value),
        "is_alert": pa.array(scores.is_alert),
        "in_sample": pa.repeat(pa.scalar(job.in_sample), len(rows)),
        "model_version": pa.repeat(pa.scalar(job.version), len(rows)),
        "contributions": scores.contributions,
        # A second stage, which sees the night's alerts, fills these.
        "suppressed": pa.nulls(len(rows), pa.bool_()),
        "reducer_score": pa.nulls(len(rows), pa.float64()),
    }
    return pa.table([columns[name] for name in job.schema.names], names=job.schema.names).cast(job.schema), scores


def _columns(scorer: Scorer, job: ScoreJob) -> list[str]:
    own = ("sereno_key", "sereno_file", "sereno_line")
    roles = [name for name in (job.entity, job.event_time) if name]
    return list(dict.fromkeys([*scorer.columns, *job.key, *roles, *own]))


def _scorer(job: ScoreJob) -> Scorer:
    """Open the bundle once in each worker; the threads of one process share it."""
    from models.scoring import Scorer

    place = (job.bundle_hash, str(job.bundle))
    with _lock:
        if place not in _scorers:
            _scorers.clear()
            _scorers[place] = Scorer(job.bundle, job.bundle_hash)
        return _scorers[place]
