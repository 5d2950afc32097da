"""Stacked denoising autoencoder (Vincent et al., 2010): layer by layer first, each on what the ones before it give.

Each layer and its mirror are an autoencoder that is trained with noise on its own input; then the whole is trained on.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import reduce
from itertools import pairwise
from typing import Any

from models.families import register
from models.families.denoising import Config as Denoising
from models.families.denoising import corruption
from models.losses import loss
from models.networks import Amount, Network, Stage, Units, assemble, beside, dense
from schemas.errors import ConfigError


@dataclass(frozen=True)
class Config(Denoising):
    """Shape of the network.

    Args:
        noise: Scale of the noise on the rows while the whole is trained.
        noises: Scale of the noise on each layer's input while it is trained by itself, the first on the rows; one
            number serves all layers.
    """

    hidden: tuple[Units, ...] = (128, 64)
    code: Units = 32
    noise: Amount = 0.0
    noises: tuple[Amount, ...] = (0.2,)


@register(
    "stacked",
    paper="Vincent et al., Stacked denoising autoencoders, 2010",
    use="deep networks on few rows",
)
def build(width: int, config: Config) -> Network:
    """Build the network.

    Args:
        width: Numbers of a row.
        config: Shape of the network.

    Raises:
        ConfigError: When there are fewer noises than layers, or more.
    """
    import keras

    encoders, decoders = _layers(width, config)
    rows = keras.Input((width,), name="rows")
    stages: list[Stage] = []
    given, before = rows, None
    for at, noise in enumerate(_noises(config)):
        stages.append(Stage(before, _part(at, noise, encoders[at], decoders[at], config)))
        given = encoders[at](given)
        before = keras.Model(rows, given, name=f"before_{at + 1}")

    def encode(x: Any) -> Any:
        return reduce(lambda values, layer: layer(values), encoders, x)

    def decode(x: Any) -> Any:
        return reduce(lambda values, layer: layer(values), reversed(decoders), x)

    corrupt = corruption(config, config.noise, "noise") if config.noise > 0 else None
    return assemble(width, config, encode, decode, corrupt=corrupt, pretraining=tuple(stages))


def _noises(config: Config) -> tuple[float, ...]:
    """One number a layer."""
    count = len(config.hidden) + 1
    if len(config.noises) == 1:
        return config.noises * count
    if len(config.noises) != count:
        raise ConfigError(
            f"the family stacked: `noises` has {len(config.noises)} numbers, and there are {count} layers",
            hint="give one number for each of `hidden`, and one more for the code; or one for all",
        )
    return config.noises


def _layers(width: int, config: Config) -> tuple[list[Any], list[Any]]:
    """Each layer of the encoder, and its mirror in the decoder, as Keras models."""
    sizes = (width, *config.hidden, config.code)
    plain = replace(config, batch_norm=False, dropout=0.0)
    code = replace(plain, activation=config.code_activation or config.activation)
    output = replace(plain, activation=loss(config.loss).output)
    # A value that is dropped is none to reconstruct: mirrors drop nothing.
    mirror = replace(config, dropout=0.0)
    encoders, decoders = [], []
    for at, (low, high) in enumerate(pairwise(sizes)):
        encoders.append(_layer(f"encode_{at}", low, high, config if at < len(config.hidden) else code))
        decoders.append(_layer(f"decode_{at}", high, low, mirror if at else output))
    return encoders, decoders


def _layer(name: str, width: int, units: int, config: Config) -> Any:
    import keras

    seen = keras.Input((width,), name=f"{name}_seen")
    return keras.Model(seen, beside(dense(units, config, f"{name}_dense")(seen), config, name), name=name)


def _part(at: int, noise: float, encoder: Any, decoder: Any, config: Config) -> Network:
    """A layer and its mirror, with noise before them."""
    import keras

    seen = keras.Input((encoder.input_shape[-1],), name="seen")
    part = keras.Model(seen, decoder(encoder(corruption(config, noise, f"noise_{at}")(seen))), name=f"part_{at}")
    used = loss(config.loss)
    # What a hidden layer gives is within no bounds that an output of the rows has.
    inner = used if at == 0 or used.output == "linear" else loss("mse")
    return Network(part, encoder, decoder, inner, weight_decay=config.weight_decay)
