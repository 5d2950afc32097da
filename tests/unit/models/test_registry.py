"""Versions in a real MLflow on SQLite."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import subprocess
import sys
from unittest.mock import Mock

import pytest

from models.registry import Registry
from schemas.errors import BundleError, SerenoError, UsageError
from schemas.results import TrainingSummary

SUMMARY = TrainingSummary(
    rows_fit=80, rows_calibrate=10, nights=("2026-09-01",), epochs=2, loss=(0.5, 0.25), held_out_loss=(0.6, 0.3)
)


@pytest.fixture
def registry(empty_store, tmp_path):
    return registry_in(tmp_path / "state", empty_store)


def registry_in(folder, store=None):
    folder.mkdir(exist_ok=True)
    if store is not None:
        shutil.copy(store, folder / "mlflow.db")
    return Registry(f"sqlite:///{folder / 'mlflow.db'}", folder / "artifacts")


def make_bundle(folder, text="one"):
    folder.mkdir()
    (folder / "detector.json").write_text(json.dumps({"text": text, "family": "linear", "settings": {"code": 8}}))
    digest = hashlib.sha256((folder / "detector.json").read_bytes()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps({"protocol": 1, "files": {"detector.json": digest}}))
    return folder, hashlib.sha256((folder / "manifest.json").read_bytes()).hexdigest()


def register(registry, bundle, *, night="2026-09-02", name="flows"):
    return registry.register(
        name, *bundle, SUMMARY, {"threshold": 3.5}, {"night": night}, {"family": "dense", "seed": 7}
    )


def test_the_same_bundle_twice_is_one_version(registry, tmp_path):
    bundle = make_bundle(tmp_path / "one")
    assert register(registry, bundle) == register(registry, bundle, night="2026-09-03") == "1"
    assert register(registry, make_bundle(tmp_path / "two", "two")) == "2"
    assert [(v.version, v.tags["night"]) for v in registry.versions("flows")] == [
        ("1", "2026-09-02"),
        ("2", "2026-09-02"),
    ]


def test_a_version_keeps_losses_facts_and_settings_of_its_training(registry, tmp_path):
    register(registry, make_bundle(tmp_path / "one"))
    found = registry.version("flows", "1")
    assert found == registry.versions("flows")[0]
    assert found.metrics["held_out_loss"] == 0.3
    assert found.metrics["threshold"] == 3.5
    assert found.metrics["rows_fit"] == 80
    assert (found.params["family"], found.params["code"]) == ("dense", "8")
    assert found.params["nights"] == "1: 2026-09-01"
    run = registry._client.get_run(registry._client.get_model_version("flows", "1").run_id)
    assert run.info.status == "FINISHED"
    history = registry._client.get_metric_history(run.info.run_id, "loss")
    assert [(point.step, point.value) for point in history] == [(1, 0.5), (2, 0.25)]


def test_each_dataset_counts_its_own_versions(registry, tmp_path):
    bundle = make_bundle(tmp_path / "one")
    assert register(registry, bundle) == register(registry, bundle, name="pumps") == "1"
    assert registry.versions("other") == ()


def test_download_gives_the_bundle_where_it_lies_without_a_copy(registry, tmp_path):
    bundle, digest = make_bundle(tmp_path / "one")
    register(registry, (bundle, digest))
    found = registry.download("flows", "1", tmp_path / "to")
    assert found.name == digest
    assert {f.name: f.read_bytes() for f in found.iterdir()} == {f.name: f.read_bytes() for f in bundle.iterdir()}
    assert not (tmp_path / "to").exists()


def test_a_project_folder_that_was_moved_finds_its_bundles_and_registers_more(registry, tmp_path):
    register(registry, make_bundle(tmp_path / "one"))
    (tmp_path / "state").rename(tmp_path / "moved state")
    moved = registry_in(tmp_path / "moved state")
    assert moved.download("flows", "1", tmp_path / "to").is_relative_to(tmp_path / "moved state")
    assert register(moved, make_bundle(tmp_path / "two", "two")) == "2"
    assert moved.download("flows", "2", tmp_path / "to").is_relative_to(tmp_path / "moved state")
    assert [v.params["family"] for v in moved.versions("flows")] == ["dense", "dense"]
    assert not (tmp_path / "state").exists()


def test_a_bundle_whose_files_are_gone_is_an_error_with_a_hint(registry, tmp_path):
    register(registry, make_bundle(tmp_path / "one"))
    shutil.rmtree(tmp_path / "state" / "artifacts")
    with pytest.raises(BundleError, match="version 1") as caught:
        registry.download("flows", "1", tmp_path / "to")
    assert caught.value.hint


def test_the_alias_is_set_moved_and_removed(registry, tmp_path):
    assert registry.champion("flows") is None
    for text in ("one", "two"):
        register(registry, make_bundle(tmp_path / text, text))
    assert registry.champion("flows") is None
    for version in ("1", "2", "2", None, None):
        registry.set_champion("flows", version)
        assert registry.champion("flows") == version


@pytest.mark.parametrize("version", ["7", "x", "-1", "1; drop"])
def test_a_version_that_does_not_exist_is_a_usage_error(registry, tmp_path, version):
    register(registry, make_bundle(tmp_path / "one"))
    for call in (registry.version, registry.set_champion):
        with pytest.raises(UsageError, match="no version"):
            call("flows", version)


@pytest.mark.parametrize("name", ["x' or name = 'y", "../up", "", "Flows"])
def test_a_name_that_is_none_is_refused(registry, name):
    with pytest.raises(UsageError):
        registry.versions(name)


def test_a_hash_that_is_none_is_refused(registry, tmp_path):
    with pytest.raises(BundleError):
        register(registry, (make_bundle(tmp_path / "one")[0], "' or 1=1"))


@pytest.mark.parametrize("step", ["experiment_of", "log_training", "write_model_folder", "ensure_registered"])
def test_what_a_crash_left_behind_does_not_hinder(registry, tmp_path, monkeypatch, step):
    bundle = make_bundle(tmp_path / "one")
    with monkeypatch.context() as patch:
        patch.setattr(f"models.registry.{step}", Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            register(registry, bundle)
    again = registry_in(tmp_path / "state")
    assert register(again, bundle) == "1"
    client = again._client
    experiment = client.get_experiment_by_name("flows").experiment_id
    assert {run.info.status for run in client.search_runs([experiment])} <= {"KILLED", "FINISHED"}


def test_a_store_that_cannot_be_used_is_said_in_our_words(tmp_path):
    (tmp_path / "mlflow.db").write_text("this is no database, " * 100)
    with pytest.raises(SerenoError, match="MLflow could not") as caught:
        registry_in(tmp_path).versions("flows")
    assert "tracking_uri" in caught.value.hint


@pytest.fixture
def rows_fetched():
    """Counts the rows that MLflow's database hands out."""
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    rows = []

    def listen(connection, _record):
        connection.row_factory = lambda _cursor, values: rows.append(None) or values

    event.listen(Engine, "connect", listen)
    yield rows
    event.remove(Engine, "connect", listen)


