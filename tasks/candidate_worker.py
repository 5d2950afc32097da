"""A worker's side of the choice among families: it holds training processes, trains, and scores what came out."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from infra.runtime.holder import Holder
from schemas.errors import SerenoError, TrainingFailed
from tasks.train import TrainingOutcome, TrainingProcess, TrainingRequest

LOOK_SECONDS = 1.0
_ENDED_KNOWN = 1_000

# A process that works keeps its training processes from rung to rung: each import of TensorFlow takes ten seconds.
_held: dict[str, list[TrainingProcess]] = {}
_free: dict[str, list[TrainingProcess]] = {}
_ended: deque[str] = deque(maxlen=_ENDED_KNOWN)
_lock = threading.Lock()


@dataclass(frozen=True)
class Choice:
    """One run's choice, as the workers know it: they may work for several at once.

    Args:
        folder: For the logs of training processes.
        holder: The run's process; trainings end with it.
        name: Its name, another one for each choice.
    """

    folder: Path
    holder: Holder = field(default_factory=Holder.this_process)
    name: str = field(default_factory=lambda: uuid4().hex)


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


def train_in_turn(requests: Sequence[dict[str, Any]], battery: JudgingRows, choice: Choice) -> list[Judged]:
    """Train candidates one after the other in a process that this one holds; a failure is a result too.

    Args:
        requests: `TrainingRequest.to_json` of each.
        battery: What they are judged on.
        choice: For whom.

    Raises:
        TrainingFailed: The choice was given up meanwhile.
    """
    with _borrowed(choice) as process:
        return [_train(process, TrainingRequest.from_json(request), battery, choice) for request in requests]


def _train(process: TrainingProcess, request: TrainingRequest, battery: JudgingRows, choice: Choice) -> Judged:
    if process not in _held.get(choice.name, ()):
        raise _given_up()
    try:
        outcome = process.train(request)
        return Judged(outcome, _score(outcome, battery))
    except SerenoError as error:
        return Judged(None, None, error.message)


def _given_up() -> TrainingFailed:
    return TrainingFailed("the choice among candidates was given up")


def _score(outcome: TrainingOutcome, battery: JudgingRows) -> float:
    import numpy as np
    import pandas as pd

    from models.comparison import auroc
    from models.scoring import Scorer

    scorer = Scorer(outcome.bundle, outcome.bundle_hash)
    usual, planted = (scorer.score(pd.read_parquet(path), top=0).score for path in (battery.usual, battery.planted))
    return round(float(auroc(usual, planted, np.ones((1, len(usual))))[0]), 6)


@contextmanager
def _borrowed(choice: Choice) -> Iterator[TrainingProcess]:
    with _lock:
        if choice.name in _ended or choice.holder.alive() is False:
            raise _given_up()
        process = _free[choice.name].pop() if _free.get(choice.name) else _another(choice.folder)
        _hold(process, choice)
    try:
        yield process
    finally:
        with _lock:
            if process in _held.get(choice.name, ()):
                _free[choice.name].append(process)


def _another(folder: Path) -> TrainingProcess:
    own = folder / f"{os.getpid()}-{threading.get_ident()}"
    own.mkdir(parents=True, exist_ok=True)
    return TrainingProcess(own)


def _hold(process: TrainingProcess, choice: Choice) -> None:
    if choice.name not in _held:
        _held[choice.name], _free[choice.name] = [], []
        if choice.holder != Holder.this_process():
            threading.Thread(target=_watch, args=(choice,), name=f"choice-{choice.name[:8]}", daemon=True).start()
    if process not in _held[choice.name]:
        _held[choice.name].append(process)


def _watch(choice: Choice) -> None:
    """End the trainings of a run that was killed, and could not say so."""
    looks = threading.Event()
    while choice.name not in _ended:
        if choice.holder.alive() is False:
            end_processes(choice.name)
        looks.wait(LOOK_SECONDS)


@contextmanager
def lent(process: TrainingProcess, choice: Choice) -> Iterator[None]:
    """Let candidates that train in this very process use a training process that is there already.

    It outlives the choice, unless that is given up in the middle of a training.
    """
    with _lock:
        _held[choice.name], _free[choice.name] = [process], [process]
    try:
        yield
    except BaseException:
        process.close()
        raise
    finally:
        _take_back(process, choice)


def end_processes(name: str) -> None:
    """End the training processes that this process holds for a choice, whatever they do; it gets no other.

    Args:
        name: The choice's.
    """
    with _lock:
        _ended.append(name)
        ended = _held.pop(name, [])
        _free.pop(name, None)
    for process in ended:
        process.close()


def _take_back(process: TrainingProcess, choice: Choice) -> None:
    with _lock:
        for known in (_held, _free):
            if choice.name in known:
                known[choice.name] = [each for each in known[choice.name] if each is not process]
