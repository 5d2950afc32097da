"""A worker's side of the choice among families: it holds training processes, trains, and scores what came out."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from schemas.errors import SerenoError
from tasks.train import TrainingOutcome, TrainingProcess, TrainingRequest

# A process that works keeps its training processes from rung to rung: each import of TensorFlow takes ten seconds.
_free: list[TrainingProcess] = []
_lock = threading.Lock()


@dataclass(frozen=True)
class Judged:
    """What a candidate's training gave on one rung.

    Args:
        outcome: Its detector; None where it failed.
        score: AUROC on the planted anomalies.
        failure: Why there is none.
    """

    outcome: TrainingOutcome | None
    score: float | None
    failure: str = ""


@dataclass(frozen=True)
class Battery:
    """Where the rows to find planted anomalies among lie, as files that every worker can read.

    Args:
        usual: Parquet file of rows as they came.
        planted: Parquet file of their spoilt twins.
    """

    usual: Path
    planted: Path


def train_in_turn(requests: Sequence[dict[str, Any]], battery: Battery, folder: Path) -> list[Judged]:
    """Train candidates one after the other in a process that this one holds; a failure is a result too.

    Args:
        requests: `TrainingRequest.to_json` of each.
        battery: What they are judged on.
        folder: For the logs of training processes.
    """
    with _held(folder) as process:
        return [_train(process, TrainingRequest.from_json(request), battery) for request in requests]


def _train(process: TrainingProcess, request: TrainingRequest, battery: Battery) -> Judged:
    try:
        outcome = process.train(request)
        return Judged(outcome, _score(outcome, battery))
    except SerenoError as error:
        return Judged(None, None, error.message)


def _score(outcome: TrainingOutcome, battery: Battery) -> float:
    import numpy as np
    import pandas as pd

    from models.comparison import auroc
    from models.scoring import Scorer

    scorer = Scorer(outcome.bundle, outcome.bundle_hash)
    usual, planted = (scorer.score(pd.read_parquet(path), top=0).score for path in (battery.usual, battery.planted))
    return round(float(auroc(usual, planted, np.ones((1, len(usual))))[0]), 6)


@contextmanager
def _held(folder: Path) -> Iterator[TrainingProcess]:
    with _lock:
        process = _free.pop() if _free else _another(folder)
    try:
        yield process
    finally:
        with _lock:
            _free.append(process)


def _another(folder: Path) -> TrainingProcess:
    own = folder / f"{os.getpid()}-{threading.get_ident()}"
    own.mkdir(parents=True, exist_ok=True)
    return TrainingProcess(own)


@contextmanager
def lent(process: TrainingProcess) -> Iterator[None]:
    """Let candidates that train in this very process use a training process that is there already."""
    with _lock:
        _free.append(process)
    try:
        yield
    finally:
        with _lock:
            _free[:] = [each for each in _free if each is not process]


def end_processes() -> None:
    """End the training processes that this process holds."""
    with _lock:
        ended, _free[:] = list(_free), []
    for process in ended:
        process.close()
