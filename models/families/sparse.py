"""Sparse autoencoder: few of the code's units answer to a row, by a penalty of Kullback and Leibler or by L1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field

from models.families import register
from models.networks import Amount, Layered, Network, Units, assemble, dense_decode, dense_encode


@dataclass(frozen=True)
class Config(Layered):
    """Shape of the network.

    Args:
        kind: kl has a sigmoid code and compares each unit's mean activation in a batch with the wished one (Ng, Sparse
            autoencoder, 2011); l1 counts what a code's numbers are, whatever their activation.
        strength: Weight of the penalty, a mean over the code's units, beside the mean loss of a row's numbers.
        wished: Mean activation of a unit that costs nothing, with kl.
    """

    code: Units = 96
    kind: Literal["kl", "l1"] = "kl"
    strength: Amount = 0.1
    wished: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.05


@register(
    "sparse",
    paper="Ng, Sparse autoencoder, lecture notes, 2011",
    use="codes wider than a row of which each part means something; semantic hashing",
)
def build(width: int, config: Config) -> Network:
    """Build the network.

    Args:
        width: Numbers of a row.
        config: Shape of the network.
    """
    from models.penalties import Sparsity

    code_of = dense_encode(config, activation="sigmoid" if config.kind == "kl" else None)

    def encode(rows: Any) -> Any:
        return Sparsity(config.kind, config.strength, config.wished, name="sparsity")(code_of(rows))

    return assemble(width, config, encode, dense_decode(width, config))
