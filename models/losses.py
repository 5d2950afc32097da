"""Reconstruction losses by name: what a row of the target and of the output cost, [rows, width] twice to [rows].

A loss is a plain function and `@register_loss`; a package of a user's own adds one through the entry point group
`sereno.losses`. A dataset file only names it. Importing this module imports no Keras.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from models.plugins import load_plugins
from schemas.errors import ConfigError, TrainingFailed, listed
from schemas.yaml_source import nearest

GROUP = "sereno.losses"
HUBER_EDGE = 1.0
KERNEL_WIDTH = 1.0

RowLoss = Callable[[Any, Any], Any]
Output = Literal["linear", "sigmoid"]


@dataclass(frozen=True)
class Loss:
    """A way to weigh a reconstruction.

    Args:
        name: Its registered name.
        of: `(target, output)`, float32 [rows, width] each, to float32 [rows].
        output: Activation of the network's last layer that the loss asks for.
        paper: Where it comes from.
    """

    name: str
    of: RowLoss
    output: Output = "linear"
    paper: str = ""

    def check(self, rows: np.ndarray[Any, Any]) -> None:
        """Refuse rows that the last layer cannot give.

        Raises:
            TrainingFailed: When the output is within 0 and 1 and rows are not.
        """
        if self.output == "sigmoid" and len(rows) and (rows.min() < 0 or rows.max() > 1):
            raise TrainingFailed(
                f"the loss {self.name} needs values within 0 and 1, and these reach from {rows.min():.4g} to "
                f"{rows.max():.4g}",
                hint="choose scaling='minmax', or another loss: mse, mae, huber or correntropy",
            )


_LOSSES: dict[str, Loss] = {}


def register_loss(name: str, *, output: Output = "linear", paper: str = "") -> Callable[[RowLoss], RowLoss]:
    """Make a loss known under a name.

    Args:
        name: Lower-case letters, digits and underscores.
        output: Activation of the network's last layer that the loss asks for.
        paper: Where it comes from.

    Raises:
        TypeError: When the name is taken.
    """

    def keep(of: RowLoss) -> RowLoss:
        if name in _LOSSES and _LOSSES[name].of is not of:
            raise TypeError(f"the loss {name!r} is registered twice")
        _LOSSES[name] = Loss(name, of, output, paper)
        return of

    return keep


def loss_names() -> tuple[str, ...]:
    """All registered losses, those of installed packages among them."""
    load_plugins(GROUP)
    return tuple(sorted(_LOSSES))


def loss(name: str) -> Loss:
    """The loss of that name.

    Raises:
        ConfigError: When there is none.
    """
    known = loss_names()
    if name not in known:
        raise ConfigError(f"there is no loss {name!r}{nearest(name, known)}", hint=f"known: {listed(known)}")
    return _LOSSES[name]


@register_loss("mse")
def mse(target: Any, output: Any) -> Any:
    """Mean squared error."""
    from keras import ops

    return ops.mean(ops.square(target - output), axis=-1)


@register_loss("mae")
def mae(target: Any, output: Any) -> Any:
    """Mean absolute error."""
    from keras import ops

    return ops.mean(ops.abs(target - output), axis=-1)


@register_loss("huber", paper="Huber, Robust Estimation of a Location Parameter, 1964")
def huber(target: Any, output: Any) -> Any:
    """Squared up to a residual of 1, linear beyond."""
    from keras import ops

    size = ops.abs(target - output)
    bounded = ops.minimum(size, HUBER_EDGE)
    return ops.mean(bounded * (size - 0.5 * bounded), axis=-1)


@register_loss("binary_crossentropy", output="sigmoid")
def binary_crossentropy(target: Any, output: Any) -> Any:
    """Mean binary cross-entropy of values within 0 and 1."""
    from keras import ops

    return ops.mean(ops.binary_crossentropy(target, output), axis=-1)


def correntropy_of(width: float) -> RowLoss:
    """Correntropy with a Gaussian kernel of that width, in units of the scaled input.

    Small residuals count as squares, large ones at most twice the width's square.
    """

    def correntropy(target: Any, output: Any) -> Any:
        """Squared for small residuals; large ones count alike."""
        from keras import ops

        reach = 2.0 * width * width
        return ops.mean(reach * (1.0 - ops.exp(-ops.square(target - output) / reach)), axis=-1)

    return correntropy


register_loss("correntropy", paper="Qi et al., Robust feature learning by stacked autoencoder, 2014")(
    correntropy_of(KERNEL_WIDTH)
)
