"""The dashboard, the scrape configuration and the alert rules ask only for what the endpoint says."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.exposition import generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

SERIES = re.compile(r"\b([a-z_]+)(?:\{([^}]*)\})?")
MATCHER = re.compile(r'([a-z_]+)\s*(?:=~|!~|!=|=)\s*"((?:[^"\\]|\\.)*)"')
PROMETHEUS_OWN = {"up": {"job", "instance"}}
SCHEMA_VERSION = 42
PANEL_TYPES = {"row", "stat", "table", "timeseries", "state-timeline"}
DURATION = re.compile(r"([0-9]+(ms|[smhdwy]))+")


@pytest.fixture(scope="module")
def deploy(checkout: Path) -> Path:
    return checkout / "infra" / "deploy"


@pytest.fixture
def known(watched) -> dict[str, set[str]]:
    """Each metric that the endpoint has, and its labels."""
    from infra.dashboard.metrics import ProjectFigures

    registry = CollectorRegistry(auto_describe=False)
    registry.register(ProjectFigures(watched))
    found: dict[str, set[str]] = defaultdict(set)
    for family in text_string_to_metric_families(generate_latest(registry).decode()):
        for sample in family.samples:
            found[sample.name] |= set(sample.labels)
    return found | PROMETHEUS_OWN


@pytest.fixture
def watched(tmp_path: Path):
    """A project in which every family of metrics has a series."""
    from datetime import date

    from infra.runtime.lake import Lake
    from infra.runtime.project import Project
    from infra.runtime.requests import Asked
    from infra.runtime.state import State
    from schemas.results import ColumnDrift, DetectorDrift, Drift, ModelOutcome, NightReport, NightResult, RowCounts
    from schemas.settings import Settings
    from tasks.report import write_report
    from tasks.services import Services

    project = Project(tmp_path)
    project.create_state()
    project.datasets.mkdir()
    project.dataset_file("flows").touch()
    night = date(2026, 9, 20)
    result = NightResult(
        dataset="flows",
        date=str(night),
        status="done",
        rows=RowCounts(read=1, accepted=1),
        model=ModelOutcome(version="1"),
        threshold=1.0,
        above_usual=0.5,
        seconds={"train": 1.0},
    )
    column = ColumnDrift(column="sent", measure="psi", value=0.1, usual=0.1, verdict="steady")
    drift = Drift(columns=(column,), verdict="steady", detector=DetectorDrift(verdict="steady"))
    with State(project.database_url) as state:
        run = state.start_run("flows", night, "run", "fp")
        state.finish_run(run.id, "done", result=result.model_dump(mode="json"))
        write_report(
            NightReport(result=result, generated_at="", alert_budget=5, drift=drift), project.reports / "flows"
        )
        state.record("flows", "1", "a" * 64, "promoted", reason="first", actor="ana")
        state.start_run("flows", date(2026, 9, 21), "run", "fp")
        state.ask(Asked("flows", "training", "http", "ana"))
        yield Services(project, Settings(), Lake(project.lake), state, None)


def unknown_in(expression: str, known: dict[str, set[str]]) -> list[str]:
    """What a query asks for that is not there: metrics, and labels of one."""
    wrong = [
        f"unbalanced: {expression}"
        for pair in ("()", "{}", "[]")
        if expression.count(pair[0]) != expression.count(pair[1])
    ]
    for name, matchers in SERIES.findall(re.sub(r'"[^"]*"(?![^{]*\})', "", expression)):
        if (
            name.startswith("sereno_")
            and name not in known
            and name not in {one for labels in known.values() for one in labels}
        ):
            wrong.append(f"no metric {name}")
        if name in known:
            wrong += [
                f"no label {label} of {name}" for label, _ in MATCHER.findall(matchers) if label not in known[name]
            ]
    return wrong


def queries(dashboard: dict[str, Any]) -> list[str]:
    """Every query of a dashboard: those of panels and of variables."""
    panels = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]
    return panels + [one["query"]["query"] for one in dashboard["templating"]["list"] if one["type"] == "query"]


def test_a_query_for_what_is_not_there_is_found(known):
    assert unknown_in('sum(sereno_night_rows{dataset=~"$dataset"})', known) == []
    assert unknown_in("sereno_nights", known) == ["no metric sereno_nights"]
    assert unknown_in('sereno_night_rows{night="x"}', known) == ["no label night of sereno_night_rows"]
    assert unknown_in("sum(sereno_night_rows", known) == ["unbalanced: sum(sereno_night_rows"]


def test_the_dashboard_asks_for_metrics_and_labels_that_exist(deploy, known):
    dashboard = json.loads((deploy / "grafana" / "sereno.json").read_text(encoding="utf-8"))
    asked = queries(dashboard)
    assert len(asked) > 15
    assert not [problem for query in asked for problem in unknown_in(query, known)]


def test_the_dashboard_shows_every_metric_but_those_of_the_scrape_itself(deploy, known):
    dashboard = json.loads((deploy / "grafana" / "sereno.json").read_text(encoding="utf-8"))
    shown = {name for query in queries(dashboard) for name, _ in SERIES.findall(query)}
    beside = {"sereno_build_info", "sereno_scrape_seconds", "sereno_requests_over_total"}
    beside |= {"sereno_night_expectations_passed", "sereno_night_timestamp_seconds", "up"}
    assert set(known) - shown == beside


def test_each_panel_has_what_grafana_wants_of_it(deploy):
    dashboard = json.loads((deploy / "grafana" / "sereno.json").read_text(encoding="utf-8"))
    assert dashboard["schemaVersion"] == SCHEMA_VERSION
    assert dashboard["id"] is None
    assert re.fullmatch(r"[\w-]{8,40}", dashboard["uid"])
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        assert panel["type"] in PANEL_TYPES
        assert place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells
        if panel["type"] == "row":
            continue
        assert panel["title"]
        assert panel["description"]
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert {"defaults", "overrides"} == panel["fieldConfig"].keys()
        steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
        assert [step["value"] for step in steps[:1]] == [None]
        assert isinstance(panel["options"], dict)
        references = [target["refId"] for target in panel["targets"]]
        assert references
        assert len(set(references)) == len(references)
    assert {variable["name"] for variable in dashboard["templating"]["list"]} == {"datasource", "dataset"}
    used = set(re.findall(r"\$\{?(\w+)\}?", json.dumps(panels)))
    assert used == {"datasource", "dataset"}


def test_the_alert_rules_ask_for_metrics_and_labels_that_exist(deploy, known):
    (group,) = yaml.safe_load((deploy / "prometheus" / "alerts.yml").read_text(encoding="utf-8"))["groups"]
    assert len({rule["alert"] for rule in group["rules"]}) == len(group["rules"]) >= 8
    for rule in group["rules"]:
        assert rule.keys() <= {"alert", "expr", "for", "labels", "annotations"}
        assert re.fullmatch(r"Sereno[A-Za-z]+", rule["alert"])
        assert DURATION.fullmatch(rule.get("for", "5m"))
        assert rule["labels"]["severity"] in {"info", "warning", "critical"}
        assert {"summary", "description"} == rule["annotations"].keys()
        assert not unknown_in(rule["expr"], known), rule["alert"]
        told = set(re.findall(r"\$labels\.(\w+)", json.dumps(rule["annotations"])))
        labels = {label for name, _ in SERIES.findall(rule["expr"]) for label in known.get(name, ())}
        assert told <= labels | {"instance"}, rule["alert"]


def test_the_verdicts_and_statuses_that_rules_name_are_ones_that_can_come(deploy):
    from infra.dashboard.metrics import DETECTOR_VERDICTS, STATUSES

    text = (deploy / "prometheus" / "alerts.yml").read_text(encoding="utf-8")
    text += (deploy / "grafana" / "sereno.json").read_text(encoding="utf-8").replace('\\"', '"')
    for name, can_be in (("sereno_night_status", STATUSES), ("sereno_night_drift", DETECTOR_VERDICTS)):
        named = {value for found in re.findall(rf'{name}=~"([^"]+)"', text) for value in found.split("|")}
        assert named
        assert named <= set(can_be)


def test_the_scrape_configuration_brings_a_token_from_a_file(deploy):
    from schemas.service import ServiceSettings

    (job,) = yaml.safe_load((deploy / "prometheus" / "prometheus.yml").read_text(encoding="utf-8"))["scrape_configs"]
    assert job["job_name"] == "sereno"
    assert job["metrics_path"] == "/metrics"
    assert job["authorization"].keys() == {"type", "credentials_file"}
    assert job["static_configs"] == [{"targets": [f"127.0.0.1:{ServiceSettings().port}"]}]
