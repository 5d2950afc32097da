"""Recurrent autoencoder (Srivastava et al., 2015): one network reads a series into a code, another writes it again.

The decoder sees the code at every step, not its own last output, as in a summary that is repeated (Cho et al., 2014).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

from models.families import register
from models.losses import loss
from models.networks import Activation, Layered, Network, Units, assemble, beside, dense_stack
from models.row_shape import series_shape


@dataclass(frozen=True)
class Config(Layered):
    """Shape of the network.

    Args:
        hidden: Units of dense layers between what reads and the code.
        shape: Steps and channels of a row, whose numbers stand step after step; one channel where none is given.
        cell: What reads and writes: long short-term memory, or a gated recurrent unit.
        units: Numbers that it remembers.
    """

    hidden: tuple[Units, ...] = ()
    code: Units = 16
    activation: Activation = "tanh"
    shape: tuple[Units, Units] | None = None
    cell: Literal["lstm", "gru"] = "lstm"
    units: Units = 64


@register(
    "recurrent",
    paper="Srivastava et al., Unsupervised learning of video representations using LSTMs, 2015",
    use="windows of series in which order matters more than place",
)
def build(width: int, config: Config) -> Network:
    """Build the network.

    Args:
        width: Numbers of a row.
        config: Shape of the network.

    Raises:
        ConfigError: When the shape is not a row's.
    """
    import keras

    from models.layers import UnrolledGRU, UnrolledLSTM

    steps, channels = series_shape("recurrent", width, config.shape)
    kind: Any = {"lstm": UnrolledLSTM, "gru": UnrolledGRU}[config.cell]
    # What a cell gives is bounded already: it is not normalised.
    plain = replace(config, batch_norm=False)

    def encode(rows: Any) -> Any:
        x = keras.layers.Reshape((steps, channels), name="shape")(rows)
        x = beside(kind(config.units, name="read")(x), plain, "read")
        x = dense_stack(x, config.hidden, config, "encode")
        return keras.layers.Dense(config.code, name="code")(x)

    def decode(codes: Any) -> Any:
        x = dense_stack(codes, tuple(reversed(config.hidden)), config, "decode")
        x = keras.layers.RepeatVector(steps, name="repeated")(x)
        x = beside(kind(config.units, return_sequences=True, name="write")(x), plain, "write")
        x = keras.layers.Dense(channels, activation=loss(config.loss).output, name="reconstruction")(x)
        return keras.layers.Flatten(name="flat")(x)

    return assemble(width, config, encode, decode)
