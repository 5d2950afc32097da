from __future__ import annotations

import gc

import numpy as np

from models.families import family
from models.onnx_export import export


def graphs_alive():
    from tensorflow.python.framework.func_graph import FuncGraph

    gc.collect()
    return sum(isinstance(thing, FuncGraph) for thing in gc.get_objects())


def test_an_export_leaves_no_graph_behind():
    chosen = family("dense")
    model = chosen.build(5, chosen.with_options({"hidden": (4,), "code": 2, "activation": "silu"})).model
    rows = np.random.default_rng(0).normal(size=(20, 5)).astype(np.float32)
    export(model, rows)
    before = graphs_alive()
    export(model, rows)
    assert graphs_alive() == before
