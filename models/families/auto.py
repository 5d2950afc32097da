"""What works on most tables: an ensemble of denoising autoencoders, and the distance to near neighbours.

The members are trained in one program, each with weights and noise of its own and without a share of the rows, and
their mean reconstruction is the ensemble's. Near rows are sought on a scale that is bent, so that neither a heavy tail
nor a crowded middle hides what is odd; `models.judge` says how they enter the score.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from pydantic import Field

from models.families import Pace, register
from models.losses import Loss, loss
from models.members import Folds, Members
from models.networks import Amount, Layered, Nearness, Network, Units, assemble


@dataclass(frozen=True)
class Config(Layered):
    """Shape of the ensemble.

    Args:
        members: Autoencoders in it.
        noise: Scale of the noise that is added, in units of the scaled input.
        bounded: Whether plain numbers are softly bounded, so that a heavy tail does not decide all.
        neighbours: How many near rows count: 12 when none is given, and 2 for an `Autoencoder` whose reference has all
            its rows; 0 for a score of residuals alone.
        reference: What lies in the bundle to be near to: rows of the training, or centroids of them.
        reference_rows: Most of these.
    """

    members: Units = 5
    noise: Amount = 0.4
    bounded: bool = True
    neighbours: Annotated[int, Field(ge=0)] | None = None
    reference: Literal["rows", "centroids"] = "rows"
    reference_rows: Units = 4_000


@register(
    "auto",
    paper="Vincent et al., Extracting and composing robust features with denoising autoencoders, 2008; Hansen and "
    "Salamon, Neural network ensembles, 1990; Angiulli and Pizzuti, Fast outlier detection in high dimensional spaces, "
    "2002",
    use="finding most over many kinds of tables",
    pace=Pace(learning_rate=4e-3, least_steps=10, epochs=100, rows=3_000_000),
)
def build(width: int, config: Config) -> Network:
    """Build the network.

    Args:
        width: Numbers of a row.
        config: Shape of the ensemble.
    """
    import keras

    from models.layers import MemberCorruption, MemberDense, MemberMean, MembersBeside

    members, own = config.members, loss(config.loss)

    def encode(rows: Any) -> Any:
        x = MemberCorruption(members, "gaussian", config.noise, name="noise")(rows)
        x = _stack(x, config.hidden, config, "encode")
        x = MemberDense(members, config.code, config.activation, name="code")(x)
        return MembersBeside(members, name="codes_beside")(x)

    def decode(codes: Any) -> Any:
        x = MembersBeside(members, back=True, name="codes_apart")(codes)
        x = _stack(x, tuple(reversed(config.hidden)), config, "decode")
        x = MemberDense(members, width, own.output, name="reconstructions")(x)
        return MemberMean(name="reconstruction")(x)

    near = None
    if config.neighbours != 0:
        near = Nearness(config.neighbours, config.reference_rows, config.reference)
    folds = Folds(members, width)
    network = assemble(width, config, encode, decode, own_loss=replace(own, of=_of_members(own, folds)), nearness=near)
    given = keras.Input((width,), name="rows")
    apart = keras.Model(network.decoder.input, network.decoder.get_layer("reconstructions").output, name="apart")
    each = keras.Model(given, apart(network.encoder(given)), name="each")
    return replace(network, members=Members(each, folds))


def _of_members(own: Loss, folds: Folds) -> Any:
    """The loss of a row as the mean of those members' that it teaches, or of their mean where that is given."""

    def of(target: Any, output: Any) -> Any:
        from keras import ops

        if len(output.shape) == len(target.shape):
            return own.of(target, output)
        losses = own.of(target[:, None], output)
        if folds.members == 1:
            return losses[:, 0]
        taught = ops.cast(folds.of(target, ops)[:, None] != ops.arange(folds.members, dtype="float32"), losses.dtype)
        return ops.sum(taught * losses, axis=-1) / (folds.members - 1)

    return of


def _stack(x: Any, units: tuple[int, ...], config: Config, name: str) -> Any:
    """Hidden layers of all members, each with what the config wants beside it."""
    import keras

    from models.layers import Dropout, MemberDense, MembersBeside

    for at, count in enumerate(units):
        activation = None if config.batch_norm else config.activation
        x = MemberDense(config.members, count, activation, name=f"{name}_{at}")(x)
        if config.batch_norm:
            # Beside each other, so that each member's values are normalised by themselves.
            x = MembersBeside(config.members, name=f"{name}_{at}_beside")(x)
            x = keras.layers.BatchNormalization(name=f"{name}_{at}_norm")(x)
            x = MembersBeside(config.members, back=True, name=f"{name}_{at}_apart")(x)
            x = keras.layers.Activation(config.activation, name=f"{name}_{at}_activation")(x)
        if config.dropout > 0:
            x = Dropout(config.dropout, seed=3, name=f"{name}_{at}_dropout")(x)
    return x
