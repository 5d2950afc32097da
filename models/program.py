"""Training as a pure function: one compiled program an epoch.

A network's numbers are one flat vector; a step takes a `State` and gives the next one, and nothing in the program
remembers a training. So a program serves every training of its shape, and a checkpoint is a handful of arrays. The
optimizer is Adam (Kingma and Ba, 2015) with decoupled weight decay (Loshchilov and Hutter, 2019).
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import numpy as np

from models.networks import Network

Array = np.ndarray[Any, Any]

FIRST, SECOND, TINY = 0.9, 0.999, 1e-7
CHUNK = 8_192


class State(NamedTuple):
    """All that a step changes; each field has a leading model axis in a program for many models.

    Args:
        weights: Trainable numbers, float32 [numbers].
        first: Adam's mean of gradients, float32 [numbers].
        second: Adam's mean of squared gradients, float32 [numbers].
        steps: Steps done, float32 [].
        others: Variables that are not trained: moving statistics, seed generators' states.
    """

    weights: Any
    first: Any
    second: Any
    steps: Any
    others: tuple[Any, ...]


def fresh(weights: Array, others: tuple[Array, ...]) -> State:
    """The state before the first step, of numpy arrays."""
    zeros = np.zeros_like(weights)
    return State(weights, zeros, zeros, np.zeros(weights.shape[:-1], np.float32), others)


class Program:
    """The compiled epoch and the compiled row losses of a network.

    The rows of a step are part of what is compiled: a program whose shapes are known has a third fewer operations.

    Args:
        network: Its models hold no state of a training: the program reads their layers, not their variables' values.
        width: Numbers of a row.
    """

    def __init__(self, network: Network, width: int) -> None:
        import tensorflow as tf

        self._tf = tf
        self.width = width
        self._network = network
        self._model = network.model
        self._shapes = [tuple(variable.shape) for variable in self._model.trainable_variables]
        self._sizes = [int(np.prod(shape)) for shape in self._shapes]
        kernels = [np.full(size, len(shape) > 1) for size, shape in zip(self._sizes, self._shapes, strict=True)]
        decay = np.concatenate([*kernels, np.zeros(0, bool)]).astype(np.float32) * network.weight_decay
        self._decay = decay if network.weight_decay > 0 else None
        self._compiled: dict[Any, Any] = {}

    @property
    def traces(self) -> int:
        """How often something was compiled; a trace keeps memory for good."""
        return sum(function.experimental_get_tracing_count() for function in self._compiled.values())

    def epoch(
        self, state: State, rows: Any, order: Any, pulls: Any | None, rate: float, batch: int
    ) -> tuple[State, Any, int]:
        """One pass over rows.

        Args:
            state: Where the training is.
            rows: float32 [rows, width].
            order: Which rows, int32 [n].
            pulls: How much each row counts, float32 [rows]; None where all count the same.
            rate: Step size.
            batch: Rows in a step; what is left over at the end of the order makes no step.

        Returns:
            The state behind it; the sum of the steps' losses; how many steps that were.
        """
        tf = self._tf
        key = ("epoch", batch, pulls is not None)
        if key not in self._compiled:
            given = [self._state_spec(()), tf.TensorSpec([None, self.width]), tf.TensorSpec([None], tf.int32)]
            given += [tf.TensorSpec([]), *([] if pulls is None else [tf.TensorSpec([None])])]
            self._compiled[key] = self._compile(partial(self._epoch, batch), given)
        after, total = self._compiled[key](state, rows, order, np.float32(rate), *([] if pulls is None else [pulls]))
        return after, total, len(order) // batch

    def row_losses(self, state: State, rows: Any) -> Array:
        """Loss of each row on the mean path, [rows]."""
        if "losses" not in self._compiled:
            weights, _, _, _, others = self._state_spec(())
            given = [weights, others, self._tf.TensorSpec([None, self.width])]
            self._compiled["losses"] = self._compile(self._row_losses, given)
        starts = range(0, len(rows), CHUNK)
        of = self._compiled["losses"]
        parts = [of(state.weights, state.others, rows[at : at + CHUNK]).numpy() for at in starts]
        return np.concatenate(parts)

    def _compile(self, function: Any, given: list[Any]) -> Any:
        # Partial, as TensorFlow counts the traces of one piece of code in all programs together and warns of many.
        return self._tf.function(partial(function), input_signature=given, autograph=False)

    def _state_spec(self, axis: tuple[int, ...]) -> State:
        """The shapes of a state behind a leading axis."""
        tf = self._tf
        numbers = tf.TensorSpec([*axis, sum(self._sizes)])
        others = (
            tf.TensorSpec([*axis, *each.shape], tf.as_dtype(each.dtype)) for each in self._model.non_trainable_variables
        )
        return State(numbers, numbers, numbers, tf.TensorSpec([*axis]), tuple(others))

    def _epoch(
        self, batch: int, state: State, rows: Any, order: Any, rate: Any, pulls: Any = None
    ) -> tuple[State, Any]:
        tf = self._tf
        steps = tf.shape(order)[0] // batch
        sizes = self._step_sizes(state.steps + 1.0 + tf.range(tf.cast(steps, tf.float32)), rate)

        def one(step: Any, state: State, total: Any) -> tuple[Any, State, Any]:
            at = tf.ensure_shape(order[step * batch : (step + 1) * batch], [batch])
            count = None if pulls is None else tf.gather(pulls, at)
            gradient, value, others = self._gradient(state.weights, state.others, tf.gather(rows, at), count)
            return step + 1, self._descend(state, gradient, others, sizes[step], rate), total + value

        _, state, total = tf.while_loop(lambda step, *_: step < steps, one, (0, state, 0.0))
        return state, total

    def _unpack(self, weights: Any) -> list[Any]:
        tf = self._tf
        parts = tf.split(weights, self._sizes)
        return [tf.reshape(part, shape) for part, shape in zip(parts, self._shapes, strict=True)]

    def _row_losses(self, weights: Any, others: tuple[Any, ...], rows: Any) -> Any:
        output, _ = self._model.stateless_call(self._unpack(weights), list(others), rows, training=False)
        return self._network.loss.of(rows, output)

    def _gradient(
        self, weights: Any, others: tuple[Any, ...], rows: Any, pulls: Any
    ) -> tuple[Any, Any, tuple[Any, ...]]:
        """Gradient [numbers] and value of a batch's loss, and the variables that are not trained behind it."""
        tf = self._tf
        parts = self._unpack(weights)
        with tf.GradientTape() as tape:
            tape.watch(parts)
            output, others, penalties = self._model.stateless_call(
                parts, list(others), rows, training=True, return_losses=True
            )
            losses = self._network.loss.of(rows, output)
            value = tf.reduce_mean(losses if pulls is None else pulls * losses)
            if penalties:
                value += tf.add_n(penalties)
        gradients = tape.gradient(value, parts, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        return tf.concat([tf.reshape(each, [-1]) for each in gradients], 0), value, tuple(others)

    def _step_sizes(self, steps: Any, rate: Any) -> Any:
        """Adam's sizes of these steps, counted from 1."""
        return rate * self._tf.sqrt(1.0 - SECOND**steps) / (1.0 - FIRST**steps)

    def _descend(self, state: State, gradient: Any, others: tuple[Any, ...], size: Any, rate: Any) -> State:
        """A step of Adam."""
        tf = self._tf
        first = state.first + (1.0 - FIRST) * (gradient - state.first)
        second = state.second + (1.0 - SECOND) * (tf.square(gradient) - state.second)
        weights = state.weights - size * first / (tf.sqrt(second) + TINY)
        if self._decay is not None:
            weights -= rate * self._decay * state.weights
        return State(weights, first, second, state.steps + 1.0, others)
