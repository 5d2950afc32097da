"""Adversarial autoencoder (Makhzani et al., 2015): an adversary makes codes look like draws of a standard normal prior.

Where the last numbers of a row say its class, the decoder gets the class and the code keeps what is left of a row: its
style. Both are trained in one step, by reversing the adversary's gradient (Ganin and Lempitsky, 2015).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field

from models.families import register
from models.networks import Amount, Layered, Network, Units, assemble, dense_decode, dense_stack
from schemas.errors import ConfigError


@dataclass(frozen=True)
class Config(Layered):
    """Shape of the network.

    Args:
        code: Numbers of the style; the class's come behind them.
        classes: How many numbers at a row's end say its class, one of them 1 and the others 0.
        strength: Weight of the adversary for the encoder, beside the mean loss of a row's numbers.
        adversary: Units of the adversary's hidden layers.
    """

    hidden: tuple[Units, ...] = (128, 64)
    code: Units = 8
    classes: Annotated[int, Field(ge=0)] = 0
    strength: Amount = 0.1
    adversary: tuple[Units, ...] = (64, 64)


@register(
    "adversarial",
    paper="Makhzani et al., Adversarial autoencoders, 2015",
    use="generating rows, telling style from class",
    prior=True,
)
def build(width: int, config: Config) -> Network:
    """Build the network.

    Args:
        width: Numbers of a row.
        config: Shape of the network.

    Raises:
        ConfigError: When a row has no number beside its class.
    """
    import keras

    from models.layers import Columns
    from models.penalties import Adversary

    count = width - config.classes
    if count < 1:
        raise ConfigError(
            f"the family adversarial: `classes` is {config.classes}, and a row has {width} numbers",
            hint="`classes` counts the numbers at a row's end that say its class; others must come before them",
        )
    decode_rest = dense_decode(count, config)

    def with_class(x: Any, start: int, given: Any, name: str) -> Any:
        if not config.classes:
            return x
        says = Columns(start, start + config.classes, name=f"{name}_class")(given)
        return keras.layers.Concatenate(name=f"{name}_with_class")([x, says])

    def encode(rows: Any) -> Any:
        seen = Columns(0, count, name="seen")(rows) if config.classes else rows
        style = keras.layers.Dense(config.code, name="style")(dense_stack(seen, config.hidden, config, "encode"))
        style = Adversary(config.adversary, config.strength, name="adversary")(style)
        return with_class(style, count, rows, "code")

    def decode(codes: Any) -> Any:
        return with_class(decode_rest(codes), config.code, codes, "row")

    return assemble(width, config, encode, decode, has_prior=True, classes=config.classes)
