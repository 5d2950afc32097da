"""Profiles stand between `sereno.yaml` and the environment, and every value knows its file and line."""

from pathlib import Path

import pytest

from schemas.errors import ConfigError
from schemas.settings import load_settings


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "profiles").mkdir()
    write(tmp_path, "sereno.yaml", "seed: 1\ninputs: {protocols: [file, s3], roots: [a, b]}\ncluster:\n  workers: 2\n")
    write(tmp_path, "profiles/ci.yaml", "# test\nseed: 2\ncluster:\n  kind: threads\ninputs: {roots: [c]}\n")
    write(tmp_path, "profiles/production.yaml", "database: {env: PG}\n")
    return tmp_path


def write(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text, encoding="utf-8")


def test_precedence_is_flag_then_environment_then_profile_then_file(folder):
    def seed(flags=None, **environ):
        return load_settings(folder, environ=environ, flags=flags).settings.seed

    assert seed() == 1
    assert seed({"profile": "ci"}) == 2
    assert seed({"profile": "ci"}, SERENO_SEED="3") == 3
    assert seed({"profile": "ci", "seed": 4}, SERENO_SEED="3") == 4


def test_a_profile_is_chosen_by_flag_then_variable_then_file(folder):
    def chosen(flags=None, **environ):
        return load_settings(folder, environ={"PG": "x", **environ}, flags=flags).profile

    assert chosen() is None
    assert chosen(SERENO_PROFILE="ci") == "ci"
    write(folder, "sereno.yaml", "profile: production\n")
    assert chosen() == "production"
    assert chosen(SERENO_PROFILE="ci") == "ci"
    assert chosen(SERENO_PROFILE="") is None
    assert chosen({"profile": "production"}, SERENO_PROFILE="ci") == "production"


def test_blocks_are_laid_over_key_by_key_and_lists_as_a_whole(folder):
    settings = load_settings(folder, environ={"SERENO_PROFILE": "ci"}).settings
    assert (settings.cluster.kind, settings.cluster.workers) == ("threads", 2)
    assert settings.inputs.protocols == ("file", "s3")
    assert settings.inputs.roots == ("c",)


def test_each_value_names_the_file_and_line_that_gave_it(folder):
    origin = load_settings(folder, environ={}, flags={"profile": "ci"}).origin
    assert origin["profile"] == "flag"
    assert origin["seed"] == "profiles/ci.yaml, line 2"
    assert origin["cluster.kind"] == "profiles/ci.yaml, line 4"
    assert origin["cluster.workers"] == "sereno.yaml, line 4"
    assert origin["inputs.roots[0]"] == "profiles/ci.yaml, line 5"
    assert "inputs.roots[1]" not in origin


def test_a_secrets_reference_is_replaced_as_a_whole(folder):
    write(folder, "sereno.yaml", "database: {file: absent}\n")
    resolved = load_settings(folder, environ={"PG": "sqlite://"}, flags={"profile": "production"})
    assert resolved.settings.database is not None
    assert resolved.origin["database"] == "profiles/production.yaml, line 1: env PG"
    assert load_settings(folder, environ={"SERENO_DATABASE": "y"}).settings.database is not None


@pytest.mark.parametrize("name", ["prodction", "../ci", "CI", "", "ci.yaml"])
def test_an_unknown_profile_is_refused_with_those_that_are_there(folder, name):
    with pytest.raises(ConfigError, match=r"profiles here: ci, production") as caught:
        load_settings(folder, environ={}, flags={"profile": name})
    assert ("did you mean `production`?" in str(caught.value)) is (name == "prodction")


def test_an_unknown_profile_says_where_it_was_asked_for(folder):
    write(folder, "sereno.yaml", "seed: 1\nprofile: prodution\n")
    with pytest.raises(ConfigError, match=r"which sereno\.yaml, line 2, asks for"):
        load_settings(folder, environ={})
    with pytest.raises(ConfigError, match="which SERENO_PROFILE asks for"):
        load_settings(folder, environ={"SERENO_PROFILE": "x"})


def test_a_mistake_in_a_profile_names_its_file_and_line(folder):
    write(folder, "profiles/ci.yaml", "seed: 2\nclustr: {kind: threads}\n")
    with pytest.raises(ConfigError, match=r"profiles/ci\.yaml, line 2: `clustr` is not a known key \(did you mean"):
        load_settings(folder, environ={"SERENO_PROFILE": "ci"})
    assert load_settings(folder, environ={}).settings.seed == 1


def test_a_profile_cannot_choose_another(folder):
    write(folder, "profiles/ci.yaml", "profile: production\n")
    with pytest.raises(ConfigError, match=r"ci\.yaml, line 1: a profile cannot choose a profile"):
        load_settings(folder, environ={"SERENO_PROFILE": "ci"})


def test_profiles_in_the_settings_file_are_told_where_they_belong(folder):
    write(folder, "sereno.yaml", "profiles: {ci: {seed: 2}}\n")
    with pytest.raises(ConfigError, match=r"`profiles` is not a known key \(did you mean `profile`\?\)"):
        load_settings(folder, environ={})
