"""Parts that convolutional families share: convolutions that lead to codes, transposed ones that lead back.

A family's rows stay [rows, width]; they have their shape inside of the network alone. Importing this module imports no
Keras.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from models.losses import loss
from models.networks import Layered, Units, beside, dense, dense_stack
from schemas.errors import ConfigError


@dataclass(frozen=True)
class Convolved(Layered):
    """What every convolutional family lets one choose; the decoder mirrors the layers.

    Args:
        hidden: Units of dense layers between the last convolution and the code.
        filters: Channels that each convolution gives.
        kernels: Size of each convolution's kernel, along every axis; one number serves all layers.
        strides: Step of each convolution, along every axis; one number serves all layers.
    """

    hidden: tuple[Units, ...] = ()
    filters: tuple[Units, ...] = (16, 32)
    kernels: tuple[Units, ...] = (3,)
    strides: tuple[Units, ...] = (2,)


@dataclass(frozen=True)
class _Convolution:
    """One layer and its mirror: `size` are the axes' lengths before it, `channels` the channels."""

    size: tuple[int, ...]
    channels: int
    filters: int
    kernel: int
    stride: int

    @property
    def size_behind(self) -> tuple[int, ...]:
        """The axes' lengths behind it."""
        return tuple(math.ceil(length / self.stride) for length in self.size)


def convolve(config: Convolved, shape: tuple[int, ...]) -> Callable[[Any], Any]:
    """Rows [rows, width] to hidden values [rows, n]: the convolutions, then the dense layers.

    Args:
        config: The family's config.
        shape: Of a row: one or two axes, then channels.

    Raises:
        ConfigError: When the layers' options do not fit together.
    """
    import keras

    layers = _layers(config, shape)
    kind = getattr(keras.layers, f"Conv{len(shape) - 1}D")
    activation = None if config.batch_norm else config.activation

    def encode(rows: Any) -> Any:
        x = keras.layers.Reshape(shape, name="shape")(rows)
        for at, layer in enumerate(layers):
            name = f"convolution_{at}"
            how = {"strides": layer.stride, "padding": "same", "activation": activation, "name": name}
            x = beside(kind(layer.filters, layer.kernel, **how)(x), config, name)
        return dense_stack(keras.layers.Flatten(name="flat")(x), config.hidden, config, "encode")

    return encode


def convolve_back(config: Convolved, shape: tuple[int, ...]) -> Callable[[Any], Any]:
    """Codes [rows, code] to rows [rows, width]: the dense layers, then the transposed convolutions.

    Args:
        config: The family's config.
        shape: Of a row: one or two axes, then channels.

    Raises:
        ConfigError: When the layers' options do not fit together.
    """
    import keras

    layers = _layers(config, shape)
    kind = getattr(keras.layers, f"Conv{len(shape) - 1}DTranspose")
    activation = None if config.batch_norm else config.activation

    def decode(codes: Any) -> Any:
        x = dense_stack(codes, tuple(reversed(config.hidden)), config, "decode")
        start = (*layers[-1].size_behind, layers[-1].filters)
        x = beside(dense(math.prod(start), config, "start")(x), config, "start")
        x = keras.layers.Reshape(start, name="start_shape")(x)
        for at, layer in reversed(list(enumerate(layers))):
            name = f"transposed_{at}" if at else "reconstruction"
            how = {"strides": layer.stride, "padding": "same", "name": name}
            given = activation if at else loss(config.loss).output
            x = _cropped(kind(layer.channels, layer.kernel, activation=given, **how)(x), layer, f"{name}_cropped")
            x = beside(x, config, name) if at else x
        return keras.layers.Flatten(name="flat")(x)

    return decode


def _cropped(x: Any, layer: _Convolution, name: str) -> Any:
    """What a transposed convolution gave, without what stands over the size that the convolution saw."""
    import keras

    over = [(0, back * layer.stride - size) for back, size in zip(layer.size_behind, layer.size, strict=True)]
    if not any(count for _, count in over):
        return x
    return keras.layers.Cropping1D(over[0], name=name)(x) if len(over) == 1 else keras.layers.Cropping2D(over)(x)


def _layers(config: Convolved, shape: tuple[int, ...]) -> list[_Convolution]:
    count = len(config.filters)
    if not count:
        raise ConfigError("`filters` names no convolution", hint="give one number a layer, such as [16, 32]")
    layers: list[_Convolution] = []
    size, channels = shape[:-1], shape[-1]
    kernels, strides = _each("kernels", config.kernels, count), _each("strides", config.strides, count)
    for filters, kernel, stride in zip(config.filters, kernels, strides, strict=True):
        layers.append(_Convolution(size, channels, filters, kernel, stride))
        size, channels = layers[-1].size_behind, filters
    return layers


def _each(name: str, given: tuple[int, ...], count: int) -> tuple[int, ...]:
    """One number a layer."""
    if len(given) == 1:
        return given * count
    if len(given) != count:
        raise ConfigError(
            f"`{name}` has {len(given)} numbers, and `filters` names {count} layers",
            hint=f"give {name} one number for each layer, or one for all",
        )
    return given
