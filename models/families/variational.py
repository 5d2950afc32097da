"""Variational autoencoder (Kingma and Welling, 2014) with a diagonal Gaussian code; beta as Higgins et al. (2017)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from models.families import register
from models.networks import Amount, Layered, Network, Units, assemble, dense_decode, dense_stack


@dataclass(frozen=True)
class Config(Layered):
    """Shape of the network.

    Args:
        beta: Weight of the divergence from the prior.
    """

    hidden: tuple[Units, ...] = (128, 64)
    code: Units = 8
    beta: Amount = 1.0


@register(
    "variational",
    paper="Kingma and Welling, Auto-encoding variational Bayes, 2014",
    use="generating rows, smooth embeddings, anomaly detection",
    prior=True,
)
def build(width: int, config: Config) -> Network:
    """Build the network.

    Args:
        width: Numbers of a row.
        config: Shape of the network.
    """
    from models.penalties import GaussianCode

    def encode(rows: Any) -> Any:
        hidden = dense_stack(rows, config.hidden, config, "encode")
        return GaussianCode(config.code, config.beta, width, name="code")(hidden)

    return assemble(width, config, encode, dense_decode(width, config), has_prior=True)
