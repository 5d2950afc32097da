"""One exported graph for many trainings of its shape: the numbers in it are exchanged, which takes a millisecond.

Exporting a Keras model takes a quarter of a second, so a fleet of a thousand is exported once. Which number of the
graph is which weight is found by exporting a network of random weights, and checked with other ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from models import onnx_export
from models.program import Array
from models.scoring import Reconstructor
from models.workshop import Workpiece

TRIED_ROWS = 64


@dataclass(frozen=True)
class _Place:
    """Where weights stand in the graph."""

    name: str
    start: int
    stop: int
    shape: tuple[int, ...]
    is_transposed: bool


class GraphTemplate:
    """The graph of a network, for any weights of it.

    Args:
        piece: The network; its weights are changed meanwhile.

    Raises:
        ValueError: When the graph holds weights in another form, as behind batch normalisation.
    """

    def __init__(self, piece: Workpiece) -> None:
        import onnx

        self._piece = piece
        draws = np.random.default_rng(0)
        weights, self._others = piece.first_weights(0)
        rows = draws.standard_normal((TRIED_ROWS, piece.width)).astype(np.float32)
        first, second = (_drawn(draws, weights.size) for _ in range(2))
        piece.load(first, self._others)
        self._graph = onnx.load_from_string(onnx_export.export(piece.network.model, rows))
        self._places = list(self._found(first))
        self._check(second, rows)

    def graph(self, weights: Array) -> bytes:
        """The graph's bytes with other weights, float32 [numbers]."""
        from onnx import numpy_helper

        put = {place.name: _in_place(weights, place) for place in self._places}
        for tensor in self._graph.graph.initializer:
            if tensor.name in put:
                tensor.CopyFrom(numpy_helper.from_array(put[tensor.name], tensor.name))
        data: bytes = self._graph.SerializeToString(deterministic=True)
        return data

    def _found(self, weights: Array) -> Any:
        """Where each weight of the network stands in the graph."""
        from onnx import numpy_helper

        variables = []
        start = 0
        for variable in self._piece.network.model.trainable_variables:
            stop = start + int(np.prod(variable.shape))
            variables.append((start, stop, tuple(variable.shape)))
            start = stop
        for tensor in self._graph.graph.initializer:
            held = numpy_helper.to_array(tensor)
            for start, stop, shape in variables:
                own = weights[start:stop]
                if held.dtype != np.float32 or held.size != own.size:
                    continue
                if np.array_equal(held.reshape(-1), own):
                    yield _Place(tensor.name, start, stop, tuple(held.shape), is_transposed=False)
                elif len(shape) == 2 and np.array_equal(held, own.reshape(shape).T):
                    yield _Place(tensor.name, start, stop, shape, is_transposed=True)

    def _check(self, weights: Array, rows: Array) -> None:
        self._piece.load(weights, self._others)
        expected = np.asarray(self._piece.network.model(rows, training=False))
        if not onnx_export.agrees(Reconstructor(self.graph(weights))(rows), expected):
            raise ValueError("the graph holds some weights in another form")


def _drawn(draws: np.random.Generator, count: int) -> Array:
    return (0.3 * draws.standard_normal(count)).astype(np.float32)


def _in_place(weights: Array, place: _Place) -> Array:
    own = weights[place.start : place.stop].reshape(place.shape)
    return np.ascontiguousarray(own.T) if place.is_transposed else own
