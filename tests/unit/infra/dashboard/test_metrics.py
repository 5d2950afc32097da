"""Metrics read from the state at each scrape, in both forms of text."""

from __future__ import annotations

from datetime import date

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families as plain_families

from infra.dashboard import metrics
from infra.runtime.requests import Asked

OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


def scrape(served) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """The value of each series by its name and labels, as OpenMetrics says it; the form is checked on the way."""
    answer = served.ask("/metrics", headers={"Accept": "application/openmetrics-text;version=1.0.0,text/plain;q=0.5"})
    assert (answer.status, answer.headers["Content-Type"]) == (200, OPENMETRICS)
    text = answer.body.decode()
    assert text.endswith("# EOF\n")
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in openmetrics_families(text)
        for sample in family.samples
    }


def of(found, name: str, **labels: str) -> float:
    """One series."""
    return found[name, tuple(sorted(labels.items()))]


def test_the_last_night_of_each_dataset_is_told(served):
    found = scrape(served)
    assert of(found, "sereno_runs_over", dataset="flows", kind="run", status="done") == 3
    assert of(found, "sereno_night_rows", dataset="flows", part="quarantined") == 10
    assert of(found, "sereno_night_quarantined_ratio", dataset="flows") == 0.1
    assert of(found, "sereno_night_stage_seconds", dataset="flows", stage="train") == 8.0
    assert of(found, "sereno_night_alerts", dataset="flows") == 3
    assert of(found, "sereno_night_alert_ratio", dataset="flows") == pytest.approx(3 / 90)
    assert of(found, "sereno_night_alert_budget", dataset="flows") == 5
    assert of(found, "sereno_night_above_usual_ratio", dataset="flows") == 0.5
    assert of(found, "sereno_night_columns", dataset="flows", drift="moved far") == 1
    drift = {"dataset": "flows", "sereno_night_drift": "relations moved"}
    assert of(found, "sereno_night_drift", **drift) == 1
    assert of(found, "sereno_night_status", dataset="flows", sereno_night_status="done") == 1
    assert of(found, "sereno_night_status", dataset="flows", sereno_night_status="failed") == 0
    assert of(found, "sereno_night_timestamp_seconds", dataset="flows") == 1_789_862_400
    assert of(found, "sereno_champion_info", dataset="flows", version="1") == 1
    champion = served.services.state.champion("flows")
    assert of(found, "sereno_champion_timestamp_seconds", dataset="flows") == pytest.approx(champion.at.timestamp())


def test_what_changes_in_the_state_is_told_at_the_next_scrape(served, finish):
    before = scrape(served)
    assert of(before, "sereno_requests_open", status="waiting") == 0
    assert of(before, "sereno_schedule_enabled", dataset="flows") == 0
    state = served.services.state
    state.ask(Asked("flows", "training", "http", "ci"))
    state.switch("flows", enabled=True, since=date(2026, 9, 20), actor="ana")
    finish(served.services, date(2026, 9, 21), "blocked", alerts=0, threshold=None)
    state.start_run("flows", date(2026, 9, 22), "run", "fp")
    after = scrape(served)
    assert of(after, "sereno_requests_open", status="waiting") == 1
    assert of(after, "sereno_requests_oldest_due_timestamp_seconds") > 0
    assert of(after, "sereno_schedule_enabled", dataset="flows") == 1
    assert of(after, "sereno_runs_over", dataset="flows", kind="run", status="blocked") == 1
    assert of(after, "sereno_runs_running", dataset="flows", kind="run") == 1
    assert of(after, "sereno_night_status", dataset="flows", sereno_night_status="blocked") == 1
    assert of(after, "sereno_events_total", kind="schedule_switched") == 1
    # A night that was not scored has no alerts, which is not the same as none.
    assert ("sereno_night_alerts", (("dataset", "flows"),)) not in after


def test_without_asking_for_openmetrics_it_is_the_plain_form(served):
    for accept in ("", "text/plain", "*/*", "application/openmetrics-text;q=0", "text/plain; version=abc, x;y;=", ","):
        answer = served.ask("/metrics", headers={"Accept": accept})
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8", accept
        names = {family.name for family in plain_families(answer.body.decode())}
        assert {"sereno_runs_over", "sereno_night_rows", "sereno_champion_info"} <= names


def test_labels_are_bounded(served, finish, monkeypatch):
    monkeypatch.setattr(metrics, "MOST_DATASETS", 2)
    monkeypatch.setattr(metrics, "MOST_KINDS", 1)
    for name in ("a", "b", "c"):
        served.services.project.dataset_file(name).write_text(f"name: {name}\n", encoding="utf-8")
        finish(served.services, date(2026, 9, 20), name=name)
    found = scrape(served)
    assert {dict(labels)["dataset"] for name, labels in found if name == "sereno_night_alerts"} == {"a", "b"}
    assert sum(name == "sereno_events_total" for name, _ in found) == 1


def test_a_dataset_without_a_night_has_no_night(served):
    served.services.project.dataset_file("new").write_text("name: new\n", encoding="utf-8")
    found = scrape(served)
    assert of(found, "sereno_schedule_enabled", dataset="new") == 0
    assert not [labels for name, labels in found if name.startswith("sereno_night") and ("dataset", "new") in labels]


def test_only_what_never_falls_is_a_counter(served):
    state = served.services.state
    state.forget_runs([run.seq for run in state.recent("flows")])
    answer = served.ask("/metrics", headers={"Accept": "application/openmetrics-text"})
    families = {family.name: family for family in openmetrics_families(answer.body.decode())}
    assert families["sereno_runs_over"].samples == []
    assert {name for name, family in families.items() if family.type == "counter"} == {
        "sereno_events",
        "sereno_requests_over",
    }
