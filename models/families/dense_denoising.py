"""Dense denoising autoencoder (Vincent et al., 2008): Gaussian noise on the scaled input, the clean input as target."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from models.families import register


@dataclass(frozen=True)
class Config:
    """Shape of the network.

    Args:
        hidden: Units of the encoder's hidden layers; the decoder mirrors them.
        code: Units of the code layer.
        noise: Standard deviation of the noise, in units of the scaled input.
        activation: Activation of hidden and code layers.
    """

    hidden: tuple[int, ...]
    code: int
    noise: float
    activation: str


@register("dense_denoising")
def build(width: int, config: Config) -> Any:
    """Build the Keras model, float32 [rows, width] to float32 [rows, width].

    Args:
        width: Columns of the transformed input.
        config: Shape of the network.
    """
    import keras

    inputs = keras.Input((width,), name="rows")
    x = keras.layers.GaussianNoise(config.noise, name="noise")(inputs)
    for at, units in enumerate(config.hidden):
        x = keras.layers.Dense(units, activation=config.activation, name=f"encode_{at}")(x)
    x = keras.layers.Dense(config.code, activation=config.activation, name="code")(x)
    for at, units in enumerate(reversed(config.hidden)):
        x = keras.layers.Dense(units, activation=config.activation, name=f"decode_{at}")(x)
    outputs = keras.layers.Dense(width, name="reconstruction")(x)
    return keras.Model(inputs, outputs, name="dense_denoising")
