"""Layers that pass codes through and add to the loss while training: priors, sparsity, contraction, an adversary.

A penalty stands beside a reconstruction loss that is a mean over a row's numbers; each says in what unit it counts.
Importing it imports Keras.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from models import draws


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
        return mean + ops.exp(0.5 * log_variance) * draws.normal(ops.shape(mean), self.seeds)

    def compute_output_shape(self, shape: Any) -> Any:
        """[rows, units]."""
        return (*shape[:-1], self.units)

    def get_config(self) -> dict[str, Any]:
        """What makes the layer again."""
        return {**super().get_config(), "units": self.units, "beta": self.beta, "width": self.width}


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


@keras.saving.register_keras_serializable(package="sereno")
class Contraction(keras.layers.Layer):
    """An encoder whose codes may change little with the row: a penalty while training (Rifai et al., 2011).

    The squared Frobenius norm of the encoder's Jacobian J is the mean of |J e|^2 over standard normal e; J e is what
    a small step along e changes. One perturbed row a row so estimates the norm, without bias but for the step's square.
    It is the Jacobian of the mean path: dropped values would tell the two rows apart.

    Args:
        encoder: Keras model from rows to codes.
        strength: Weight of the squared norm, over the squared reconstruction error of a row.
        step: Scale of the perturbation.
    """

    def __init__(self, encoder: Any, strength: float, step: float = 0.01, **rest: Any) -> None:
        super().__init__(**rest)
        self.encoder, self.strength, self.step = encoder, strength, step
        self.seeds = keras.random.SeedGenerator(4)
        by_mode = (keras.layers.Dropout, keras.layers.BatchNormalization)
        self.has_mean_path = any(isinstance(layer, by_mode) for layer in encoder.layers)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Codes [rows, units] of rows [rows, width]."""
        codes = self.encoder(inputs, training=training)
        if training:
            direction = draws.normal(ops.shape(inputs), self.seeds)
            here = self.encoder(inputs, training=False) if self.has_mean_path else codes
            near = self.encoder(inputs + self.step * direction, training=False)
            # A mean over a row's numbers, as the loss is one.
            norms = ops.sum(ops.square((near - here) / self.step), axis=-1) / inputs.shape[-1]
            self.add_loss(self.strength * ops.mean(norms))
        return codes

    def compute_output_shape(self, shape: Any) -> Any:
        """[rows, units]."""
        return (*shape[:-1], self.encoder.output_shape[-1])

    def get_config(self) -> dict[str, Any]:
        """What makes the layer again."""
        encoder = keras.saving.serialize_keras_object(self.encoder)
        return {**super().get_config(), "encoder": encoder, "strength": self.strength, "step": self.step}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Contraction:
        """The layer that `get_config` told of."""
        return cls(**{**config, "encoder": keras.saving.deserialize_keras_object(config["encoder"])})


@keras.saving.register_keras_serializable(package="sereno")
class Adversary(keras.layers.Layer):
    """A network that tells codes from draws of a standard normal prior, and whose gradient reaches them reversed.

    So one step trains both sides of an adversarial autoencoder (Makhzani et al., 2015; the reversal is that of Ganin
    and Lempitsky, 2015): the adversary to tell them apart, the encoder to make it impossible. An adversary that is
    never in doubt drives codes away without end, so its slope is a penalty to it (Mescheder et al., 2018), estimated
    as in `Contraction`.

    Args:
        hidden: Units of its hidden layers.
        strength: Weight of what the encoder sees of it; the adversary itself learns at full weight.
        smoothness: Weight of the mean squared slope of its verdict.
        step: Scale of the perturbation that tells the slope.
    """

    def __init__(
        self, hidden: tuple[int, ...], strength: float, smoothness: float = 1.0, step: float = 0.1, **rest: Any
    ) -> None:
        super().__init__(**rest)
        self.hidden, self.strength, self.smoothness, self.step = tuple(hidden), strength, smoothness, step
        self.parts = [keras.layers.Dense(n, activation="relu", name=f"judge_{at}") for at, n in enumerate(hidden)]
        self.parts.append(keras.layers.Dense(1, name="verdict"))
        self.seeds = keras.random.SeedGenerator(5)

    def build(self, shape: Any) -> None:
        """Make its layers."""
        for part, width in zip(self.parts, (shape[-1], *self.hidden), strict=True):
            part.build((None, width))

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Codes [rows, units], as they came."""
        if training:
            drawn = draws.normal(ops.shape(inputs), self.seeds)
            # Their values, and the gradient times -strength.
            seen = ops.stop_gradient((1.0 + self.strength) * inputs) - self.strength * inputs
            told = ops.mean(ops.softplus(-self._verdict(drawn))) + ops.mean(ops.softplus(self._verdict(seen)))
            slopes = self._slope(drawn) + self._slope(ops.stop_gradient(inputs))
            self.add_loss(told + 0.5 * self.smoothness * slopes)
        return inputs

    def _verdict(self, codes: Any) -> Any:
        for part in self.parts:
            codes = part(codes)
        return codes

    def _slope(self, codes: Any) -> Any:
        """Mean squared slope of the verdict at codes."""
        near = codes + self.step * draws.normal(ops.shape(codes), self.seeds)
        return ops.mean(ops.square((self._verdict(near) - self._verdict(codes)) / self.step))

    def get_config(self) -> dict[str, Any]:
        """What makes the layer again."""
        mine = {"hidden": self.hidden, "strength": self.strength, "smoothness": self.smoothness, "step": self.step}
        return {**super().get_config(), **mine}
