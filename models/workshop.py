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
from models.program_of_many import ProgramOfMany

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
        self._built = {id(variable): variable.numpy().copy() for variable in network.model.variables}

    @cached_property
    def program(self) -> Program:
        """What trains one model."""
        return Program(self.network, self.width)

    @cached_property
    def program_of_many(self) -> ProgramOfMany:
        """What trains many models at once."""
        return ProgramOfMany(self.network, self.width)

    @cached_property
    def stages(self) -> tuple[Workpiece, ...]:
        """The parts that are trained first, in order."""
        return tuple(
            Workpiece(stage.network, int(stage.network.model.output_shape[-1])) for stage in self.network.pretraining
        )

    def first_weights(self, seed: int) -> tuple[Array, tuple[Array, ...]]:
        """The numbers before the first step: the trainable ones, float32 [numbers], and the others."""
        for variable in self.network.model.trainable_variables:
            variable.assign(self._built[id(variable)])
        for at, (variable, initializer) in enumerate(_initialized(self.network.model)):
            again = _again(initializer, _seed(seed, at))
            variable.assign(again(variable.shape, dtype=variable.dtype))
        for variable, value in zip(self.network.model.non_trainable_variables, self._first_others(seed), strict=True):
            variable.assign(value)
        return self.weights()

    def first_weights_of(self, seeds: Sequence[int]) -> tuple[Array, tuple[Array, ...]]:
        """`first_weights` of many models, behind a leading axis; the Keras models keep what they have."""
        random = list(_initialized(self.network.model))
        places = [id(variable) for variable, _ in random]
        given = np.array([[_seed(seed, at) for at in range(len(random))] for seed in seeds], np.int32)
        drawn = [each.numpy() for each in self._draw(given)] if random else []
        parts = []
        for variable in self.network.model.trainable_variables:
            built = self._built[id(variable)]
            own = drawn[places.index(id(variable))] if id(variable) in places else [built] * len(seeds)
            parts.append(np.reshape(own, (len(seeds), -1)))
        others = [self._first_others(seed) for seed in seeds]
        return (
            np.concatenate([*parts, np.zeros((len(seeds), 0), np.float32)], axis=1),
            tuple(np.stack(each) for each in zip(*others, strict=True)),
        )

    @cached_property
    def _draw(self) -> Any:
        """Compiled: what each random initializer gives for its seed, for int32 [models, initializers]."""
        import tensorflow as tf

        from models.draws import GivenSeed

        random = list(_initialized(self.network.model))

        def one(seeds: Any) -> list[Any]:
            drawn = zip(random, tf.unstack(seeds, len(random)), strict=True)
            return [_again(initializer, GivenSeed(seed))(v.shape, dtype=v.dtype) for (v, initializer), seed in drawn]

        shapes = [tf.TensorSpec(variable.shape, variable.dtype) for variable, _ in random]
        return tf.function(
            lambda seeds: tf.map_fn(one, seeds, fn_output_signature=shapes),
            input_signature=[tf.TensorSpec([None, len(random)], tf.int32)],
            autograph=False,
        )

    def _first_others(self, seed: int) -> list[Array]:
        """The variables that are not trained, before the first step."""
        return [
            np.array([_seed(seed, 1_000_000 + at), 0], dtype=variable.dtype)
            if variable.path.endswith("seed_generator_state")
            else self._built[id(variable)]
            for at, variable in enumerate(self.network.model.non_trainable_variables)
        ]

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


def _again(initializer: Any, seed: Any) -> Any:
    """The initializer with another seed."""
    return type(initializer).from_config({**initializer.get_config(), "seed": seed})


def _seed(seed: int, at: int) -> int:
    digest = hashlib.sha256(f"{seed}/{at}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % MOST_SEED
