"""The training loop: early stop on held-out loss, tail trimming, budgets, the same result for the same seed.

An epoch is one call of a compiled program (`models.program`), which is what makes small models train in seconds on a
CPU. A training that was stopped goes on from its checkpoint to the same weights: all randomness that an epoch uses is
in the program's state and in the generator of the rows' order.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from models.checkpoint import Checkpoint, Checkpoints
from models.networks import Stage
from models.program import Array, State, fresh
from models.row_source import Chunk, MemoryRows, Rows, RowSource
from models.workshop import Workpiece
from schemas.errors import TrainingFailed

Progress = Callable[[int, float, float], None]
Weights = tuple[Array, tuple[Array, ...]]
Ended = Literal["epochs", "patience", "rows", "seconds", "pause"]

NEW_BEST = 1e-4
FINAL_RATE = 0.05

logger = logging.getLogger("sereno.training")


@dataclass(frozen=True)
class Budget:
    """What one training may use.

    Args:
        epochs: Most epochs.
        patience: Epochs without a better held-out loss before it stops.
        batch_size: Rows in one gradient step; fewer where the sample is small.
        learning_rate: First step size of Adam; it falls along a cosine to a twentieth at the last epoch.
        trim: Share of the fit rows, those that fit worst, whose pull is bounded after the warm-up.
        seconds: Most seconds.
        rows: Most rows that pass through it, each epoch counted; no bound where none is given.
        late: What happens when the seconds are over: the training fails, so that a result never depends on the
            machine's speed, or it stops with the best epoch so far.
        least_steps: Steps of an epoch at least; a small sample gets small batches.
        pause: Epochs after which it pauses, with a checkpoint to go on from; it does not where none is given.
    """

    epochs: int
    patience: int
    batch_size: int
    learning_rate: float
    trim: float
    seconds: float
    rows: int | None = None
    late: Literal["fail", "stop"] = "fail"
    least_steps: int = 40
    pause: int | None = None

    @property
    def warm_up(self) -> int:
        """Epochs before the tail is trimmed, and between two looks at it."""
        return max(3, self.epochs // 8)

    def batch(self, rows: int) -> int:
        """Rows in a gradient step for a sample of that many; a power of two where the sample bounds it."""
        return min(self.batch_size, 1 << (max(1, rows // self.least_steps).bit_length() - 1))

    def rate(self, epoch: int) -> float:
        """Step size in an epoch, from 0."""
        turn = float(np.cos(np.pi * epoch / max(1, self.epochs)))
        return self.learning_rate * (FINAL_RATE + (1 - FINAL_RATE) * (1 + turn) / 2)


@dataclass(frozen=True)
class Curve:
    """How a training went.

    Args:
        loss: Mean loss of each epoch over the fit rows, with noise.
        held_out: Mean loss of each epoch over the held-out rows less their worst `trim` share, without noise.
        best: The epoch whose weights were kept, from 0.
        trimmed: Fit rows whose pull was bounded at the end.
        ended: Which bound ended it.
        seconds_before: Time that earlier tries had spent up to the checkpoint from which this one went on.
    """

    loss: tuple[float, ...]
    held_out: tuple[float, ...]
    best: int
    trimmed: int
    ended: Ended = "epochs"
    seconds_before: float = 0.0


@dataclass(frozen=True)
class Trained:
    """What a training gave.

    Args:
        weights: The best epoch's trainable numbers, float32 [numbers].
        others: Its other variables.
        curve: How it went.
        moved: Root mean square change of the weights since the first step.
    """

    weights: Array
    others: tuple[Array, ...]
    curve: Curve
    moved: float


def train(
    piece: Workpiece,
    fit: Rows | RowSource,
    stop: Rows,
    budget: Budget,
    *,
    seed: int,
    progress: Progress | None = None,
    checkpoints: Checkpoints | None = None,
    start: Weights | None = None,
) -> Trained:
    """Train a network to reconstruct rows, and leave its best weights in it.

    Args:
        piece: The network and its program.
        fit: Rows to learn from, float32 [rows, width], or where they come from.
        stop: Held-out rows that say when to stop, float32 [rows, width].
        budget: What the training may use, over all its tries.
        seed: Decides first weights, noise, and the order of rows.
        progress: Called after each epoch with (epoch from 1, loss, held-out loss).
        checkpoints: Where it goes on from, and what it leaves for the next try.
        start: Weights to start from, those of another training of the same shape.

    Raises:
        TrainingFailed: When the loss is not finite, rows are not the loss's, or the time was over.
    """
    source: RowSource = MemoryRows(fit) if isinstance(fit, np.ndarray) else fit
    piece.network.loss.check(stop)
    found = None if checkpoints is None else checkpoints.newest()
    first = _first(piece, source, stop, budget, seed, start, is_going_on=found is not None)
    run = _Run(piece, source, budget, seed, first)
    if found is not None:
        run.go_on_from(found)
        logger.info("the training goes on after epoch %d of %d", found.epochs, budget.epochs)
    # A training that is asked again where it had paused has nothing left to do.
    ended: Ended = "pause" if run.epochs == budget.pause else "epochs"
    for epoch in range(run.epochs, run.epochs if ended == "pause" else budget.epochs):
        if epoch and epoch % budget.warm_up == 0 and budget.trim > 0:
            run.pulls = bounded_pull(run.fit_losses(), budget.trim)
        run.loss.append(run.one_epoch())
        run.held_out.append(trimmed_mean(piece.program.row_losses(run.state, stop), budget.trim))
        check_finite(run.loss[-1], run.held_out[-1], epoch)
        if progress is not None:
            progress(epoch + 1, run.loss[-1], run.held_out[-1])
        end = _end_of(run, budget)
        if checkpoints is not None and (end == "pause" or (end is None and checkpoints.is_due())):
            checkpoints.write(run.checkpoint())
        if end is not None:
            ended = end
            break
    weights, others = run.best_weights
    piece.load(weights, others)
    trimmed = int(np.sum(run.pulls < 1))
    curve = Curve(tuple(run.loss), tuple(run.held_out), run.best, trimmed, ended, run.seconds_before)
    return Trained(weights, others, curve, root_mean_square(weights - first[0]))


def _first(
    piece: Workpiece,
    source: RowSource,
    stop: Rows,
    budget: Budget,
    seed: int,
    start: Weights | None,
    *,
    is_going_on: bool,
) -> Weights:
    """The weights before the first step."""
    first = piece.first_weights(seed)
    if start is not None:
        return start[0], first[1]
    if is_going_on or not piece.stages:
        return first
    for at, (stage, part) in enumerate(zip(piece.network.pretraining, piece.stages, strict=True)):
        before = stage.before
        rows: RowSource = source if before is None else _Mapped(source, stage)
        held_out = stop if before is None else np.asarray(before(stop, training=False))
        done = train(part, rows, held_out, replace(budget, trim=0.0), seed=seed)
        logger.info("part %d of %d was trained in %d epochs", at + 1, len(piece.stages), len(done.curve.loss))
    return piece.weights()


class _Mapped:
    """Rows as the parts before a part of a network see them."""

    def __init__(self, source: RowSource, stage: Stage) -> None:
        self._source = source
        self._before = stage.before

    @property
    def width(self) -> int:
        return int(self._before.output_shape[-1])

    def __len__(self) -> int:
        return len(self._source)

    def epoch(self, order: np.random.Generator) -> Iterator[Chunk]:
        for chunk in self._source.epoch(order):
            yield Chunk(self._before(chunk.rows, training=False), chunk.order, chunk.at)

    def in_place(self) -> Iterator[Rows]:
        for rows in self._source.in_place():
            yield np.asarray(self._before(rows, training=False))


class _Run:
    """One training on its way."""

    def __init__(self, piece: Workpiece, source: RowSource, budget: Budget, seed: int, first: Weights) -> None:
        self.loss: list[float] = []
        self.held_out: list[float] = []
        self.best = 0
        self.best_weights = first
        self.seconds_before = 0.0
        self.state = fresh(*first)
        self.pulls: Array = np.ones(len(source), np.float32)
        self._order = np.random.default_rng(seed)
        self._program = piece.program
        self._source = source
        self._loss = piece.network.loss
        self._budget = budget
        self._batch = budget.batch(len(source))
        self._started = time.monotonic()

    @property
    def epochs(self) -> int:
        """Epochs that are done."""
        return len(self.loss)

    @property
    def seconds(self) -> float:
        """Time spent so far, in all tries."""
        return self.seconds_before + time.monotonic() - self._started

    @property
    def rows(self) -> int:
        """Rows that passed through it so far."""
        return self.epochs * len(self._source)

    def one_epoch(self) -> float:
        """Go over the rows once; the mean loss of its steps."""
        rate = self._budget.rate(self.epochs)
        total, steps = 0.0, 0
        for chunk in self._source.epoch(self._order):
            if self.epochs == 0:
                self._loss.check(np.asarray(chunk.rows))
            pulls = self.pulls[chunk.at] if self._budget.trim > 0 else None
            self.state, value, count = self._program.epoch(
                self.state, chunk.rows, chunk.order, pulls, rate, min(self._batch, len(chunk.order))
            )
            total, steps = total + float(value), steps + count
        return total / max(1, steps)

    def fit_losses(self) -> Array:
        """Loss of each fit row, [rows]."""
        return np.concatenate([self._program.row_losses(self.state, rows) for rows in self._source.in_place()])

    def keep_if_best(self) -> bool:
        """Keep the weights of the epoch just done where it is the best so far."""
        epoch = self.epochs - 1
        is_best = epoch == 0 or self.held_out[-1] < self.held_out[self.best] * (1 - NEW_BEST)
        if is_best:
            self.best = epoch
            self.best_weights = np.asarray(self.state.weights), tuple(map(np.asarray, self.state.others))
        return is_best

    def checkpoint(self) -> Checkpoint:
        """All that decides how it goes on."""
        state = self.state
        return Checkpoint(
            loss=tuple(self.loss),
            held_out=tuple(self.held_out),
            best=self.best,
            seconds=self.seconds,
            order=dict(self._order.bit_generator.state),
            state=tuple(map(np.asarray, (state.weights, state.first, state.second, state.steps, *state.others))),
            row_weights=self.pulls,
            best_weights=(self.best_weights[0], *self.best_weights[1]),
        )

    def go_on_from(self, found: Checkpoint) -> None:
        """Be where the checkpoint was taken."""
        self.loss, self.held_out, self.best = list(found.loss), list(found.held_out), found.best
        self.best_weights = found.best_weights[0], tuple(found.best_weights[1:])
        self.seconds_before = found.seconds
        self._order.bit_generator.state = found.order
        self.pulls = found.row_weights
        weights, first, second, steps, *others = found.state
        self.state = State(weights, first, second, steps, tuple(others))


def _end_of(run: _Run, budget: Budget) -> Ended | None:
    """What ends the training after the epoch just done, whose weights are kept where they are the best."""
    if not run.keep_if_best() and run.epochs - 1 - run.best >= budget.patience:
        return "patience"
    bound = _bound_reached(run, budget)
    return "pause" if bound is None and run.epochs == budget.pause else bound


def _bound_reached(run: _Run, budget: Budget) -> Ended | None:
    if budget.rows is not None and run.rows >= budget.rows:
        return "rows"
    if run.seconds <= budget.seconds:
        return None
    if budget.late == "stop":
        return "seconds"
    raise TrainingFailed(
        f"training reached its safety stop of {budget.seconds:.0f} s in epoch {run.epochs} of {budget.epochs}",
        hint="raise detector.seconds, or lower detector.rows or detector.epochs",
    )


def bounded_pull(losses: Array, share: float) -> Array:
    """Weights [rows] that give none of the worst-fitting share more pull than the row at its edge has.

    Rows are not dropped: among those that fit worst are the rare but usual ones, and a network that never saw them
    takes them for anomalies.
    """
    edge = np.sort(losses)[len(losses) - 1 - int(len(losses) * share)]
    weights: Array = np.minimum(1.0, max(edge, 1e-30) / np.maximum(losses, 1e-30))
    return weights.astype(np.float32)


def trimmed_mean(losses: Array, share: float) -> float:
    """Mean of all but the worst-fitting share."""
    keep = len(losses) - int(len(losses) * share)
    if keep == len(losses):
        return float(np.mean(losses, dtype=np.float64))
    kept = np.sort(np.argsort(losses, kind="stable")[:keep])
    return float(np.mean(losses[kept], dtype=np.float64))


def root_mean_square(change: Array) -> float:
    """Root mean square of a change of weights."""
    return float(np.sqrt(np.sum(np.square(change), dtype=np.float64) / max(1, change.size)))


def check_finite(loss: float, held_out: float, epoch: int) -> None:
    """Refuse a training that ran away.

    Raises:
        TrainingFailed: When a loss is not finite.
    """
    if not (np.isfinite(loss) and np.isfinite(held_out)):
        raise TrainingFailed(
            f"the loss is not finite after epoch {epoch + 1} (loss {loss}, held out {held_out})",
            hint="lower detector.learning_rate in the dataset file",
        )
