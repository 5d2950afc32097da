"""The training loop: one compiled program an epoch, early stop, tail trimming, the same result for the same seed.

Works for any Keras model from [rows, width] to [rows, width] and a loss without reduction; a step never leaves the
compiled program, which is what makes small models train in seconds on a CPU. A training that was stopped goes on from
its checkpoint to the same weights: all randomness that an epoch uses is in the model's variables (Keras' seed
generators) and in the generator of the rows' order.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from models.checkpoint import Checkpoint, Checkpoints
from schemas.errors import TrainingFailed

Rows = np.ndarray[Any, np.dtype[np.float32]]
Progress = Callable[[int, float, float], None]

LEAST_STEPS = 40  # in an epoch; a small sample gets small batches
CHUNK = 8_192
NEW_BEST = 1e-4
FINAL_RATE = 0.05

logger = logging.getLogger("sereno.training")


@dataclass(frozen=True)
class Budget:
    """What one training may use.

    Args:
        epochs: Most epochs.
        patience: Epochs without a better held-out loss before it stops.
        batch_size: Rows in one gradient step.
        learning_rate: First step size of Adam; it falls along a cosine to a twentieth at the last epoch.
        trim: Share of the fit rows, those that fit worst, whose pull is bounded after the warm-up.
        seconds: Safety stop.
    """

    epochs: int
    patience: int
    batch_size: int
    learning_rate: float
    trim: float
    seconds: float

    @property
    def warm_up(self) -> int:
        """Epochs before the tail is trimmed, and between two looks at it."""
        return max(3, self.epochs // 8)


@dataclass(frozen=True)
class Curve:
    """How a training went.

    Args:
        loss: Mean loss of each epoch over the fit rows, with noise.
        held_out: Mean loss of each epoch over the held-out rows less their worst `trim` share, without noise.
        best: The epoch whose weights were kept, from 0.
        trimmed: Fit rows whose pull was bounded at the end.
        seconds_before: Time that earlier tries had spent up to the checkpoint from which this one went on.
    """

    loss: tuple[float, ...]
    held_out: tuple[float, ...]
    best: int
    trimmed: int
    seconds_before: float = 0.0


def train(
    model: Any,
    loss: Any,
    fit: Rows,
    stop: Rows,
    budget: Budget,
    *,
    seed: int,
    progress: Progress,
    checkpoints: Checkpoints | None = None,
) -> Curve:
    """Train a model to reconstruct rows, and leave its best weights in it.

    Args:
        model: A Keras model from float32 [rows, width] to float32 [rows, width].
        loss: A Keras loss with `reduction=None`: ([rows, width], [rows, width]) to [rows].
        fit: Rows to learn from, float32 [rows, width].
        stop: Held-out rows that say when to stop, float32 [rows, width].
        budget: What the training may use, over all its tries.
        seed: Decides the order of rows; noise and first weights are seeded through Keras.
        progress: Called after each epoch with (epoch from 1, loss, held-out loss).
        checkpoints: Where it goes on from, and what it leaves for the next try.

    Raises:
        TrainingFailed: When the loss is not finite, or the safety stop was reached.
    """
    run = _Run(model, _Program(model, loss, fit, budget), np.random.default_rng(seed))
    if checkpoints is not None and (found := checkpoints.newest()) is not None:
        run.go_on_from(found)
        logger.info("the training goes on after epoch %d of %d", found.epochs, budget.epochs)
    for epoch in range(run.epochs, budget.epochs):
        if epoch and epoch % budget.warm_up == 0 and budget.trim > 0:
            run.program.weigh(_bounded_pull(run.program.row_losses(fit), budget.trim))
        run.loss.append(run.program.epoch(run.order.permutation(len(fit)), epoch))
        run.held_out.append(_trimmed_mean(run.program.row_losses(stop), budget.trim))
        _check(run.loss[-1], run.held_out[-1], epoch, run.seconds, budget)
        progress(epoch + 1, run.loss[-1], run.held_out[-1])
        if not run.keep_if_best() and epoch - run.best >= budget.patience:
            break
        if checkpoints is not None and checkpoints.is_due():
            checkpoints.write(run.checkpoint())
    model.set_weights(run.best_weights)
    return Curve(tuple(run.loss), tuple(run.held_out), run.best, run.program.trimmed, run.seconds_before)


class _Run:
    """One training on its way."""

    def __init__(self, model: Any, program: _Program, order: np.random.Generator) -> None:
        self.program = program
        self.order = order
        self.loss: list[float] = []
        self.held_out: list[float] = []
        self.best = 0
        self.best_weights = model.get_weights()
        self.seconds_before = 0.0
        self._model = model
        self._started = time.monotonic()

    @property
    def epochs(self) -> int:
        """Epochs that are done."""
        return len(self.loss)

    @property
    def seconds(self) -> float:
        """Time spent so far, in all tries."""
        return self.seconds_before + time.monotonic() - self._started

    def keep_if_best(self) -> bool:
        """Keep the weights of the epoch just done where it is the best so far."""
        epoch = self.epochs - 1
        is_best = epoch == 0 or self.held_out[-1] < self.held_out[self.best] * (1 - NEW_BEST)
        if is_best:
            self.best, self.best_weights = epoch, self._model.get_weights()
        return is_best

    def checkpoint(self) -> Checkpoint:
        """All that decides how it goes on."""
        return Checkpoint(
            loss=tuple(self.loss),
            held_out=tuple(self.held_out),
            best=self.best,
            seconds=self.seconds,
            order=dict(self.order.bit_generator.state),
            variables=tuple(variable.numpy() for variable in self._model.variables),
            optimizer=tuple(variable.numpy() for variable in self.program.optimizer.variables),
            row_weights=self.program.row_weights,
            best_weights=tuple(self.best_weights),
        )

    def go_on_from(self, found: Checkpoint) -> None:
        """Be where the checkpoint was taken."""
        self.loss, self.held_out, self.best = list(found.loss), list(found.held_out), found.best
        self.best_weights = list(found.best_weights)
        self.seconds_before = found.seconds
        self.order.bit_generator.state = found.order
        self.program.weigh(found.row_weights)
        # `weights` would leave out the seed generators' states, and the noise would begin anew.
        mine = [*self._model.variables, *self.program.optimizer.variables]
        for variable, value in zip(mine, (*found.variables, *found.optimizer), strict=True):
            variable.assign(value)


class _Program:
    """The compiled epoch and the compiled row losses of one model."""

    def __init__(self, model: Any, loss: Any, fit: Rows, budget: Budget) -> None:
        import keras
        import tensorflow as tf

        self.batch = max(1, min(budget.batch_size, len(fit) // LEAST_STEPS or 1))
        self.budget = budget
        self.optimizer = keras.optimizers.Adam(budget.learning_rate)
        self.optimizer.build(model.trainable_variables)
        self._weights = tf.Variable(tf.ones(len(fit)), trainable=False)
        rows, weights, optimizer, batch = tf.constant(fit), self._weights, self.optimizer, self.batch
        width = fit.shape[1]

        def epoch(order: Any) -> Any:
            steps = tf.shape(order)[0] // batch
            total = tf.constant(0.0)
            for step in tf.range(steps):
                at = order[step * batch : (step + 1) * batch]
                x = tf.gather(rows, at)
                x = tf.ensure_shape(x, [None, width])
                with tf.GradientTape() as tape:
                    value = tf.reduce_mean(tf.gather(weights, at) * loss(x, model(x, training=True)))
                    if model.losses:
                        value += tf.add_n(model.losses)
                optimizer.apply(tape.gradient(value, model.trainable_variables), model.trainable_variables)
                total += value
            return total / tf.cast(steps, tf.float32)

        def row_losses(x: Any) -> Any:
            return loss(x, model(x, training=False))

        self._epoch = tf.function(epoch, input_signature=[tf.TensorSpec([None], tf.int32)])
        self._row_losses = tf.function(row_losses, input_signature=[tf.TensorSpec([None, width], tf.float32)])

    def epoch(self, order: np.ndarray[Any, Any], epoch: int) -> float:
        """One pass over the rows in that order; the last incomplete batch is left out."""
        turn = np.cos(np.pi * epoch / max(1, self.budget.epochs))
        self.optimizer.learning_rate = self.budget.learning_rate * (FINAL_RATE + (1 - FINAL_RATE) * (1 + turn) / 2)
        return float(self._epoch(order.astype(np.int32)))

    def weigh(self, weights: np.ndarray[Any, Any]) -> None:
        """Set how much each fit row counts, float32 [rows]."""
        self._weights.assign(weights)

    @property
    def row_weights(self) -> np.ndarray[Any, Any]:
        """How much each fit row counts, float32 [rows]."""
        weights: np.ndarray[Any, Any] = self._weights.numpy()
        return weights

    @property
    def trimmed(self) -> int:
        """How many fit rows count less than fully."""
        return int(np.sum(self.row_weights < 1))

    def row_losses(self, rows: Rows) -> np.ndarray[Any, Any]:
        """Loss of each row without noise, [rows]."""
        return np.concatenate([self._row_losses(rows[at : at + CHUNK]).numpy() for at in range(0, len(rows), CHUNK)])


def _bounded_pull(losses: np.ndarray[Any, Any], share: float) -> np.ndarray[Any, Any]:
    """Weights [rows] that give none of the worst-fitting share more pull than the row at its edge has.

    Rows are not dropped: among those that fit worst are the rare but usual ones, and a network that never saw them
    takes them for anomalies.
    """
    edge = np.sort(losses)[len(losses) - 1 - int(len(losses) * share)]
    weights: np.ndarray[Any, Any] = np.minimum(1.0, max(edge, 1e-30) / np.maximum(losses, 1e-30))
    return weights.astype(np.float32)


def _without_tail(losses: np.ndarray[Any, Any], share: float) -> np.ndarray[Any, Any]:
    """Positions of all but the worst-fitting share, in their order."""
    keep = len(losses) - int(len(losses) * share)
    return np.sort(np.argsort(losses, kind="stable")[:keep])


def _trimmed_mean(losses: np.ndarray[Any, Any], share: float) -> float:
    return float(np.mean(losses[_without_tail(losses, share)], dtype=np.float64))


def _check(loss: float, held_out: float, epoch: int, seconds: float, budget: Budget) -> None:
    if not (np.isfinite(loss) and np.isfinite(held_out)):
        raise TrainingFailed(
            f"the loss is not finite after epoch {epoch + 1} (loss {loss}, held out {held_out})",
            hint="lower detector.learning_rate in the dataset file",
        )
    if seconds > budget.seconds:
        raise TrainingFailed(
            f"training reached its safety stop of {budget.seconds:.0f} s in epoch {epoch + 1} of {budget.epochs}",
            hint="raise detector.seconds, or lower detector.rows or detector.epochs",
        )
