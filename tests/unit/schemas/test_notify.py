"""Routes: where their address stands, what they want, and that no mistake shows an address."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from infra.cli.settings_table import rows_of
from infra.runtime.logs import secrets_of
from schemas.errors import ConfigError
from schemas.notify import KINDS, Route
from schemas.settings import load_settings

ADDRESS = "mailtos://ana:s3cr3t@example.org?to=ops@example.org"


@pytest.fixture
def load(tmp_path):
    """Load settings of this text."""

    def load(text, **environ):
        (tmp_path / "sereno.yaml").write_text(text, encoding="utf-8")
        return load_settings(tmp_path, environ=environ)

    return load


def made_route(**values):
    return Route.model_validate({"url": ADDRESS, "kinds": KINDS, **values})


def test_an_address_is_a_secret_of_the_settings(load):
    resolved = load(f"notify: {{routes: {{ops: {{url: '{ADDRESS}'}}}}}}")
    assert ADDRESS in secrets_of(resolved.settings)
    for shown in (repr(resolved.settings), resolved.settings.model_dump_json(), str(rows_of(resolved))):
        assert "s3cr3t" not in shown
        assert "example.org" not in shown


def test_each_value_of_a_route_is_shown_with_where_it_came_from(load):
    resolved = load(
        "notify:\n  timeout: 5s\n  routes:\n    ops:\n      datasets: [flows]\n",
        SERENO_NOTIFY__ROUTES__OPS__URL=ADDRESS,
    )
    rows = {row["name"]: (row["value"], row["origin"]) for row in rows_of(resolved)}
    assert rows["notify.routes.ops.url"] == ("********", "SERENO_NOTIFY__ROUTES__OPS__URL")
    assert rows["notify.routes.ops.datasets"] == (["flows"], "sereno.yaml, line 5")
    assert rows["notify.timeout"] == ("5s", "sereno.yaml, line 2")
    assert rows["notify.tries"] == (12, "default")


@pytest.mark.parametrize(
    ("route", "said"),
    [
        ("{url: 'exec://s3cr3t'}", r"line 1: `notify.routes.ops`, not shown here: `exec` is not allowed"),
        ("{url: s3cr3t}", "`notify.routes.ops`, not shown here: it is no address"),
        ("{url: [s3cr3t]}", "`notify.routes.ops.url`, not shown here: a secret is a text"),
        ("s3cr3t", "`notify.routes.ops`, not shown here: Input should be"),
        ("{}", "give one of `url`, `url_env` and `url_file`"),
        ("{url: '', datasets: [flows]}", "give one of `url`, `url_env` and `url_file`"),
        (f"{{url: '{ADDRESS}', url_env: OPS}}", "give one of `url`, `url_env` and `url_file`"),
        (
            f"{{url: '{ADDRESS}', kind: [test]}}",
            r"`notify.routes.ops.kind` is not a known key \(did you mean `kinds`\?\)",
        ),
        (f"{{url: '{ADDRESS}', kinds: [nigth_done]}}", r"'nigth_done' \(did you mean `night_done`\?\)"),
        (f"{{url: '{ADDRESS}', least_severity: hihg}}", r"'hihg' \(did you mean `high`\?\)"),
        ("{url_env: 'A B'}", "`notify.routes.ops.url_env` is 'A B': String should match pattern"),
        (
            f"{{url_env: '{ADDRESS}'}}",
            r"`notify.routes.ops.url_env` is 'mailtos://\*\*\*': String should match pattern",
        ),
        (f"{{url_file: '{ADDRESS}'}}", r"`notify.routes.ops.url_file` is 'mailtos://\*\*\*': String should match"),
    ],
)
def test_a_mistake_is_told_without_the_address(load, route, said):
    with pytest.raises(ConfigError, match=said) as error:
        load(f"notify: {{routes: {{ops: {route}}}}}")
    assert "s3cr3t" not in str(error.value)
    assert "example.org" not in str(error.value)


def test_a_variable_that_is_not_yaml_is_told_by_its_name_alone(load):
    with pytest.raises(ConfigError, match="SERENO_NOTIFY: its text is not YAML") as error:
        load("{}", SERENO_NOTIFY="a: b: s3cr3t")
    assert "s3cr3t" not in str(error.value)


def test_an_address_is_read_from_a_variable_or_a_file_when_it_is_asked_for(tmp_path):
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "ops").write_text(f"\n  {ADDRESS}\n", encoding="utf-8")
    assert made_route().address(tmp_path) == ADDRESS
    assert made_route(url=None, url_env="OPS").address(tmp_path, {"OPS": f" {ADDRESS}\n"}) == ADDRESS
    assert made_route(url=None, url_file="secrets/ops").address(tmp_path) == ADDRESS
    assert made_route(url=None, url_file=str(tmp_path / "secrets" / "ops")).address(tmp_path) == ADDRESS


@pytest.mark.parametrize(
    ("asked", "content", "said"),
    [
        ({"url_env": "OPS"}, b"", "the variable OPS, which holds the address, is not set"),
        ({"url_env": "BAD"}, b"", "the address in the variable BAD cannot be used: `exec` is not allowed"),
        ({"url_file": "gone"}, b"", "gone: the file with the address cannot be read: No such file"),
        ({"url_file": "ops"}, b" \n", "ops: the file with the address is empty"),
        ({"url_file": "ops"}, b"\xff\xfe\xff", "ops: the file with the address is not UTF-8"),
        (
            {"url_file": "ops"},
            b"http://example.org/s3cr3t",
            "the address in the file ops cannot be used: the way by `http`",
        ),
    ],
)
def test_an_address_that_is_not_there_or_not_allowed_is_told_without_it(tmp_path, asked, content, said):
    (tmp_path / "ops").write_bytes(content)
    with pytest.raises(ConfigError, match=said) as error:
        made_route(url=None, **asked).address(tmp_path, {"BAD": "exec://s3cr3t"})
    assert "s3cr3t" not in str(error.value)


@pytest.mark.parametrize(
    ("filters", "about", "wanted"),
    [
        ({}, ("night_failed", "high", "flows", None), True),
        ({}, ("fault", "low", None, None), True),
        ({"datasets": ["flows"]}, ("night_failed", "high", "flows", None), True),
        ({"datasets": ["fl*", "x"]}, ("night_failed", "high", "flows", None), True),
        ({"datasets": ["flow"]}, ("night_failed", "high", "flows", None), False),
        ({"datasets": ["FLOWS"]}, ("night_failed", "high", "flows", None), False),
        ({"datasets": ["flows"]}, ("fault", "high", None, None), False),
        ({"entities": ["web-*"]}, ("incident", "high", "flows", "web-1"), True),
        ({"entities": ["web-*"]}, ("incident", "high", "flows", "db-1"), False),
        ({"entities": ["web-*"]}, ("night_failed", "high", "flows", None), False),
        ({"least_severity": "high"}, ("incident", "critical", "flows", "a"), True),
        ({"least_severity": "high"}, ("incident", "high", "flows", "a"), True),
        ({"least_severity": "high"}, ("incident", "medium", "flows", "a"), False),
        ({"kinds": ["no_report"]}, ("no_report", "critical", "flows", None), True),
        ({"kinds": ["no_report"]}, ("night_failed", "critical", "flows", None), False),
    ],
)
def test_a_route_gets_what_meets_each_of_its_filters(filters, about, wanted):
    assert made_route(**filters).wants(*about) is wanted


def test_a_route_without_filters_gets_everything_but_each_incident_beside_its_night():
    route = Route.model_validate({"url": ADDRESS})
    assert {kind for kind in KINDS if not route.wants(kind, "low")} == {"incident", "digest"}


def test_a_route_does_not_change():
    with pytest.raises(ValidationError):
        made_route().url = None