def test_what_a_night_asks_costs_the_same_with_many_versions(rows_fetched, registry, tmp_path):
    register(registry, make_bundle(tmp_path / "first", "first"))
    registry.set_champion("flows", "1")
    costs = []
    for text in ("before", "after"):
        bundle = make_bundle(tmp_path / text, text)
        rows_fetched.clear()
        version = register(registry, bundle)
        register(registry, bundle)
        registry.version("flows", version)
        registry.download("flows", version)
        registry.champion("flows")
        registry.set_champion("flows", "1")
        costs.append(len(rows_fetched))
        for _ in range(30):
            registry._client.create_model_version("flows", str(tmp_path), tags={"bundle_hash": "0" * 64})
    assert costs[1] <= costs[0] + 2


def test_no_file_of_an_artefact_is_a_pickle(registry, tmp_path):
    register(registry, make_bundle(tmp_path / "one"))
    files = [f for f in (tmp_path / "state" / "artifacts").rglob("*") if f.is_file()]
    assert {"MLmodel", "manifest.json", "requirements.txt"} <= {f.name for f in files}
    assert not [f for f in files if f.suffix in {".pkl", ".pickle", ".joblib"} or f.read_bytes()[:1] == b"\x80"]


def test_nothing_is_printed_logged_or_left_in_the_working_folder(tmp_path):
    make_bundle(tmp_path / "one")
    (tmp_path / "uv.lock").write_text("version = 1\n")
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'private'\n")
    script = f"""
from pathlib import Path
from models.registry import Registry
from schemas.results import TrainingSummary
registry = Registry("sqlite:///{tmp_path}/state/mlflow.db", Path("{tmp_path}/state/artifacts"))
registry.register("flows", Path("{tmp_path}/one"), "{"a" * 64}", TrainingSummary(loss=(1.0,)), {{}}, {{}})
registry.set_champion("flows", "1")
registry.versions("flows")
"""
    before = set(tmp_path.iterdir())
    done = subprocess.run(
        [sys.executable, "-P", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("", "")
    assert set(tmp_path.iterdir()) - before == {tmp_path / "state"}
    assert not list((tmp_path / "state").rglob("uv.lock"))


def test_importing_the_registry_imports_no_mlflow():
    code = "import sys, models.registry; sys.exit('mlflow' in sys.modules or 'tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-P", "-c", code], check=False).returncode == 0


