"""Secrets by reference: read at load, named in errors, shown nowhere."""

import json
import typing
from pathlib import Path

import pytest
from pydantic import BaseModel, BeforeValidator, SecretStr, ValidationError

from schemas.errors import ConfigError
from schemas.secrets import Secret, SecretPlaces, holds_secret, is_secret, secrets_in
from schemas.settings import Settings, load_settings

WORD = "postgresql://ana:hunter2hunter2@db/sereno"


def project(folder: Path, text: str) -> Path:
    (folder / "sereno.yaml").write_text(text, encoding="utf-8")
    return folder


def database(folder: Path, **environ: str) -> str:
    found = load_settings(folder, environ=environ).settings.database
    assert found is not None
    return found.get_secret_value()


def test_a_secret_is_read_from_a_variable_and_its_origin_names_the_variable(tmp_path):
    project(tmp_path, "seed: 1\ndatabase: {env: PG_URL}\n")
    resolved = load_settings(tmp_path, environ={"PG_URL": WORD})
    assert resolved.settings.database == SecretStr(WORD)
    assert resolved.origin["database"] == "sereno.yaml, line 2: env PG_URL"
    assert "hunter2" not in repr(resolved)


@pytest.mark.parametrize("absolute", [True, False])
def test_a_secret_is_read_from_a_file_without_its_last_line_end(tmp_path, absolute):
    (tmp_path / "pg.txt").write_text(f"{WORD}\n", encoding="utf-8")
    name = str(tmp_path / "pg.txt") if absolute else "pg.txt"
    project(tmp_path, f"database:\n  file: {name}\n")
    assert database(tmp_path) == WORD
    assert load_settings(tmp_path, environ={}).origin["database"] == f"sereno.yaml, line 1: file {name}"


def test_a_variable_may_itself_hold_a_reference(tmp_path):
    project(tmp_path, "")
    assert database(tmp_path, SERENO_DATABASE="{env: PG_URL}", PG_URL=WORD) == WORD
    assert database(tmp_path, SERENO_DATABASE__ENV="PG_URL", PG_URL=WORD) == WORD


def test_a_variable_that_is_referred_to_is_no_setting_of_its_own(tmp_path):
    project(tmp_path, "database: {env: SERENO_PG}\n")
    assert database(tmp_path, SERENO_PG=WORD) == WORD


def test_a_secret_of_digits_in_a_variable_stays_a_text(tmp_path):
    project(tmp_path, "")
    found = load_settings(tmp_path, environ={"SERENO_PREFECT__API_KEY": "0042"}).settings.prefect.api_key
    assert found == SecretStr("0042")


MISTAKES = {
    "no-variable": ("{env: PG_URL}", "the environment variable PG_URL is not set"),
    "no-name": ("{env: 'a b'}", "`env` must be the name of an environment variable"),
    "no-file": ("{file: absent}", "absent is not there"),
    "folder": ("{file: .}", "is no plain file"),
    "empty": ("{file: empty}", "empty is empty"),
    "binary": ("{file: binary}", "is not UTF-8 text"),
    "zero-byte": ("{file: zero}", "holds a zero byte"),
    "huge": ("{file: huge}", "larger than any secret"),
    "home": ("{file: ~nobody-of-this-name/x}", "no home folder"),
    "both": ("{env: A, file: b}", "a secret is a text, {env: NAME} or {file: PATH}"),
    "unknown": ("{var: A}", "a secret is a text, {env: NAME} or {file: PATH}"),
    "number": ("4711", "put a number in quotes"),
}


@pytest.mark.parametrize(("value", "words"), MISTAKES.values(), ids=MISTAKES)
def test_a_reference_that_leads_nowhere_names_the_setting_and_the_line(tmp_path, value, words):
    (tmp_path / "empty").touch()
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "zero").write_bytes(b"a\0b")
    (tmp_path / "huge").write_bytes(b"a" * 70_000)
    project(tmp_path, f"seed: 1\ndatabase: {value}\n")
    with pytest.raises(ConfigError) as caught:
        load_settings(tmp_path, environ={})
    assert "line 2: `database`" in str(caught.value)
    assert words in str(caught.value)


def test_an_error_never_shows_what_stands_where_a_secret_belongs(tmp_path):
    project(tmp_path, "prefect: {api_key: [hunter2hunter2]}\n")
    with pytest.raises(ConfigError, match=r"`prefect\.api_key`, not shown here") as caught:
        load_settings(tmp_path, environ={})
    assert "hunter2" not in str(caught.value)
    project(tmp_path, "prefect: [hunter2hunter2]\n")
    with pytest.raises(ConfigError, match="`prefect`, not shown here"):
        load_settings(tmp_path, environ={})


class Route(BaseModel):
    url: Secret
    also: tuple[Secret, ...] = ()


class Routes(BaseModel):
    routes: dict[str, Route]


def test_secrets_below_maps_and_lists_are_resolved_and_found(tmp_path):
    (tmp_path / "hook").write_text("https://hook", encoding="utf-8")
    values = {"routes": {"ops": {"url": {"file": "hook"}, "also": [{"env": "A"}, "plain"]}}}
    made = Routes.model_validate(values, context=SecretPlaces(tmp_path, {"A": "first"}))
    found = {name: secret.get_secret_value() for name, secret in secrets_in(made)}
    assert found == {"routes.ops.url": "https://hook", "routes.ops.also[0]": "first", "routes.ops.also[1]": "plain"}
    assert holds_secret(Routes)
    assert not holds_secret(dict[str, int])


def test_without_a_project_folder_a_reference_is_read_from_this_process(monkeypatch):
    monkeypatch.setenv("SERENO_TEST_HOOK", "x")
    assert Route(url={"env": "SERENO_TEST_HOOK"}).url == SecretStr("x")
    with pytest.raises(ValidationError):
        Route(url={"env": "SERENO_TEST_ABSENT"})


def test_the_schema_for_editors_knows_both_forms():
    options = Settings.model_json_schema()["properties"]["database"]["anyOf"]
    assert {"env", "file"} <= {key for option in options for key in json.dumps(option).split('"')}


def models_of(kind, seen):
    """Every settings model that a type names, at any depth."""
    if isinstance(kind, type) and issubclass(kind, BaseModel) and kind not in seen:
        seen.append(kind)
        for field in kind.model_fields.values():
            models_of(field.annotation, seen)
    for inner in typing.get_args(kind):
        models_of(inner, seen)
    return seen


def validators_of(kind):
    return [kind, *(found for inner in typing.get_args(kind) for found in validators_of(inner))]


def test_every_secret_of_the_settings_may_be_given_by_reference():
    plain = [
        f"{model.__name__}.{name}"
        for model in models_of(Settings, [])
        for name, field in model.model_fields.items()
        if is_secret(field.annotation)
        and not any(isinstance(part, BeforeValidator) for part in [*field.metadata, *validators_of(field.annotation)])
    ]
    assert not plain, "write `Secret` of schemas.secrets instead of `SecretStr`"
