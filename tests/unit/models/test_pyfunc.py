"""A registered detector, loaded through MLflow by another process."""

from __future__ import annotations

import json
import os
import pickletools
import shutil
import subprocess
import sys
import zipfile

import numpy as np
import pyarrow.parquet as pq
import pytest

from models.pyfunc import _load_pyfunc
from models.registry import Registry
from models.scoring import Scorer
from schemas.errors import BundleError, UnreadableInput
from schemas.results import TrainingSummary

LOADS = """
import sys, warnings
warnings.simplefilter("ignore")
import mlflow.pyfunc
import pandas as pd
import pyarrow.parquet as pq
frame = pq.read_table(sys.argv[1]).to_pandas()
model = mlflow.pyfunc.load_model("models:/flows@champion")
found = model.predict(frame[frame.columns[::-1]])
assert list(found.columns) == ["score", "p_value", "is_alert"], found.columns
assert not {"tensorflow", "keras", "prefect"} & set(sys.modules)
found.to_parquet(sys.argv[2])
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory, detector, empty_store):
    """An MLflow store with one champion."""
    folder = tmp_path_factory.mktemp("project")
    shutil.copy(empty_store, folder / "mlflow.db")
    registry = Registry(f"sqlite:///{folder / 'mlflow.db'}", folder / "artifacts")
    version = registry.register("flows", detector.folder, detector.hash, TrainingSummary(loss=(0.1,)), {}, {})
    registry.set_champion("flows", version)
    return folder


@pytest.fixture
def registered(project, tmp_path):
    """A copy of the registered bundle that may be spoilt."""
    found = next(path.parent for path in (project / "artifacts").rglob("manifest.json"))
    return shutil.copytree(found, tmp_path / found.name)


def test_another_process_loads_the_champion_and_scores_alike_without_tensorflow(project, make_rows, detector, tmp_path):
    rows = make_rows(300, seed=9)
    pq.write_table(rows, tmp_path / "rows.parquet")
    given = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW")}
    done = subprocess.run(
        [sys.executable, "-P", "-c", LOADS, tmp_path / "rows.parquet", tmp_path / "scores.parquet"],
        env={**given, "MLFLOW_TRACKING_URI": f"sqlite:///{project / 'mlflow.db'}"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found, expected = (
        pq.read_table(tmp_path / "scores.parquet").to_pandas(),
        Scorer(detector.folder).score(rows.to_pandas()),
    )
    for column in ("score", "p_value", "is_alert"):
        assert np.array_equal(found[column].to_numpy(), getattr(expected, column))


def test_predictions_keep_the_frames_index(registered, make_rows):
    frame = make_rows(20).to_pandas().set_index("flow_id")
    found = _load_pyfunc(str(registered)).predict(frame)
    assert found.index.equals(frame.index)
    assert found.dtypes.astype(str).to_dict() == {"score": "float64", "p_value": "float64", "is_alert": "bool"}


def test_a_frame_without_a_column_is_refused(registered, make_rows):
    with pytest.raises(UnreadableInput, match="ratio"):
        _load_pyfunc(str(registered)).predict(make_rows(5).to_pandas().drop(columns="ratio"))


@pytest.mark.parametrize(
    "name",
    [
        "manifest.json",
        "detector.json",
        "transform.json",
        "model.onnx",
        "encoder.onnx",
        "weights.keras",
        "calibration.npy",
    ],
)
@pytest.mark.parametrize("place", [0.0, 0.5, 0.999])
def test_a_bundle_changed_by_one_byte_is_refused(registered, name, place):
    data = bytearray((registered / name).read_bytes())
    data[int(place * len(data))] ^= 1
    (registered / name).write_bytes(data)
    with pytest.raises(BundleError):
        _load_pyfunc(str(registered))


def test_a_bundle_with_another_manifest_that_fits_its_files_is_refused(
    registered, detector, make_detector, make_rows, tmp_path
):
    other = make_detector(tmp_path / "other", make_rows(2000, seed=2))
    shutil.rmtree(registered)
    shutil.copytree(other.folder, registered)
    with pytest.raises(BundleError, match="hash"):
        _load_pyfunc(str(registered))


@pytest.mark.parametrize("spoil", ["missing", "extra", "renamed"])
def test_a_bundle_with_a_file_less_or_more_is_refused(registered, spoil, tmp_path):
    if spoil == "missing":
        (registered / "transform.json").unlink()
    elif spoil == "extra":
        (registered / "python_model.pkl").write_bytes(b"\x80\x04N.")
    else:
        registered = registered.rename(tmp_path / "bundle")
    with pytest.raises(BundleError):
        _load_pyfunc(str(registered))


def test_no_file_of_any_artefact_is_a_pickle(project):
    files = [path for path in (project / "artifacts").rglob("*") if path.is_file()]
    assert {"MLmodel", "model.onnx", "calibration.npy"} <= {path.name for path in files}
    for path in files:
        contents = {path.name: path.read_bytes()}
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                contents |= {name: archive.read(name) for name in archive.namelist()}
        for name, data in contents.items():
            assert not name.endswith((".pkl", ".pickle", ".joblib", ".dill", ".pt"))
            assert not is_pickle(data), f"{path}: {name} is a pickle"


def is_pickle(data):
    """Whether pickle's own reader takes the whole of it for a program that ends."""
    if data[:1] == b"\x80":
        return True
    try:
        return len(list(pickletools.genops(data))) > 0
    except Exception:  # noqa: BLE001 -- whatever ends the reading says that it is none
        return False


def test_the_check_for_pickles_knows_one_of_each_protocol():
    import pickle

    assert all(is_pickle(pickle.dumps({"a": [1]}, protocol)) for protocol in range(6))
    assert not is_pickle(json.dumps({"a": [1]}).encode())
