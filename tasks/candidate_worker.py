"""A worker's side of the choice among families: it holds training processes, trains, and scores what came out."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from schemas.errors import SerenoError, TrainingFailed
from tasks.train import TrainingOutcome, TrainingProcess, TrainingRequest

# A process that works keeps its training processes from rung to rung: each import of TensorFlow takes ten seconds.
_held: list[TrainingProcess] = []
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
class JudgingRows:
    """Where the rows that judge lie, as files that every worker can read.

    Args:
        usual: Parquet file of rows as they came.
        planted: Parquet file of their spoilt twins.
    """

    usual: Path
    planted: Path


def train_in_turn(requests: Sequence[dict[str, Any]], battery: JudgingRows, folder: Path) -> list[Judged]:
    """Train candidates one after the other in a process that this one holds; a failure is a result too.

    Args:
        requests: `TrainingRequest.to_json` of each.
        battery: What they are judged on.
        folder: For the logs of training processes.
    """
    with _borrowed(folder) as process:
        return [_train(process, TrainingRequest.from_json(request), battery) for request in requests]


def _train(process: TrainingProcess, request: TrainingRequest, battery: JudgingRows) -> Judged:
    if process not in _held:
        raise TrainingFailed("the choice among candidates was given up")
    try:
        outcome = process.train(request)
        return Judged(outcome, _score(outcome, battery))
    except SerenoError as error:
        return Judged(None, None, error.message)


def _score(outcome: TrainingOutcome, battery: JudgingRows) -> float:
    import numpy as np
    import pandas as pd

    from models.comparison import auroc
    from models.scoring import Scorer

    scorer = Scorer(outcome.bundle, outcome.bundle_hash)
    usual, planted = (scorer.score(pd.read_parquet(path), top=0).score for path in (battery.usual, battery.planted))
    return round(float(auroc(usual, planted, np.ones((1, len(usual))))[0]), 6)


@contextmanager
def _borrowed(folder: Path) -> Iterator[TrainingProcess]:
    with _lock:
        process = _free.pop() if _free else _another(folder)
        if process not in _held:
            _held.append(process)
    try:
        yield process
    finally:
        with _lock:
            if process in _held:
                _free.append(process)


def _another(folder: Path) -> TrainingProcess:
    own = folder / f"{os.getpid()}-{threading.get_ident()}"
    own.mkdir(parents=True, exist_ok=True)
    return TrainingProcess(own)


@contextmanager
def lent(process: TrainingProcess) -> Iterator[None]:
    """Let candidates that train in this very process use a training process that is there already.

    It outlives the choice, unless that is given up in the middle of a training.
    """
    with _lock:
        _held.append(process)
        _free.append(process)
    try:
        yield
    except BaseException:
        _forget(process)
        process.close()
        raise
    finally:
        _forget(process)


def end_processes() -> None:
    """End the training processes that this process holds, whatever they do."""
    with _lock:
        ended, _held[:], _free[:] = list(_held), [], []
    for process in ended:
        process.close()


def _forget(process: TrainingProcess) -> None:
    with _lock:
        for known in (_held, _free):
            known[:] = [each for each in known if each is not process]
