"""What a family's builder gives, and the parts that dense families share.

Every network maps rows to rows, float32 [rows, width], whatever its layers do inside; so the nightly flow, the trainer
and the export need not know the family. Importing this module imports no Keras.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field

from models.losses import Loss, loss
from models.members import Members

Activation = Literal["relu", "silu", "tanh", "elu", "selu", "sigmoid", "linear"]
Units = Annotated[int, Field(gt=0)]
Share = Annotated[float, Field(ge=0.0, lt=1.0)]
Amount = Annotated[float, Field(ge=0.0)]
Positive = Annotated[float, Field(gt=0.0)]


@dataclass(frozen=True)
class Layered:
    """What every family lets one choose.

    Args:
        hidden: Units of the encoder's hidden layers; the decoder mirrors them.
        code: Numbers of the code.
        activation: Activation of the hidden layers.
        loss: Registered name of the reconstruction loss.
        weight_decay: Decoupled decay of the kernels a step, as a share of the step size (Loshchilov and Hutter, 2019).
        dropout: Share of hidden values that is dropped while training.
        batch_norm: Whether hidden layers are normalised over the batch.
    """

    hidden: tuple[Units, ...] = (256,)
    code: Units = 48
    activation: Activation = "silu"
    loss: str = "mse"
    weight_decay: Amount = 0.0
    dropout: Share = 0.0
    batch_norm: bool = False


COUNT_OF_ALL, COUNT_OF_SAMPLE = 2, 12


@dataclass(frozen=True)
class Nearness:
    """How near rows enter a score; see `models.judge`.

    Args:
        count: How many near rows count; None: as many as is best for the reference.
        most: Most rows of the reference.
        kind: Rows of the training, or centroids of them.
    """

    count: int | None
    most: int
    kind: Literal["rows", "centroids"]

    def count_of(self, rows: int, *, lends_all: bool) -> int:
        """How many near rows count.

        In a sample of rows the nearest ones are farther apart, and chance decides more which they are: more of them
        are averaged. So, too, for a night, which may hold a few anomalies alike, and may be scored by its own rows.

        Args:
            rows: How many the reference is taken from.
            lends_all: Whether all rows that were given may be in it, as where a person chose them.
        """
        if self.count is not None:
            return self.count
        return COUNT_OF_ALL if lends_all and rows <= self.most else COUNT_OF_SAMPLE


@dataclass(frozen=True)
class Stage:
    """A part that is trained by itself before the whole is.

    Args:
        before: Keras model that gives the part's rows [rows, n] from rows [rows, width]; None: the rows themselves.
        network: The part, which shares its layers with the whole.
    """

    before: Any
    network: Network


@dataclass(frozen=True)
class Network:
    """An autoencoder as Keras models that share their layers.

    Args:
        model: From rows [rows, width] to their reconstruction [rows, width].
        encoder: From rows to codes [rows, code], on the mean path.
        decoder: From codes to rows.
        loss: What a row's reconstruction costs.
        weight_decay: See `Layered`.
        has_prior: Whether codes drawn from a standard normal distribution give plausible rows.
        classes: Numbers at the end of a row, and of a code, that say its class, one of them 1.
        pretraining: Parts to train first, in order.
        members: Its members, where it is an ensemble.
        nearness: How near rows enter the score; None: it is one of residuals alone.
    """

    model: Any
    encoder: Any
    decoder: Any
    loss: Loss
    weight_decay: float = 0.0
    has_prior: bool = False
    classes: int = 0
    pretraining: tuple[Stage, ...] = ()
    members: Members | None = None
    nearness: Nearness | None = None

    @property
    def code(self) -> int:
        """Numbers of a code."""
        return int(self.encoder.output_shape[-1])


def wants_bounds(config: Layered) -> bool:
    """Whether plain numbers are softly bounded before they enter a family's network."""
    return bool(getattr(config, "bounded", False))


def is_ensemble(config: Layered) -> bool:
    """Whether each row has a member that it did not teach, which tells what is normal for it."""
    return int(getattr(config, "members", 1)) > 1


def assemble(
    width: int,
    config: Layered,
    encode: Callable[[Any], Any],
    decode: Callable[[Any], Any],
    *,
    corrupt: Any = None,
    own_loss: Loss | None = None,
    **facts: Any,
) -> Network:
    """Put two halves together.

    Args:
        width: Numbers of a row.
        config: The family's config.
        encode: A Keras tensor of rows to one of codes.
        decode: A Keras tensor of codes to one of rows.
        corrupt: Layer before the encoder that acts while training only.
        own_loss: Instead of the config's.
        **facts: Further fields of `Network`.
    """
    import keras

    rows = keras.Input((width,), name="rows")
    encoder = keras.Model(rows, encode(rows), name="encoder")
    codes = keras.Input((encoder.output_shape[-1],), name="codes")
    decoder = keras.Model(codes, decode(codes), name="decoder")
    given = keras.Input((width,), name="rows")
    model = keras.Model(given, decoder(encoder(given if corrupt is None else corrupt(given))), name="autoencoder")
    used = loss(config.loss) if own_loss is None else own_loss
    return Network(model, encoder, decoder, used, weight_decay=config.weight_decay, **facts)


def dense_stack(x: Any, units: tuple[int, ...], config: Layered, name: str) -> Any:
    """Dense hidden layers, each with what the config wants beside it.

    Args:
        x: Keras tensor [rows, n].
        units: Units of each layer.
        config: Activation, dropout, batch normalisation.
        name: Start of the layers' names.
    """
    for at, count in enumerate(units):
        x = beside(dense(count, config, f"{name}_{at}")(x), config, f"{name}_{at}")
    return x


def dense(units: int, config: Layered, name: str) -> Any:
    """A dense layer; where the batch is normalised the activation comes behind it, and a bias would be taken away."""
    import keras

    activation = None if config.batch_norm else config.activation
    return keras.layers.Dense(units, activation=activation, use_bias=not config.batch_norm, name=name)


def beside(x: Any, config: Layered, name: str) -> Any:
    """Batch normalisation and dropout behind a hidden layer, where the config wants them."""
    import keras

    if config.batch_norm:
        x = keras.layers.BatchNormalization(name=f"{name}_norm")(x)
        x = keras.layers.Activation(config.activation, name=f"{name}_activation")(x)
    if config.dropout > 0:
        from models.layers import Dropout

        x = Dropout(config.dropout, seed=3, name=f"{name}_dropout")(x)
    return x


def dense_encode(config: Layered, *, activation: str | None = None) -> Callable[[Any], Any]:
    """The encoder of dense families: hidden layers, then the code.

    Args:
        config: The family's config.
        activation: Of the code; that of the hidden layers where none is given.
    """
    import keras

    def encode(rows: Any) -> Any:
        x = dense_stack(rows, config.hidden, config, "encode")
        return keras.layers.Dense(config.code, activation=activation or config.activation, name="code")(x)

    return encode


def dense_decode(width: int, config: Layered) -> Callable[[Any], Any]:
    """The decoder of dense families: the hidden layers in reverse, then a row."""
    import keras

    def decode(codes: Any) -> Any:
        x = dense_stack(codes, tuple(reversed(config.hidden)), config, "decode")
        return keras.layers.Dense(width, activation=loss(config.loss).output, name="reconstruction")(x)

    return decode
