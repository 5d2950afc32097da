"""Many trainings of one shape as one program, with a leading model axis.

Many models are the gradient of one under `tf.vectorized_map`: what a model becomes does not depend on which others are
trained beside it.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from models.program import Array, Program, State

CHUNK = 262_144  # rows of all models together, of which row losses are computed at once


def room_for(models: int) -> int:
    """Models that a program has which trains so many; few sizes, so that programs are used again.

    Up to eight as many as there are, then at most a quarter more.
    """
    scale = 1 << max(0, (models - 1).bit_length() - 3)
    return -(-models // scale) * scale


class ProgramOfMany(Program):
    """The compiled epoch and the compiled row losses of many networks of one shape.

    How many models it has is compiled in, as is whether they differ in their number of steps: each is known to cost
    a copy of all that a step touches otherwise.
    """

    def epoch(
        self, state: State, rows: Any, order: Any, pulls: Any | None, rate: Any, batch: int
    ) -> tuple[State, Any, Any]:
        """One pass over rows for each model.

        Args:
            state: Where the trainings are.
            rows: float32 [rows, width] that all share, or [models, rows, width].
            order: Which rows, int32 [models, n], where -1 fills up a model with fewer rows to whole batches.
            pulls: How much each row counts, float32 [models, rows]; None where all count the same.
            rate: Step sizes, float32 [models].
            batch: Rows in a step; what is left over at the end of the order makes no step.

        Returns:
            The state behind it; the sums of the steps' losses, [models]; how many steps that were, [models].
        """
        tf = self._tf
        models, count = order.shape
        has_gaps = bool(np.any(order[:, count // batch * batch - 1] < 0)) if count >= batch else False
        rank = len(rows.shape)
        key = ("epoch", models, batch, rank, has_gaps, pulls is not None)
        if key not in self._compiled:
            spec = tf.TensorSpec
            given = [self._state_spec((models,)), self._rows_spec(models, rank), spec([models, None], tf.int32)]
            given += [spec([models]), *([] if pulls is None else [spec([models, None])])]
            self._compiled[key] = self._compile(partial(self._many_epoch, batch, has_gaps), given)
        given = [np.asarray(rate, np.float32), *([] if pulls is None else [pulls])]
        after, total = self._compiled[key](state, rows, order, *given)
        return after, total, np.sum(order[:, batch - 1 :: batch] >= 0, axis=1)

    def row_losses(self, state: State, rows: Any) -> Array:
        """Loss of each row on the mean path, [models, rows]."""
        models, rank = state.weights.shape[0], len(rows.shape)
        key = ("losses", models, rank)
        if key not in self._compiled:
            weights, _, _, _, others = self._state_spec((models,))
            self._compiled[key] = self._compile(self._many_losses, [weights, others, self._rows_spec(models, rank)])
        chunk = max(1, CHUNK // models)
        starts = range(0, rows.shape[-2], chunk)
        of = self._compiled[key]
        parts = [of(state.weights, state.others, rows[..., at : at + chunk, :]).numpy() for at in starts]
        return np.concatenate(parts, axis=-1)

    def _rows_spec(self, models: int, rank: int) -> Any:
        return self._tf.TensorSpec([models, None, self.width] if rank == 3 else [None, self.width])

    def _many_epoch(
        self, batch: int, has_gaps: bool, state: State, rows: Any, order: Any, rate: Any, pulls: Any = None
    ) -> tuple[State, Any]:
        tf = self._tf
        steps = tf.shape(order)[1] // batch
        counted = state.steps[:, None] + 1.0 + tf.range(tf.cast(steps, tf.float32))
        sizes = self._step_sizes(counted, rate[:, None])

        def one(step: Any, state: State, total: Any) -> tuple[Any, State, Any]:
            at = tf.ensure_shape(order[:, step * batch : (step + 1) * batch], [order.shape[0], batch])
            goes_on = at[:, 0] >= 0 if has_gaps else None
            gradient, value, others = self._gradients(state, rows, tf.maximum(at, 0) if has_gaps else at, pulls)
            then = self._descend(state, gradient, others, sizes[:, step, None], rate[:, None])
            if goes_on is not None:
                then = tf.nest.map_structure(partial(_where, tf, goes_on), then, state)
                value = tf.where(goes_on, value, 0.0)
            return step + 1, then, total + value

        _, state, total = tf.while_loop(lambda step, *_: step < steps, one, (0, state, tf.zeros_like(rate)))
        return state, total

    def _gradients(self, state: State, rows: Any, at: Any, pulls: Any) -> tuple[Any, Any, tuple[Any, ...]]:
        """Gradients [models, numbers] of a batch of each, its values [models], and the other variables behind it."""
        tf = self._tf
        x = tf.gather(rows, at, axis=1, batch_dims=1) if len(rows.shape) == 3 else tf.gather(rows, at)
        if pulls is None:
            given: Any = state.weights, state.others, x
            after = tf.vectorized_map(lambda each: self._gradient(each[0], each[1], each[2], None), given)
        else:
            given = state.weights, state.others, x, tf.gather(pulls, at, axis=1, batch_dims=1)
            after = tf.vectorized_map(lambda each: self._gradient(*each), given)
        gradient, value, others = after
        return gradient, value, others

    def _many_losses(self, weights: Any, others: tuple[Any, ...], rows: Any) -> Any:
        tf = self._tf
        if len(rows.shape) == 3:
            return tf.vectorized_map(lambda each: self._row_losses(*each), (weights, others, rows))
        return tf.vectorized_map(lambda each: self._row_losses(each[0], each[1], rows), (weights, others))


def _where(tf: Any, chosen: Any, new: Any, old: Any) -> Any:
    """New where a model is chosen, old elsewhere; [models, ...]."""
    return tf.where(tf.reshape(chosen, [-1, *(1 for _ in new.shape[1:])]), new, old)
