"""Layers of our own that give rows or codes: corruption, tied weights, columns. Importing it imports Keras.

What a layer does only while training is left out of the exported graph: it takes the mean path there.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf
from keras import ops

from models import draws

HALF = 0.5
LONGEST_UNROLLED = 32


@keras.saving.register_keras_serializable(package="sereno")
class Corruption(keras.layers.Layer):
    """Noise on the input of a denoising autoencoder (Vincent et al., 2010), while training.

    Args:
        kind: gaussian and cauchy add noise; masking puts 0, ones puts `high`, salt_and_pepper puts `low` or `high`.
        level: Scale of what is added; else the share of values that is replaced.
        low: What pepper is.
        high: What salt is, and ones are.
    """

    def __init__(self, kind: str, level: float, low: float = 0.0, high: float = 1.0, **rest: Any) -> None:
        super().__init__(**rest)
        self.kind, self.level, self.low, self.high = kind, level, low, high
        self.seeds = keras.random.SeedGenerator(1)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Corrupt rows [rows, width] while training."""
        if not training or self.level <= 0:
            return inputs
        shape = ops.shape(inputs)
        if self.kind == "gaussian":
            return inputs + self.level * draws.normal(shape, self.seeds)
        if self.kind == "cauchy":
            # The quotient of two normal numbers; the bound keeps one draw from deciding an epoch.
            above, below = (draws.normal(shape, self.seeds) for _ in range(2))
            return inputs + self.level * ops.clip(above / (below + 1e-6), -100.0, 100.0)
        drawn = draws.uniform(shape, self.seeds)
        chosen = ops.cast(drawn < self.level, inputs.dtype)
        if self.kind == "masking":
            put: Any = 0.0
        elif self.kind == "ones":
            put = self.high
        else:
            is_salt = ops.cast(drawn < HALF * self.level, inputs.dtype)
            put = self.low + (self.high - self.low) * is_salt
        return inputs + chosen * (put - inputs)

    def get_config(self) -> dict[str, Any]:
        """What makes the layer again."""
        mine = {"kind": self.kind, "level": self.level, "low": self.low, "high": self.high}
        return {**super().get_config(), **mine}


@keras.saving.register_keras_serializable(package="sereno")
class Dropout(keras.layers.Dropout):
    """Dropout (Srivastava et al., 2014) of models that may be trained many at once; the noise shape is the input's."""

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Values [rows, ...], a share of them 0 and the others larger while training."""
        if not training or self.rate <= 0:
            return inputs
        stays = draws.uniform(ops.shape(inputs), self.seed_generator) >= self.rate
        return inputs * ops.cast(stays, inputs.dtype) / (1.0 - self.rate)


@keras.saving.register_keras_serializable(package="sereno")
class TiedDense(keras.layers.Layer):
    """A dense layer and its mirror with the same kernel, transposed (Bengio et al., 2007).

    Args:
        width: Numbers that come in.
        units: Numbers that go out, and that the mirror takes.
        activation: Of the layer.
        back: Activation of the mirror.
    """

    def __init__(self, width: int, units: int, activation: str, back: str, **rest: Any) -> None:
        super().__init__(**rest)
        self.width, self.units, self.activation, self.back = width, units, activation, back
        self.kernel_initializer = keras.initializers.GlorotUniform(seed=0)

    def build(self, shape: Any) -> None:
        """Make the kernel and the two biases."""
        del shape  # the same for both directions
        self.kernel = self.add_weight(
            shape=(self.width, self.units), initializer=self.kernel_initializer, name="kernel"
        )
        self.bias = self.add_weight(shape=(self.units,), initializer="zeros", name="bias")
        self.back_bias = self.add_weight(shape=(self.width,), initializer="zeros", name="back_bias")

    def call(self, inputs: Any, mirrored: bool = False) -> Any:
        """[rows, width] to [rows, units]; mirrored: [rows, units] to [rows, width]."""
        if mirrored:
            return keras.activations.get(self.back)(ops.matmul(inputs, ops.transpose(self.kernel)) + self.back_bias)
        return keras.activations.get(self.activation)(ops.matmul(inputs, self.kernel) + self.bias)

    def get_config(self) -> dict[str, Any]:
        """What makes the layer again."""
        mine = {"width": self.width, "units": self.units, "activation": self.activation, "back": self.back}
        return {**super().get_config(), **mine}


@keras.saving.register_keras_serializable(package="sereno")
class Columns(keras.layers.Layer):
    """Some neighbouring numbers of a row.

    Args:
        start: The first of them.
        stop: The first behind them.
    """

    def __init__(self, start: int, stop: int, **rest: Any) -> None:
        super().__init__(**rest)
        self.start, self.stop = start, stop

    def call(self, inputs: Any) -> Any:
        """[rows, n] to [rows, stop - start]."""
        return inputs[:, self.start : self.stop]

    def compute_output_shape(self, shape: Any) -> Any:
        """[rows, stop - start]."""
        return (*shape[:-1], self.stop - self.start)

    def get_config(self) -> dict[str, Any]:
        """What makes the layer again."""
        return {**super().get_config(), "start": self.start, "stop": self.stop}


class _Unrolled:
    """A recurrent layer whose steps stand one behind the other in a training program: a loop costs more than they do.

    Elsewhere they are a loop, which builds and exports in a fraction of the time. Many steps take long to compile, and
    a GPU has a program of its own for the loop.
    """

    unroll: bool

    def inner_loop(self, sequences: Any, initial_state: Any, mask: Any, training: bool = False) -> Any:
        """What the steps give."""
        is_short = sequences.shape[1] <= LONGEST_UNROLLED
        self.unroll = bool(training) and is_short and not tf.config.list_physical_devices("GPU")
        try:
            return super().inner_loop(sequences, initial_state, mask, training=training)  # type: ignore[misc]  # Keras' layer is the other base
        finally:
            self.unroll = False


@keras.saving.register_keras_serializable(package="sereno")
class UnrolledLSTM(_Unrolled, keras.layers.LSTM):
    """Long short-term memory (Hochreiter and Schmidhuber, 1997)."""


@keras.saving.register_keras_serializable(package="sereno")
class UnrolledGRU(_Unrolled, keras.layers.GRU):
    """Gated recurrent units (Cho et al., 2014)."""


@keras.saving.register_keras_serializable(package="sereno")
class MemberCorruption(Corruption):
    """Noise of its own for each member of an ensemble, while training.

    Args:
        members: Members of the ensemble.
        kind: See `Corruption`.
        level: Likewise.
    """

    def __init__(self, members: int, kind: str, level: float, **rest: Any) -> None:
        super().__init__(kind, level, **rest)
        self.members = members

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Rows [rows, width], or [members, rows, width] of them, each corrupted anew, while training."""
        if not training:
            return inputs
        return super().call(ops.tile(inputs[None], (self.members, 1, 1)), training=True)

    def compute_output_shape(self, shape: Any) -> Any:
        """[rows, width]: the mean path's."""
        return shape

    def get_config(self) -> dict[str, Any]:
        """What makes the layer again."""
        return {**super().get_config(), "members": self.members}


