"""From a Keras model to an ONNX graph that was opened and compared before anyone relies on it."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from models.networks import Network
from models.scoring import Reconstructor
from schemas.errors import BundleError, TrainingFailed

RELATIVE, ABSOLUTE = 1e-5, 1e-6
OTHER = "choose another detector.activation in the dataset file"


def export_network(network: Network, rows: np.ndarray[Any, np.dtype[np.float32]]) -> tuple[bytes, bytes, bytes]:
    """Export the whole, the encoder and the decoder of a network.

    Args:
        network: The network, with the weights that count.
        rows: Rows to compare on, float32 [rows, width].

    Raises:
        TrainingFailed: When a graph cannot be opened, or its outputs are not the model's.
    """
    codes = np.asarray(network.encoder(rows, training=False))
    return export(network.model, rows), export(network.encoder, rows), export(network.decoder, codes)


def export(model: Any, rows: np.ndarray[Any, np.dtype[np.float32]]) -> bytes:
    """Export a model and compare the graph's outputs with the model's.

    Args:
        model: A Keras model from [rows, n] to [rows, m].
        rows: Rows to compare on, float32 [rows, n].

    Raises:
        TrainingFailed: When the graph cannot be opened, or its outputs are not the model's.
    """
    import onnx

    expected = np.asarray(model(rows, training=False))
    with tempfile.TemporaryDirectory(prefix="sereno-") as folder, _gradients_forgotten():
        path = Path(folder) / "model.onnx"
        with warnings.catch_warnings():
            # Keras looks whether numpy still has `np.object`, and numpy warns about the look.
            warnings.filterwarnings("ignore", message=".*np\\.object", category=FutureWarning)
            model.export(path, format="onnx", verbose=False)
        graph = onnx.load(path)
    _forget_counters(graph)
    onnx.checker.check_model(graph)
    data: bytes = graph.SerializeToString(deterministic=True)
    _compare(data, rows, expected)
    return data


def agrees(found: np.ndarray[Any, Any], expected: np.ndarray[Any, Any]) -> bool:
    """Whether outputs [rows, n] are equal to 1e-5 of the row's largest number, or 1e-6.

    A small number in a row of large ones is a difference of large ones, and both round.
    """
    allowed = ABSOLUTE + RELATIVE * np.abs(expected).max(axis=1, keepdims=True)
    return bool((np.abs(found - expected) <= allowed).all())


@contextmanager
def _gradients_forgotten() -> Iterator[None]:
    """Forget the gradients that tracing registers: an export needs none, and each keeps its graph for good."""
    from tensorflow.python.framework import ops  # the public `tf.RegisterGradient` only adds

    registered = ops.gradient_registry._registry  # noqa: SLF001  (nothing public takes one out)
    before = set(registered)
    try:
        yield
    finally:
        for name in set(registered) - before:
            del registered[name]


def _forget_counters(graph: Any) -> None:
    """Drop the names in which the exporter counts what this process did before."""
    for thing in (graph.graph, *graph.graph.node):
        thing.ClearField("doc_string")
    values = (*graph.graph.input, *graph.graph.output, *graph.graph.value_info)
    for size in (size for value in values for size in value.type.tensor_type.shape.dim):
        if size.dim_param:
            size.dim_param = "rows"
    _in_order_of_use(graph.graph)


def _in_order_of_use(graph: Any) -> None:
    """Name and order the numbers of a graph by their first use, as the exporter counts and merges equal ones anyhow."""
    held = {numbers.name: numbers for numbers in graph.initializer}
    nodes = list(_nodes(graph))
    used = dict.fromkeys(name for node in nodes for name in node.input if name in held)
    names = {name: f"numbers_{place}" for place, name in enumerate(used)}
    for node in nodes:
        node.input[:] = [names.get(name, name) for name in node.input]
    kept = [type(held[name]).FromString(held[name].SerializeToString()) for name in used]
    for numbers in kept:
        numbers.name = names[numbers.name]
    del graph.initializer[:]
    graph.initializer.extend(kept)


def _nodes(graph: Any) -> Iterator[Any]:
    """All nodes, with those of a loop's body, which use what stands outside of it."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for body in (attribute.g, *attribute.graphs):
                yield from _nodes(body)


def _compare(data: bytes, rows: np.ndarray[Any, Any], expected: np.ndarray[Any, Any]) -> None:
    try:
        found = Reconstructor(data)(rows)
    except BundleError as error:
        raise TrainingFailed(f"the exported graph does not open: {error.message}", hint=OTHER) from None
    if not agrees(found, expected):
        difference = float(np.max(np.abs(found - expected)))
        raise TrainingFailed(f"the exported graph differs from the Keras model by up to {difference:.3g}", hint=OTHER)
