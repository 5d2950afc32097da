"""Dense autoencoder (Rumelhart et al., 1986; Hinton and Salakhutdinov, 2006), undercomplete or overcomplete."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from models.families import register
from models.losses import loss
from models.networks import Activation, Layered, Network, assemble, beside, dense_decode, dense_encode


@dataclass(frozen=True)
class Config(Layered):
    """Shape of the network.

    Args:
        tied: Whether each layer of the decoder has the kernel of its mirror, transposed.
        code_activation: Activation of the code, linear for a plane to look at, sigmoid for bits; that of the hidden
            layers where none is given.
    """

    tied: bool = False
    code_activation: Activation | None = None


@register(
    "dense",
    paper="Hinton and Salakhutdinov, Reducing the dimensionality of data with neural networks, 2006",
    use="embedding, compression; a code wider than a row (overcomplete) wants dropout or weight decay",
)
def build(width: int, config: Config) -> Network:
    """Build the network.

    Args:
        width: Numbers of a row.
        config: Shape of the network.
    """
    if not config.tied:
        to_code = dense_encode(config, activation=config.code_activation)
        return assemble(width, config, to_code, dense_decode(width, config))
    from models.layers import TiedDense

    sizes = (width, *config.hidden, config.code)
    there = (*(config.activation for _ in config.hidden), config.code_activation or config.activation)
    back = (loss(config.loss).output, *(config.activation for _ in config.hidden))
    layers = [
        TiedDense(sizes[at], sizes[at + 1], there[at], back[at], name=f"tied_{at}") for at in range(len(sizes) - 1)
    ]

    def encode(x: Any) -> Any:
        for at, layer in enumerate(layers):
            x = layer(x)
            x = x if layer is layers[-1] else beside(x, config, f"encode_{at}")
        return x

    def decode(x: Any) -> Any:
        for layer in reversed(layers):
            x = layer(x, mirrored=True)
        return x

    return assemble(width, config, encode, decode)