@keras.saving.register_keras_serializable(package="sereno")
class MemberDense(keras.layers.Layer):
    """A dense layer of each member of an ensemble, side by side in one product.

    Args:
        members: Members of the ensemble.
        units: Numbers that go out of each.
        activation: Of the layer.
    """

    def __init__(self, members: int, units: int, activation: str | None = None, **rest: Any) -> None:
        super().__init__(**rest)
        self.members, self.units, self.activation = members, units, activation
        # Keras counts the members as a kernel's reach: the scale takes them out of Glorot's bound again.
        self.kernel_initializer = keras.initializers.VarianceScaling(float(members), "fan_avg", "uniform", seed=0)

    def build(self, shape: Any) -> None:
        """Make the kernels and the biases."""
        self.kernel = self.add_weight(
            shape=(self.members, shape[-1], self.units), initializer=self.kernel_initializer, name="kernel"
        )
        self.bias = self.add_weight(shape=(self.members * self.units,), initializer="zeros", name="bias")

    def call(self, inputs: Any) -> Any:
        """[rows, n] that all share, or [members, rows, n], to [members, rows, units]."""
        bias = ops.reshape(self.bias, (self.members, 1, self.units))
        return keras.activations.get(self.activation)(ops.matmul(inputs, self.kernel) + bias)

    def compute_output_shape(self, shape: Any) -> Any:
        """[members, rows, units]."""
        return (self.members, shape[-2], self.units)

    def get_config(self) -> dict[str, Any]:
        """What makes the layer again."""
        return {
            **super().get_config(),
            "members": self.members,
            "units": self.units,
            "activation": self.activation,
        }


@keras.saving.register_keras_serializable(package="sereno")
class MembersBeside(keras.layers.Layer):
    """What the members of an ensemble give, beside each other in one row.

    Args:
        members: Members of the ensemble.
        back: Whether rows are taken apart again instead.
    """

    def __init__(self, members: int, back: bool = False, **rest: Any) -> None:
        super().__init__(**rest)
        self.members, self.back = members, back

    def call(self, inputs: Any) -> Any:
        """[members, rows, n] to [rows, members * n]; back: the other way."""
        if self.back:
            units = inputs.shape[-1] // self.members
            return ops.transpose(ops.reshape(inputs, (-1, self.members, units)), (1, 0, 2))
        return ops.reshape(ops.transpose(inputs, (1, 0, 2)), (-1, self.members * inputs.shape[-1]))

    def compute_output_shape(self, shape: Any) -> Any:
        """[rows, members * n], or [members, rows, n]."""
        if self.back:
            return (self.members, shape[0], shape[-1] // self.members)
        return (shape[1], self.members * shape[-1])

    def get_config(self) -> dict[str, Any]:
        """What makes the layer again."""
        return {**super().get_config(), "members": self.members, "back": self.back}


@keras.saving.register_keras_serializable(package="sereno")
class MemberMean(keras.layers.Layer):
    """The members' mean; while training, all that they give, so that each is held to its own loss."""

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """[members, rows, width] to [rows, width]; while training to [rows, members, width]."""
        return ops.transpose(inputs, (1, 0, 2)) if training else ops.mean(inputs, axis=0)

    def compute_output_shape(self, shape: Any) -> Any:
        """[rows, width]: the mean path's."""
        return shape[1:]
