"""Convolutional autoencoder of pictures (Masci et al., 2011): two axes, then channels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from models.convolutions import Convolved, convolve, convolve_back
from models.families import register
from models.networks import Network, Units, assemble
from models.row_shape import picture_shape


@dataclass(frozen=True)
class Config(Convolved):
    """Shape of the network.

    Args:
        shape: Height, width and channels of a row, whose numbers stand line after line; a square where none is given.
    """

    code: Units = 32
    shape: tuple[Units, Units, Units] | None = None


@register(
    "convolutional_2d",
    paper="Masci et al., Stacked convolutional auto-encoders for hierarchical feature extraction, 2011",
    use="pictures, cleaning them, super-resolution",
)
def build(width: int, config: Config) -> Network:
    """Build the network.

    Args:
        width: Numbers of a row.
        config: Shape of the network.

    Raises:
        ConfigError: When the shape is not a row's, or the layers' options do not fit together.
    """
    import keras

    shape = picture_shape("convolutional_2d", width, config.shape)
    hidden_of = convolve(config, shape)

    def encode(rows: Any) -> Any:
        return keras.layers.Dense(config.code, name="code")(hidden_of(rows))

    return assemble(width, config, encode, convolve_back(config, shape))
