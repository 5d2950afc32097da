from pathlib import Path

import pytest

from schemas.errors import ConfigError
from schemas.settings import load_settings


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "sereno.yaml").write_text("seed: 1\ncluster:\n  kind: threads\n", encoding="utf-8")
    return tmp_path


def test_precedence_is_flag_then_environment_then_file_then_default(folder: Path):
    assert load_settings(folder, environ={}).settings.seed == 1
    assert load_settings(folder, environ={"SERENO_SEED": "2"}).settings.seed == 2
    assert load_settings(folder, environ={"SERENO_SEED": "2"}, flags={"seed": 3}).settings.seed == 3
    assert load_settings(folder, environ={}).settings.reports == "reports"


def test_nested_variables_reach_nested_settings(folder: Path):
    resolved = load_settings(folder, environ={"SERENO_CLUSTER__WORKERS": "4", "SERENO_INPUTS__PROTOCOLS": "[file, s3]"})
    assert resolved.settings.cluster.workers == 4
    assert resolved.settings.cluster.kind == "threads"
    assert resolved.settings.inputs.protocols == ("file", "s3")


def test_each_value_knows_where_it_came_from(folder: Path):
    origin = load_settings(folder, environ={"SERENO_STATE": "elsewhere"}, flags={"cluster.workers": 2}).origin
    assert origin["seed"] == "sereno.yaml, line 1"
    assert origin["cluster.kind"] == "sereno.yaml, line 3"
    assert origin["state"] == "SERENO_STATE"
    assert origin["cluster.workers"] == "flag"


def test_a_mistake_is_named_with_its_line_and_the_nearest_name(folder: Path):
    (folder / "sereno.yaml").write_text("seed: 1\nclustr: {kind: threads}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"line 2: `clustr` is not a known key \(did you mean `cluster`\?\)"):
        load_settings(folder, environ={})


def test_a_mistake_in_a_variable_names_the_variable(folder: Path):
    with pytest.raises(ConfigError, match="SERENO_CLUSTER__KIND"):
        load_settings(folder, environ={"SERENO_CLUSTER__KIND": "trheads"})


def test_a_secret_does_not_show_in_text(folder: Path):
    settings = load_settings(folder, environ={"SERENO_DATABASE": "postgresql://u:hunter2@h/db"}).settings
    assert "hunter2" not in repr(settings)
    assert "hunter2" not in settings.model_dump_json()
