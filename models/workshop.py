"""Networks and their programs, built once a process for each shape and used for every training of it.

Building a Keras model or tracing a program keeps memory for good (about 7 MB each), so a process that trains many
times builds few. First weights do not come from the build, but from the seed: each layer's own initializer is asked
again, so the same seed gives the same weights in a network that was just built and in one that trained before.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from models.families import family
from models.networks import Layered, Network
from models.program import Array, Program

MOST = 64
MOST_SEED = 2**31 - 1


class Workpiece:
    """A network that is trained again and again.

    Args:
        network: The network.
        width: Numbers of a row.
    """

    def __init__(self, network: Network, width: int) -> None:
        self.network = network
        self.width = width
        self._built = [np.asarray(variable) for variable in network.model.variables]

    @cached_property
    def program(self) -> Program:
        """What trains one model."""
        return Program(self.network, self.width)

    @cached_property
    def program_of_many(self) -> Program:
        """What trains many models at once."""
        return Program(self.network, self.width, has_model_axis=True)

    @cached_property
    def stages(self) -> tuple[Workpiece, ...]:
        """The parts that are trained first, in order."""
        return tuple(
            Workpiece(stage.network, int(stage.network.model.output_shape[-1])) for stage in self.network.pretraining
        )

    def first_weights(self, seed: int) -> tuple[Array, tuple[Array, ...]]:
        """The numbers before the first step: the trainable ones, float32 [numbers], and the others."""
        for variable, value in zip(self.network.model.variables, self._built, strict=True):
            variable.assign(value)
        for at, (variable, initializer) in enumerate(_initialized(self.network.model)):
            again = type(initializer).from_config({**initializer.get_config(), "seed": _seed(seed, at)})
            variable.assign(again(variable.shape, dtype=variable.dtype))
        for at, variable in enumerate(self.network.model.non_trainable_variables):
            if variable.path.endswith("seed_generator_state"):
                variable.assign(np.array([_seed(seed, 1_000_000 + at), 0], dtype=variable.dtype))
        return self.weights()

    def weights(self) -> tuple[Array, tuple[Array, ...]]:
        """The numbers that the Keras models have now."""
        trainable = [np.asarray(variable).reshape(-1) for variable in self.network.model.trainable_variables]
        return (
            np.concatenate([*trainable, np.zeros(0, np.float32)]),
            tuple(variable.numpy().copy() for variable in self.network.model.non_trainable_variables),
        )

    def load(self, weights: Array, others: Sequence[Array]) -> None:
        """Put numbers into the Keras models, to export them or to train on."""
        ends = np.cumsum([int(np.prod(v.shape)) for v in self.network.model.trainable_variables])
        parts = np.split(weights, ends[:-1])
        for variable, part in zip(self.network.model.trainable_variables, parts, strict=True):
            variable.assign(part.reshape(variable.shape))
        for variable, value in zip(self.network.model.non_trainable_variables, others, strict=True):
            variable.assign(value)


class Workshop:
    """Keeps the workpieces of this process.

    Args:
        most: How many; the one that was not used for longest goes first.
    """

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._pieces: OrderedDict[tuple[str, int, Layered], Workpiece] = OrderedDict()

    def workpiece(self, name: str, width: int, config: Layered) -> Workpiece:
        """The network of a family, built where this process has none of that shape yet.

        Args:
            name: The family's registered name.
            width: Numbers of a row.
            config: The family's config.

        Raises:
            ConfigError: When the family is not known.
        """
        key = (name, width, config)
        if key not in self._pieces:
            self._pieces[key] = Workpiece(family(name).build(width, config), width)
            while len(self._pieces) > self._most:
                self._pieces.popitem(last=False)
        self._pieces.move_to_end(key)
        return self._pieces[key]


WORKSHOP = Workshop()
"""This process's."""


def _initialized(model: Any) -> Iterator[tuple[Any, Any]]:
    """Each trainable variable whose layer says by which random initializer it was made."""
    seen: set[int] = set()
    for layer in model._flatten_layers():  # noqa: SLF001  (Keras has no public walk over nested layers)
        for variable in layer._trainable_variables:  # noqa: SLF001  (a layer's own, without those of layers in it)
            # Keras calls the initializer of `recurrent_kernel` `recurrent_initializer`.
            names = (f"{variable.name}_initializer", f"{variable.name.removesuffix('_kernel')}_initializer")
            initializer = next((getattr(layer, name) for name in names if hasattr(layer, name)), None)
            if id(variable) not in seen and hasattr(initializer, "seed"):
                seen.add(id(variable))
                yield variable, initializer


def _seed(seed: int, at: int) -> int:
    digest = hashlib.sha256(f"{seed}/{at}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % MOST_SEED
