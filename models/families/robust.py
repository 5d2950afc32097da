"""Robust autoencoder (Qi et al., 2014): correntropy as loss, so that odd values in the training rows pull little."""

from __future__ import annotations

from dataclasses import dataclass

from models.families import register
from models.families.denoising import Config as Denoising
from models.families.denoising import corruption
from models.losses import Loss, correntropy_of, loss
from models.networks import Amount, Network, Positive, assemble, dense_decode, dense_encode


@dataclass(frozen=True)
class Config(Denoising):
    """Shape of the network.

    Args:
        kernel_width: Residuals far beyond it count alike; in units of the scaled input, with the loss correntropy.
    """

    loss: str = "correntropy"
    noise: Amount = 0.0
    kernel_width: Positive = 1.0


@register(
    "robust",
    paper="Qi et al., Robust feature learning by stacked autoencoder with maximum correntropy criterion, 2014",
    use="training rows with gross errors among them",
)
def build(width: int, config: Config) -> Network:
    """Build the network.

    Args:
        width: Numbers of a row.
        config: Shape of the network.
    """
    known = loss(config.loss)
    used = Loss(known.name, correntropy_of(config.kernel_width), known.output, known.paper)
    return assemble(
        width,
        config,
        dense_encode(config, activation=config.code_activation),
        dense_decode(width, config),
        corrupt=corruption(config, config.noise, "noise") if config.noise > 0 else None,
        own_loss=used if known.name == "correntropy" else None,
    )
