"""The pages on the HTTP side, on metrics and on lineage name what there is, and nothing else."""

from __future__ import annotations

import re
from types import SimpleNamespace

import pytest

from infra.dashboard.app import Routes
from infra.dashboard.problems import DESCRIPTION, MEANING
from infra.runtime.project import Project
from schemas.settings import Settings


@pytest.fixture(scope="module")
def described(tmp_path_factory):
    services = SimpleNamespace(settings=Settings(), project=Project(tmp_path_factory.mktemp("project")))
    return Routes(services).openapi()


@pytest.fixture(scope="module")
def page(checkout):
    return (checkout / "docs" / "http.md").read_text(encoding="utf-8")


def test_every_route_is_in_the_table_and_every_line_of_it_is_a_route(described, page):
    listed = set(re.findall(r"^\| `([A-Z]+ /[^`]*)` \|", page, flags=re.MULTILINE))
    routes = {f"{method.upper()} {path}" for path, methods in described["paths"].items() for method in methods}
    assert listed == routes | {f"GET {DESCRIPTION}"}


def test_the_parameters_of_each_route_are_named(described, page):
    rows = dict(re.findall(r"^\| `([A-Z]+ /[^`]*)` \| (.+) \| \w+ \|$", page, flags=re.MULTILINE))
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            asked = {one["name"] for one in operation.get("parameters", ()) if one["in"] == "query"}
            assert asked <= set(re.findall(r"`(\w+)`", rows[f"{method.upper()} {path}"])), path


def test_every_kind_of_run_is_in_its_table_with_its_keys(described, page):
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*(?:`\w+`|optional)) \|$", page, flags=re.MULTILINE))
    wishes = described["components"]["schemas"]
    kinds = {
        schema["properties"]["kind"]["const"]: set(schema["properties"]) - {"kind"}
        for name, schema in wishes.items()
        if name.startswith("Wanted")
    }
    assert {kind: set(re.findall(r"`(\w+)`", rows[kind])) for kind in kinds} == kinds


def test_every_status_is_explained(described, page):
    explained = {int(code) for code in re.findall(r"^\| (\d{3}) \|", page, flags=re.MULTILINE)}
    answered = {
        int(code) for methods in described["paths"].values() for one in methods.values() for code in one["responses"]
    }
    assert explained == {code for code in answered if code >= 400} | {405} == set(MEANING) | {405}


def test_every_metric_is_explained(checkout):

    from infra.dashboard.metrics import ProjectFigures
    from infra.runtime.state import State

    text = (checkout / "docs" / "metrics.md").read_text(encoding="utf-8")
    explained = set(
        re.findall(r"`(sereno_\w+)`", "".join(re.findall(r"^\| (`sereno.+?) \|", text, flags=re.MULTILINE)))
    )
    with State("sqlite://") as state:
        services = SimpleNamespace(state=state, project=SimpleNamespace(dataset_names=list))
        families = list(ProjectFigures(services).collect())
    suffix = {"counter": "_total", "info": "_info"}
    assert explained == {f"{family.name}{suffix.get(family.type, '')}" for family in families}
