"""Variational autoencoder of pictures (Kingma and Welling, 2014), with convolutions and transposed ones.

Its loss is that of pictures, whose numbers are within 0 and 1; other rows want another loss.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from models.convolutions import Convolved, convolve, convolve_back
from models.families import register
from models.networks import Amount, Network, Units, assemble
from models.row_shape import picture_shape


@dataclass(frozen=True)
class Config(Convolved):
    """Shape of the network.

    Args:
        shape: Height, width and channels of a row, whose numbers stand line after line; a square where none is given.
        beta: Weight of the divergence from the prior. More than 1 leaves fewer holes between the codes of rows, from
            which a draw would give no picture; a small picture wants less than 1, as each number of it counts more.
    """

    hidden: tuple[Units, ...] = (256, 128, 64)
    code: Units = 5
    loss: str = "binary_crossentropy"
    kernels: tuple[Units, ...] = (4,)
    shape: tuple[Units, Units, Units] | None = None
    beta: Amount = 3.0


@register(
    "convolutional_variational",
    paper="Kingma and Welling, Auto-encoding variational Bayes, 2014",
    use="generating pictures",
    prior=True,
)
def build(width: int, config: Config) -> Network:
    """Build the network.

    Args:
        width: Numbers of a row.
        config: Shape of the network.

    Raises:
        ConfigError: When the shape is not a row's, or the layers' options do not fit together.
    """
    from models.penalties import GaussianCode

    shape = picture_shape("convolutional_variational", width, config.shape)
    hidden_of = convolve(config, shape)

    def encode(rows: Any) -> Any:
        return GaussianCode(config.code, config.beta, width, name="code")(hidden_of(rows))

    return assemble(width, config, encode, convolve_back(config, shape), has_prior=True)
