from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from infra.runtime.project import Project, find_project, quiet_environment
from infra.runtime.tracking import tracking_of
from schemas.errors import ConfigError
from schemas.settings import Settings


def test_project_is_found_from_a_folder_within(tmp_path: Path) -> None:
    (tmp_path / "sereno.yaml").touch()
    inner = tmp_path / "datasets" / "deep"
    inner.mkdir(parents=True)
    assert find_project(inner) == Project(tmp_path)
    with pytest.raises(ConfigError, match=r"No sereno\.yaml") as caught:
        find_project(tmp_path.parent)
    assert "sereno init" in (caught.value.hint or "")


def test_everything_that_runs_write_lies_below_the_state_folder(tmp_path: Path) -> None:
    project = Project(tmp_path).placed(Settings.model_validate({"state": "elsewhere", "reports": "out"}))
    for path in (project.lake, project.artifacts, project.prefect_home, project.work, project.logs):
        assert path.parent == tmp_path / "elsewhere"
    assert str(tmp_path / "elsewhere") in project.database_url
    assert str(tmp_path / "elsewhere") in project.mlflow_uri
    assert project.report_file("flows", "2026-09-20") == tmp_path / "out" / "flows" / "2026-09-20.html"


@pytest.mark.parametrize("name", ["../etc", "a/b", "", "Flows", "x" * 65])
def test_name_that_is_no_path_part_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError):
        Project(tmp_path).dataset_file(name)


def test_state_folder_is_closed_to_others_and_to_git(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.create_state()
    project.create_state()
    assert project.state.stat().st_mode & 0o077 == 0
    assert (project.state / ".gitignore").read_text(encoding="utf-8") == "*\n"


def test_environment_is_quiet_but_what_the_user_set_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        monkeypatch.setenv(name, os.environ[name])
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "0")
    monkeypatch.delenv("DO_NOT_TRACK", raising=False)
    monkeypatch.setenv("PREFECT_HOME", "/somewhere/else")
    monkeypatch.setenv("PREFECT_PROFILES_PATH", "/somewhere/else.toml")
    monkeypatch.setenv("PREFECT_PROFILE", "cloud")
    monkeypatch.setenv("PYTHONSAFEPATH", "1")
    quiet_environment(Project(tmp_path))
    assert os.environ["TF_CPP_MIN_LOG_LEVEL"] == "0"
    assert os.environ["DO_NOT_TRACK"] == "true"
    assert os.environ["PREFECT_HOME"] == str(tmp_path / "state" / "prefect")
    assert "PREFECT_PROFILE" not in os.environ


def test_mlflow_lives_in_the_state_folder_or_on_the_server_of_the_settings(tmp_path: Path) -> None:
    local = tracking_of(Project(tmp_path), Settings())
    assert local.environment()["MLFLOW_TRACKING_URI"] == f"sqlite:///{tmp_path / 'state' / 'mlflow.db'}"
    assert local.artifacts_of("flows") == f"file://{tmp_path}/state/artifacts/flows"
    remote = tracking_of(Project(tmp_path), Settings.model_validate({"mlflow": {"tracking_uri": "https://m.example"}}))
    assert (remote.uri, remote.artifacts_of("flows")) == ("https://m.example", None)


def test_rooms_modules_import_nothing_heavy() -> None:
    modules = "lake state cluster compute tracking logs work project lease progress"
    code = (
        f"import importlib, sys\nfor name in {modules.split()!r}: importlib.import_module('infra.runtime.' + name)\n"
        "import infra.service.prefect_server\n"
        "print([m for m in ('dask', 'distributed', 'mlflow', 'prefect', 'deltalake', 'alembic', 'pandas', 'tensorflow')"
        " if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_folder_of_dataset_files_that_cannot_be_read_is_not_taken_for_an_empty_one(tmp_path):
    project = Project(tmp_path)
    assert project.dataset_names() == []
    project.datasets.symlink_to(project.datasets)
    with pytest.raises(ConfigError, match="cannot be read"):
        project.dataset_names()
