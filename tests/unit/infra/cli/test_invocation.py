"""What stands before a command's name holds for the processes that it starts, too."""

from __future__ import annotations

import pytest

from infra.cli.invocation import Invocation
from schemas.settings import load_settings


@pytest.mark.parametrize(
    ("given", "name", "value"),
    [("service.port=0", "service.port", 0), ("cluster.kind=threads", "cluster.kind", "threads"), ("seed=7", "seed", 7)],
)
def test_an_override_means_the_same_as_a_variable(tmp_path, given, name, value):
    (tmp_path / "sereno.yaml").write_text("{}", encoding="utf-8")
    environ = Invocation(str(tmp_path), (given,)).as_environment()
    found = load_settings(tmp_path, environ=environ).settings
    for part in name.split("."):
        found = getattr(found, part)
    assert found == value


def test_a_profile_is_handed_on():
    assert Invocation(None, profile="ci").as_environment() == {"SERENO_PROFILE": "ci"}
    assert Invocation(None).as_environment() == {}
