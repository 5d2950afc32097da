"""Contractive autoencoder (Rifai et al., 2011): codes change little with the row, but along what the rows vary in.

The penalty is a stochastic estimate of the squared Frobenius norm of the encoder's Jacobian, for any depth: one small
Gaussian perturbation a row and step, without bias but for the perturbation's square.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from models.families import register
from models.networks import Amount, Layered, Network, assemble, dense_decode, dense_encode


@dataclass(frozen=True)
class Config(Layered):
    """Shape of the network.

    Args:
        strength: Weight of the squared norm of the Jacobian, beside a row's squared reconstruction error.
    """

    strength: Amount = 0.01


@register(
    "contractive",
    paper="Rifai et al., Contractive auto-encoders: explicit invariance during feature extraction, 2011",
    use="features that small changes of a row leave as they are",
)
def build(width: int, config: Config) -> Network:
    """Build the network.

    Args:
        width: Numbers of a row.
        config: Shape of the network.
    """
    import keras

    from models.penalties import Contraction

    seen = keras.Input((width,), name="seen")
    inner = keras.Model(seen, dense_encode(config)(seen), name="contracted")

    def encode(rows: Any) -> Any:
        return Contraction(inner, config.strength, name="contraction")(rows)

    return assemble(width, config, encode, dense_decode(width, config))
