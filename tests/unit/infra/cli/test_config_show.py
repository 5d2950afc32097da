"""`config show`: each value with where it came from, secrets masked."""

from __future__ import annotations

import json

import pytest

from infra.cli.failures import reported
from infra.cli.main import cli
from schemas.errors import Exit


@pytest.fixture
def config_show(tmp_path, capsys):
    (tmp_path / "profiles").mkdir()
    (tmp_path / "sereno.yaml").write_text("seed: 1\n", encoding="utf-8")
    profile = "database: {env: SERENO_TEST_PG}\ncluster: {kind: threads}\n"
    (tmp_path / "profiles" / "ci.yaml").write_text(profile, encoding="utf-8")

    def run(*before, after=()):
        code = reported(cli, ("--project", str(tmp_path), *before, "config", "show", "--resolved", *after))
        return code, capsys.readouterr()

    return run


def test_each_value_has_its_origin_and_a_secret_its_reference(config_show, monkeypatch):
    monkeypatch.setenv("SERENO_TEST_PG", "sqlite:////hunter2")
    code, shown = config_show("--profile", "ci", "--set", "cluster.workers=3", after=["--json"])
    assert code == Exit.DONE
    rows = {row["name"]: row for row in json.loads(shown.out)}
    assert rows["seed"]["origin"] == "sereno.yaml, line 1"
    assert rows["cluster.kind"] == {"name": "cluster.kind", "value": "threads", "origin": "profiles/ci.yaml, line 2"}
    assert rows["cluster.workers"]["origin"] == "flag"
    assert rows["reports"]["origin"] == "default"
    assert rows["database"]["origin"] == "profiles/ci.yaml, line 1: env SERENO_TEST_PG"
    assert rows["profile"] == {"name": "profile", "value": "ci", "origin": "flag"}
    assert "hunter2" not in shown.out


def test_an_unknown_profile_ends_with_the_nearest_name(config_show):
    code, shown = config_show("--profile", "cii")
    assert code == Exit.USAGE
    assert "did you mean `ci`?" in shown.err


def test_a_missing_variable_names_setting_file_and_line(config_show):
    code, shown = config_show("--profile", "ci")
    assert code == Exit.USAGE
    assert "profiles/ci.yaml, line 1: `database`" in shown.err
    assert "SERENO_TEST_PG is not set" in shown.err
