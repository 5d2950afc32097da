"""Convolutional autoencoder of series (Masci et al., 2011): one axis of time, then channels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from models.convolutions import Convolved, convolve, convolve_back
from models.families import register
from models.networks import Network, Units, assemble
from models.row_shape import series_shape


@dataclass(frozen=True)
class Config(Convolved):
    """Shape of the network.

    Args:
        shape: Length and channels of a row, whose numbers stand step after step; one channel where none is given.
    """

    code: Units = 16
    kernels: tuple[Units, ...] = (5,)
    shape: tuple[Units, Units] | None = None


@register(
    "convolutional_1d",
    paper="Masci et al., Stacked convolutional auto-encoders for hierarchical feature extraction, 2011",
    use="windows of sensor series, spectra",
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

    shape = series_shape("convolutional_1d", width, config.shape)
    hidden_of = convolve(config, shape)

    def encode(rows: Any) -> Any:
        return keras.layers.Dense(config.code, name="code")(hidden_of(rows))

    return assemble(width, config, encode, convolve_back(config, shape))
