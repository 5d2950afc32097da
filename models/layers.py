"""Layers of our own: corruption, codes with a prior, penalties, tied weights. Importing it imports Keras.

What a layer does only while training is left out of the exported graph: it takes the mean path there.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

HALF = 0.5
CORRUPTIONS = ("gaussian", "masking", "ones", "salt_and_pepper", "cauchy")


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
            return inputs + self.level * keras.random.normal(shape, seed=self.seeds)
        if self.kind == "cauchy":
            # The quotient of two normal numbers; the bound keeps one draw from deciding an epoch.
            above, below = (keras.random.normal(shape, seed=self.seeds) for _ in range(2))
            return inputs + self.level * ops.clip(above / (below + 1e-6), -100.0, 100.0)
        draws = keras.random.uniform(shape, seed=self.seeds)
        chosen = ops.cast(draws < self.level, inputs.dtype)
        if self.kind == "masking":
            put: Any = 0.0
        elif self.kind == "ones":
            put = self.high
        else:
            is_salt = ops.cast(draws < HALF * self.level, inputs.dtype)
            put = self.low + (self.high - self.low) * is_salt
        return inputs + chosen * (put - inputs)

    def get_config(self) -> dict[str, Any]:
        """What makes the layer again."""
        mine = {"kind": self.kind, "level": self.level, "low": self.low, "high": self.high}
        return {**super().get_config(), **mine}


@keras.saving.register_keras_serializable(package="sereno")
class GaussianCode(keras.layers.Layer):
    """A code with a diagonal Gaussian posterior (Kingma and Welling, 2014): a draw while training, else its mean.

    Args:
        units: Numbers of the code.
        beta: Weight of the Kullback-Leibler divergence from the standard normal prior (Higgins et al., 2017), over the
            mean reconstruction loss of a number.
        width: Numbers of a row; the divergence is divided by it, as the loss is a mean over them.
    """

    def __init__(self, units: int, beta: float, width: int, **rest: Any) -> None:
        super().__init__(**rest)
        self.units, self.beta, self.width = units, beta, width
        self.mean = keras.layers.Dense(units, name="mean")
        self.log_variance = keras.layers.Dense(units, name="log_variance", kernel_initializer="zeros")
        self.seeds = keras.random.SeedGenerator(2)

    def build(self, shape: Any) -> None:
        """Make the two linear maps."""
        self.mean.build(shape)
        self.log_variance.build(shape)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Codes [rows, units] of hidden values [rows, n]."""
        mean = self.mean(inputs)
        if not training:
            return mean
        log_variance = ops.clip(self.log_variance(inputs), -12.0, 6.0)
        divergence = -0.5 * ops.sum(1.0 + log_variance - ops.square(mean) - ops.exp(log_variance), axis=-1)
        self.add_loss(self.beta * ops.mean(divergence) / self.width)
        return mean + ops.exp(0.5 * log_variance) * keras.random.normal(ops.shape(mean), seed=self.seeds)

    def compute_output_shape(self, shape: Any) -> Any:
        """[rows, units]."""
        return (*shape[:-1], self.units)

    def get_config(self) -> dict[str, Any]:
        """What makes the layer again."""
        return {**super().get_config(), "units": self.units, "beta": self.beta, "width": self.width}


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

    def compute_output_shape(self, shape: Any, mirrored: bool = False) -> Any:
        """[rows, units], or [rows, width] where it is mirrored."""
        return (*shape[:-1], self.width if mirrored else self.units)

    def get_config(self) -> dict[str, Any]:
        """What makes the layer again."""
        mine = {"width": self.width, "units": self.units, "activation": self.activation, "back": self.back}
        return {**super().get_config(), **mine}


@keras.saving.register_keras_serializable(package="sereno")
class Sparsity(keras.layers.Layer):
    """A penalty on codes that are active too often, while training.

    Args:
        kind: kl compares each unit's mean activation, within 0 and 1, with the wished one (Ng, Sparse autoencoder,
            2011); l1 counts activations as they are.
        strength: Weight of the penalty.
        wished: Mean activation that costs nothing, with kl.
    """

    def __init__(self, kind: str, strength: float, wished: float = 0.05, **rest: Any) -> None:
        super().__init__(**rest)
        self.kind, self.strength, self.wished = kind, strength, wished

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Codes [rows, units], as they came."""
        if training:
            penalty = self._divergence(inputs) if self.kind == "kl" else ops.mean(ops.abs(inputs))
            self.add_loss(self.strength * penalty)
        return inputs

    def _divergence(self, codes: Any) -> Any:
        rate = ops.clip(ops.mean(codes, axis=0), 1e-4, 1.0 - 1e-4)
        wished = self.wished
        return ops.mean(wished * ops.log(wished / rate) + (1.0 - wished) * ops.log((1.0 - wished) / (1.0 - rate)))

    def get_config(self) -> dict[str, Any]:
        """What makes the layer again."""
        return {**super().get_config(), "kind": self.kind, "strength": self.strength, "wished": self.wished}
