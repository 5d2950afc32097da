"""What stopped runs leave in a real MLflow: ended, and models that no version names are gone with their files."""

from __future__ import annotations

import shutil
import time

import pytest

from models.mlflow_store import experiment_of, file_path
from models.registry import Registry

HASHES = {"registered": "a" * 64, "lost": "b" * 64, "at-work": "c" * 64}


@pytest.fixture(scope="module")
def stopped(empty_store, tmp_path_factory):
    """Three open MLflow runs with a model each: one that became a version, one that did not, one that is at work."""
    folder = tmp_path_factory.mktemp("stopped")
    shutil.copy(empty_store, folder / "mlflow.db")
    registry = Registry(f"sqlite:///{folder / 'mlflow.db'}", folder / "artifacts")
    client = registry._connected()
    experiment = experiment_of(client, "flows", registry._uri, registry._artifacts)
    client.create_registered_model("flows")
    made = {}
    for name, digest in HASHES.items():
        tags = {"run_id": name, "bundle_hash": digest}
        run = client.create_run(experiment, tags=tags).info.run_id
        model = client.create_logged_model(experiment, name="flows", source_run_id=run, tags=tags)
        client.log_model_artifacts(model.model_id, str(bundle(folder / name)))
        made[name] = (run, model.model_id, file_path(model.artifact_location))
    run, model, place = made["registered"]
    tags = {"bundle_hash": HASHES["registered"], "run_id": "registered"}
    client.create_model_version("flows", place.as_uri(), run_id=run, tags=tags, model_id=model)
    return registry, client, made


def bundle(folder):
    folder.mkdir()
    (folder / "manifest.json").write_text("{}")
    return folder


def test_runs_without_an_end_are_ended_and_models_without_a_version_deleted(stopped, tmp_path):
    registry, client, made = stopped

    def is_stopped(run_id):
        return run_id != "at-work"

    assert registry.end_stopped("hosts", is_stopped) == 0
    assert registry.end_stopped("flows", is_stopped, before=time.time() - 60) == 0
    copy = Registry(registry._uri, tmp_path / "artifacts of a copy")
    assert copy.end_stopped("flows", lambda run_id: run_id == "nobody's") == 0

    assert registry.end_stopped("flows", is_stopped) == 2
    statuses = {name: client.get_run(run).info.status for name, (run, _, _) in made.items()}
    assert statuses == {"registered": "FINISHED", "lost": "KILLED", "at-work": "RUNNING"}
    assert {name: folder.exists() for name, (_, _, folder) in made.items()} == {
        "registered": True,
        "lost": False,
        "at-work": True,
    }
    assert [version.version for version in registry.versions("flows")] == ["1"]
    assert registry.end_stopped("flows", is_stopped) == 0


def test_files_of_the_project_that_this_is_a_copy_of_stay(stopped, tmp_path):
    registry, _, made = stopped
    copy = Registry(registry._uri, tmp_path / "artifacts of a copy")
    assert copy.end_stopped("flows", lambda run_id: run_id == "at-work") == 1
    assert made["at-work"][2].exists()
