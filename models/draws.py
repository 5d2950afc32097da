"""Random numbers of layers, drawn so that many models draw at once. Importing it imports Keras.

Keras' generators take one seed a call, so models trained together would draw one behind the other, and a compiled
generator is the slowest part of a small network's step. Here a row of noise is one of many that were drawn once, as in
evolution strategies (Salimans et al., 2017); which one, a hash of seed, count and place says, for all models in one
operation.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import keras
import tensorflow as tf

NUMBERS = 1 << 22
WIDEST = 4_096  # numbers of a row, of which there are a thousand then
ALIGNED = 16  # rows: what is cut off so is not copied
LOW = (1 << 32) - 1
NORMAL_SEED, UNIFORM_SEED = 11, 12


def normal(shape: Any, seeds: keras.random.SeedGenerator) -> Any:
    """Standard normal numbers.

    Args:
        shape: Of what is drawn: rows first, and no other axis unknown.
        seeds: The layer's; it counts on.
    """
    if math.prod(shape[1:]) > WIDEST:
        return keras.random.normal(shape, seed=seeds)
    return _taken(_normal_numbers(), shape, seeds)


def uniform(shape: Any, seeds: keras.random.SeedGenerator) -> Any:
    """Numbers between 0 and 1; see `normal`."""
    if math.prod(shape[1:]) > WIDEST:
        return keras.random.uniform(shape, seed=seeds)
    return _taken(_uniform_numbers(), shape, seeds)


class GivenSeed(keras.random.SeedGenerator):
    """A seed that is a tensor, for Keras' initializers in a compiled function.

    Args:
        seed: An integer, [].
    """

    def __init__(self, seed: Any) -> None:
        self._given = seed  # no variable is made, which is all that the constructor above does

    def next(self, ordered: bool = True) -> Any:
        """The seed, at each call."""
        del ordered  # there is no order in one seed
        return tf.stack([self._given, tf.zeros_like(self._given)])


@cache
def _normal_numbers() -> Any:
    with tf.init_scope():
        return tf.random.stateless_normal([NUMBERS], [NORMAL_SEED, 0])


@cache
def _uniform_numbers() -> Any:
    with tf.init_scope():
        return tf.random.stateless_uniform([NUMBERS], [UNIFORM_SEED, 0])


def _taken(numbers: Any, shape: Any, seeds: keras.random.SeedGenerator) -> Any:
    count, *rest = shape
    size = math.prod(rest)
    known = NUMBERS // size // ALIGNED * ALIGNED
    rows = tf.reshape(numbers[: known * size], [known, size])
    drawn = tf.gather(rows, _hashed(seeds.next(), count) % known)
    return tf.reshape(drawn, [count, *rest])


def _hashed(state: Any, count: Any) -> Any:
    """Numbers below 2**32 that look random, int64 [count], for a generator's state (seed, draws so far), int64 [2].

    The mixing is the finalizer of MurmurHash3 (Appleby, 2011).
    """
    draw = _mixed(_mixed(state[0]) + state[1])
    return _mixed(draw + tf.range(tf.cast(count, tf.int64)))


def _mixed(x: Any) -> Any:
    """32 bits that each depend on all of x's lower 32, which are non-negative numbers in int64."""
    x = tf.bitwise.bitwise_and(x, LOW)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        x = tf.bitwise.bitwise_xor(x, tf.bitwise.right_shift(x, shift))
        x = tf.bitwise.bitwise_and(x * factor, LOW)
    return tf.bitwise.bitwise_xor(x, tf.bitwise.right_shift(x, 16))
