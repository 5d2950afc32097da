"""A small dataset, rows of it, and detectors that score them without a training: linear maps as ONNX graphs."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class MadeDetector:
    """A bundle made by hand."""

    folder: Path
    hash: str


def made_dataset(**changes):
    """Flows with a key, a time, an entity, and numbers that hang together."""
    from schemas.dataset import Dataset

    columns = {
        "flow_id": {"type": "integer", "nullable": False},
        "start_time": {"type": "time", "format": "iso8601"},
        "host": {"type": "category"},
        "sent": {"type": "number"},
        "got": {"type": "number"},
        "ratio": {"type": "number"},
        "packets": {"type": "integer"},
        "proto": {"type": "category"},
        "quick": {"type": "boolean"},
        "note": {"type": "text", "left_out": "free text"},
    }
    values = {
        "name": "flows",
        "source": {"path": "in/{date}.csv"},
        "key": ["flow_id"],
        "event_time": "start_time",
        "entity": "host",
        "columns": columns,
        "detector": {"alert_budget": 20, "rows": 5000},
        **changes,
    }
    return Dataset.model_validate(values)


def made_rows(rows, seed=0, start=0):
    """Accepted rows: two hidden numbers decide the others."""
    import numpy as np
    import pyarrow as pa

    from schemas.tables import accepted_schema

    random = np.random.default_rng(seed)
    size, kind = random.normal(size=rows), random.normal(size=rows)

    def noise():
        return random.normal(scale=0.1, size=rows)

    ids = np.arange(start, start + rows)
    keys = [str(i) for i in ids]
    hashes = [int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big", signed=True) for key in keys]
    missing = random.random(rows) < 0.05
    return pa.table(
        {
            "flow_id": ids,
            "start_time": pa.array(1_788_000_000_000_000 + ids * 1_000_000, pa.timestamp("us", "UTC")),
            "host": [f"h{i % 3}" for i in ids],
            "sent": np.exp(size + noise()) * 100,
            "got": pa.array(np.exp(size + kind + noise()) * 50, mask=missing),
            "ratio": kind + noise(),
            "packets": np.round(np.exp(size) * 10).astype(int),
            "proto": np.where(kind + noise() > 0, "tcp", "udp"),
            "quick": size + noise() < 0,
            "note": pa.array([f'=SUM(A{i}) "q", née' for i in ids]),
            "sereno_file": ["a.csv"] * rows,
            "sereno_line": ids + 2,
            "sereno_key": keys,
            "sereno_hash": hashes,
        }
    ).cast(accepted_schema(made_dataset()))


def made_detector(
    folder,
    sample,
    dataset=None,
    *,
    rank=2,
    constant=False,
    threshold=None,
    share=0.02,
    in_sample=False,
    prior=False,
    halved=True,
):
    """Write a bundle whose network is a map onto principal components (`constant`: it gives its input back).

    `prior`: whether it says that it has one; `halved`: whether it has encoder and decoder by themselves.
    """
    import numpy as np

    from models.bundle import BundleContents, write_bundle
    from models.calibration import fit_score_map, scores_of, threshold_for
    from models.scoring import Reconstructor
    from models.split import bounded, split
    from models.transform import fit_transform

    dataset = dataset or made_dataset()
    parts = split(bounded(sample.to_pandas(), dataset.detector.rows))
    transform = fit_transform(parts.fit, dataset.features)
    fit = transform.apply(parts.fit).astype(np.float64)
    mean = np.zeros(transform.width) if constant else fit.mean(axis=0)
    _, _, vectors = np.linalg.svd(fit - mean, full_matrices=False)
    matrix = np.eye(transform.width) if constant else vectors[:rank].T @ vectors[:rank]
    graph = linear_graph(matrix, mean - mean @ matrix)
    inward = np.eye(transform.width) if constant else vectors[:rank].T
    halves = {"encoder": linear_graph(inward, -mean @ inward), "decoder": linear_graph(inward.T, mean)}
    reconstruct = Reconstructor(graph)
    stop, held = transform.apply(parts.stop), transform.apply(parts.calibrate)
    score_map = fit_score_map(stop, reconstruct(stop), transform.weights, [g.start for g in transform.groups.values()])
    calibration = np.sort(scores_of(score_map.parts(held, reconstruct(held))))
    detector = {
        "protocol": 2,
        "dataset": dataset.name,
        "family": "linear",
        "settings": dataset.detector.model_dump(mode="json"),
        "features": [{"column": f.column, "type": f.type.value, "kind": f.kind.value} for f in dataset.features],
        "seed": 7,
        "nights": ["2026-09-01"],
        "in_sample": in_sample,
        "code": {"size": len(inward[0]), "has_prior": prior, "classes": 0},
        "score_map": {"factors": list(score_map.factors), "starts": list(score_map.starts)},
        "threshold": threshold_for(calibration, share) if threshold is None else threshold,
        "alerts": {"budget": dataset.detector.alert_budget, "expected_rows": 1000.0, "share": share},
        "calibration": {"rows": len(calibration)},
    }
    kept = halves if halved else {}
    contents = BundleContents(
        detector=detector, transform=transform, onnx=graph, keras=b"no network", calibration=calibration, **kept
    )
    return MadeDetector(folder, write_bundle(folder, contents))


def linear_graph(matrix, bias):
    """x @ matrix + bias as an ONNX graph's bytes."""
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    widths = zip(("x", "y"), np.shape(matrix), strict=True)
    rows = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, width]) for name, width in widths]
    nodes = [helper.make_node("MatMul", ["x", "m"], ["p"]), helper.make_node("Add", ["p", "b"], ["y"])]
    weights = [numpy_helper.from_array(np.asarray(a, dtype=np.float32), n) for n, a in (("m", matrix), ("b", bias))]
    graph = helper.make_graph(nodes, "linear", rows[:1], rows[1:], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    return model.SerializeToString()


class SerialCompute:
    """One call after the other, in this process."""

    def map(self, function, items, *args):
        return [function(item, *args) for item in items]


@pytest.fixture(scope="session")
def make_dataset():
    return made_dataset


@pytest.fixture(scope="session")
def make_rows():
    return made_rows


@pytest.fixture(scope="session")
def make_detector():
    return made_detector


@pytest.fixture(scope="session")
def serial_compute():
    return SerialCompute()


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory):
    """An MLflow database just made: its migrations take seconds, so tests copy one."""
    from models.registry import Registry

    folder = tmp_path_factory.mktemp("mlflow")
    Registry(f"sqlite:///{folder / 'mlflow.db'}", folder / "artifacts").prepare()
    return folder / "mlflow.db"


@pytest.fixture(scope="session")
def window(tmp_path_factory):
    """A window's sample of 3,000 rows, as Parquet."""
    import pyarrow.parquet as pq

    path = tmp_path_factory.mktemp("window") / "window.parquet"
    pq.write_table(made_rows(3000), path)
    return path


@pytest.fixture(scope="session")
def detector(tmp_path_factory):
    """A detector of the window."""
    return made_detector(tmp_path_factory.mktemp("detector") / "bundle", made_rows(3000))