def test_a_store_made_in_a_thread_serves_the_others(tmp_path, empty_store):
    import threading

    registry = registry_in(tmp_path / "state", empty_store)
    threads = [threading.Thread(target=registry.prepare) for _ in range(3)]
    for thread in threads:
        thread.start()
    assert registry.versions("flows") == ()
    for thread in threads:
        thread.join()
    assert logging.getLogger("mlflow").level == logging.ERROR


def test_a_process_that_is_killed_while_files_are_copied_leaves_them_beside_the_bundle(registry, tmp_path, monkeypatch):
    """In the run's own folder, which goes with it, and not in the machine's for temporary files."""
    bundle = make_bundle(tmp_path / "one")
    copied = []

    def log(_client, _model_id, folder):
        copied.append(folder)
        raise OSError("killed")

    monkeypatch.setattr(type(registry._connected()), "log_model_artifacts", log)
    with pytest.raises(SerenoError):
        register(registry, bundle)
    assert [str(tmp_path) in folder for folder in copied] == [True]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "state"]


def test_what_a_version_was_trained_on_and_scored_are_inputs_of_its_run_once_each(registry, tmp_path):
    from models.mlflow_inputs import LoggedInput

    register(registry, make_bundle(tmp_path / "one"))
    trained = LoggedInput("flows", "2026-09-01 0123", "training", {"night": "2026-09-01", "samples": 1})
    scored = LoggedInput("flows", "2026-09-02 4567", "scoring", {"files": [{"name": "a.csv", "sha256": "a" * 64}]})
    registry.log_inputs("flows", "1", [])
    registry.log_inputs("flows", "1", [trained])
    registry.log_inputs("flows", "1", [trained, scored])
    run = registry._client.get_run(registry._client.get_model_version("flows", "1").run_id)
    found = {
        (one.dataset.name, one.dataset.digest, one.tags[0].value): json.loads(one.dataset.source)
        for one in run.inputs.dataset_inputs
    }
    assert found == {
        ("flows", "2026-09-01 0123", "training"): trained.facts,
        ("flows", "2026-09-02 4567", "scoring"): scored.facts,
    }
    with pytest.raises(UsageError, match="has no version 9"):
        registry.log_inputs("flows", "9", [scored])
