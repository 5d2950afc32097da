"""Training as a pure function: one compiled program an epoch, for one model or for many with a leading model axis.

A network's numbers are one flat vector; a step takes a `State` and gives the next one, and nothing in the program
remembers a training. So a program serves every training of its shape, a checkpoint is a handful of arrays, and many
models are the same step under `tf.vectorized_map`: what a model becomes does not depend on which others are trained
beside it. The optimizer is Adam (Kingma and Ba, 2015) with decoupled weight decay (Loshchilov and Hutter, 2019).
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

    Args:
        network: Its models hold no state of a training: the program reads their layers, not their variables' values.
        width: Numbers of a row.
        has_model_axis: Whether state, order and rates have a leading axis of models.
    """

    def __init__(self, network: Network, width: int, *, has_model_axis: bool = False) -> None:
        import tensorflow as tf

        self._tf = tf
        self.width = width
        self.has_model_axis = has_model_axis
        self._network = network
        self._model = network.model
        trainable = self._model.trainable_variables
        self._shapes = [tuple(variable.shape) for variable in trainable]
        self._sizes = [int(np.prod(shape)) for shape in self._shapes]
        kernels = [np.full(size, len(shape) > 1) for size, shape in zip(self._sizes, self._shapes, strict=True)]
        decay = np.concatenate([*kernels, np.zeros(0, bool)]).astype(np.float32) * network.weight_decay
        self._decay = decay if network.weight_decay > 0 else None
        self._epoch = tf.function(self._many_epoch if has_model_axis else self._one_epoch, reduce_retracing=True)
        self._losses = tf.function(self._many_losses if has_model_axis else self._row_losses, reduce_retracing=True)

    def epoch(self, state: State, rows: Any, order: Any, pulls: Any, rate: Any, batch: int) -> tuple[State, Any, Any]:
        """One pass over rows.

        Args:
            state: Where the training is.
            rows: float32 [rows, width]; for many models also [models, rows, width], each its own.
            order: Which rows, int32 [n]; for many models [models, n], where -1 fills up a model with fewer rows.
            pulls: How much each row counts, float32 [rows]; for many models [models, rows].
            rate: Step size, float32 []; for many models [models].
            batch: Rows in a step; what is left over at the end of the order makes no step.

        Returns:
            The state behind it; the sum of the steps' losses; how many steps that were.
        """
        tf = self._tf
        held = tf.nest.map_structure(tf.convert_to_tensor, state)
        how = tf.constant(np.asarray(rate, np.float32)), tf.constant(batch)
        after: tuple[State, Any, Any] = self._epoch(
            held, rows, tf.constant(np.asarray(order, np.int32)), tf.convert_to_tensor(pulls), *how
        )
        return after

    def row_losses(self, state: State, rows: Any) -> Array:
        """Loss of each row on the mean path, [rows]; for many models [models, rows]."""
        weights = self._tf.convert_to_tensor(state.weights)
        others = tuple(map(self._tf.convert_to_tensor, state.others))
        starts = range(0, rows.shape[-2], CHUNK)
        parts = [self._losses(weights, others, rows[..., at : at + CHUNK, :]).numpy() for at in starts]
        return np.concatenate(parts, axis=-1)

    def _unpack(self, weights: Any) -> list[Any]:
        tf = self._tf
        parts = tf.split(weights, self._sizes)
        return [tf.reshape(part, shape) for part, shape in zip(parts, self._shapes, strict=True)]

    def _row_losses(self, weights: Any, others: tuple[Any, ...], rows: Any) -> Any:
        rows = self._tf.ensure_shape(rows, [None, self.width])
        output, _ = self._model.stateless_call(self._unpack(weights), list(others), rows, training=False)
        return self._network.loss.of(rows, output)

    def _step(self, state: State, rows: Any, pulls: Any, rate: Any) -> tuple[State, Any]:
        tf = self._tf
        rows = tf.ensure_shape(rows, [None, self.width])
        parts = self._unpack(state.weights)
        with tf.GradientTape() as tape:
            tape.watch(parts)
            output, others, penalties = self._model.stateless_call(
                parts, list(state.others), rows, training=True, return_losses=True
            )
            value = tf.reduce_mean(pulls * self._network.loss.of(rows, output))
            if penalties:
                value += tf.add_n(penalties)
        gradients = tape.gradient(value, parts, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        gradient = tf.concat([tf.reshape(each, [-1]) for each in gradients], 0)
        steps = state.steps + 1.0
        first = state.first + (1.0 - FIRST) * (gradient - state.first)
        second = state.second + (1.0 - SECOND) * (tf.square(gradient) - state.second)
        size = rate * tf.sqrt(1.0 - SECOND**steps) / (1.0 - FIRST**steps)
        weights = state.weights - size * first / (tf.sqrt(second) + TINY)
        if self._decay is not None:
            weights -= rate * self._decay * state.weights
        return State(weights, first, second, steps, tuple(others)), value

    def _one_epoch(self, state: State, rows: Any, order: Any, pulls: Any, rate: Any, batch: Any) -> Any:
        tf = self._tf
        steps = tf.shape(order)[0] // batch
        total = tf.constant(0.0)
        for step in tf.range(steps):
            at = order[step * batch : (step + 1) * batch]
            state, value = self._step(state, tf.gather(rows, at), tf.gather(pulls, at), rate)
            total += value
        return state, total, steps

    def _many_epoch(self, state: State, rows: Any, order: Any, pulls: Any, rate: Any, batch: Any) -> Any:
        tf = self._tf
        steps = tf.shape(order)[1] // batch
        has_own_rows = len(rows.shape) == 3
        total = tf.zeros_like(rate)
        done = tf.zeros_like(rate, tf.int32)
        for step in tf.range(steps):
            at = order[:, step * batch : (step + 1) * batch]
            goes_on = tf.reduce_min(at, axis=1) >= 0
            at = tf.maximum(at, 0)
            x = tf.gather(rows, at, axis=1, batch_dims=1) if has_own_rows else tf.gather(rows, at)
            count = tf.gather(pulls, at, axis=1, batch_dims=1)
            then, value = tf.vectorized_map(lambda each: self._step(*each), (state, x, count, rate))
            state = tf.nest.map_structure(partial(_where, tf, goes_on), then, state)
            total += tf.where(goes_on, value, 0.0)
            done += tf.cast(goes_on, tf.int32)
        return state, total, done

    def _many_losses(self, weights: Any, others: tuple[Any, ...], rows: Any) -> Any:
        tf = self._tf
        if len(rows.shape) == 3:
            return tf.vectorized_map(lambda each: self._row_losses(each[0], each[1], each[2]), (weights, others, rows))
        return tf.vectorized_map(lambda each: self._row_losses(each[0], each[1], rows), (weights, others))


def _where(tf: Any, chosen: Any, new: Any, old: Any) -> Any:
    """New where a model is chosen, old elsewhere; [models, ...]."""
    return tf.where(tf.reshape(chosen, [-1, *(1 for _ in new.shape[1:])]), new, old)
