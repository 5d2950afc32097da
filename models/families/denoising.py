"""Denoising autoencoder (Vincent et al., 2008): noise on the scaled input, the clean input as target."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from models.families import register
from models.networks import Activation, Amount, Layered, Network, assemble, dense_decode, dense_encode


@dataclass(frozen=True)
class Config(Layered):
    """Shape of the network.

    Args:
        noise: Scale of the noise that is added, in units of the scaled input; the share of values for the others.
        corruption: What the noise is.
        low: What a value becomes as pepper.
        high: What a value becomes as salt, and with ones.
        code_activation: Activation of the code; that of the hidden layers where none is given.
    """

    noise: Amount = 0.4
    corruption: Literal["gaussian", "masking", "ones", "salt_and_pepper", "cauchy"] = "gaussian"
    low: float = 0.0
    high: float = 1.0
    code_activation: Activation | None = None


@register(
    "denoising",
    paper="Vincent et al., Extracting and composing robust features with denoising autoencoders, 2008",
    use="tables, cleaning noise",
)
def build(width: int, config: Config) -> Network:
    """Build the network.

    Args:
        width: Numbers of a row.
        config: Shape of the network.
    """
    corrupt = corruption(config, config.noise, "noise")
    encode = dense_encode(config, activation=config.code_activation)
    return assemble(width, config, encode, dense_decode(width, config), corrupt=corrupt)


def corruption(config: Config, level: float, name: str) -> Any:
    """The layer that corrupts what it is given, while training.

    Args:
        config: Says what the noise is.
        level: Its scale.
        name: The layer's name.
    """
    from models.layers import Corruption

    return Corruption(config.corruption, level, config.low, config.high, name=name)
