"""What is told of a night's end: enough to know whether to rise, nothing that is masked, and no news twice."""

from __future__ import annotations

from datetime import date

import pytest

from infra.runtime.lake import Lake
from infra.runtime.project import Project
from infra.runtime.state import State
from schemas.results import NightResult, RowCounts
from schemas.settings import Settings
from tasks.notify import telling_night
from tasks.notify_night import is_news, night_message
from tasks.services import Services

NIGHT = date(2026, 3, 6)


@pytest.fixture
def services(tmp_path):
    project = Project(tmp_path)
    project.create_state()
    routes = {"ops": {"url": "http://localhost/x"}, "all": {"url": "http://localhost/y", "without_alerts": True}}
    settings = Settings.model_validate({"notify": {"routes": routes}})
    with State(f"sqlite:///{tmp_path / 'state.db'}") as state:
        yield Services(project, settings, Lake(project.lake), state, None)


@pytest.fixture
def end(services, a_bare_report):
    """End a run of the night with a result; gives the routes on which it is told."""

    def end(status="done", kind="run", **values):
        report = a_bare_report(status)
        report = report.model_copy(update={"result": report.result.model_copy(update=values)})
        run = services.state.start_run("flows", NIGHT, kind, "fp")
        before = len(services.state.notices())
        told = telling_night(services, lambda: report, run)
        services.state.finish_run(run.id, status, result=report.result.model_dump(mode="json"), also=told)
        new = services.state.notices()[: len(services.state.notices()) - before]
        return sorted(notice.route for notice in new)

    return end


@pytest.mark.parametrize(
    ("status", "kind", "severity", "subject"),
    [
        ("done", "night_done", "medium", "flows 2026-03-06: 2 alerts"),
        ("partial", "night_partial", "medium", "flows 2026-03-06: Partly done, 2 alerts"),
        ("failed", "night_failed", "high", "flows 2026-03-06: Failed"),
        ("blocked", "night_blocked", "high", "flows 2026-03-06: Blocked"),
        ("missing", "night_missing", "high", "flows 2026-03-06: No data arrived"),
    ],
)
def test_each_end_of_a_night_has_its_kind_severity_and_subject(a_report, status, kind, severity, subject):
    message = night_message(a_report(status), "run-1")
    assert (message.kind, message.severity, message.subject) == (kind, severity, subject)
    assert (message.dataset, message.night) == ("flows", NIGHT)
    assert message.steps


def test_a_message_says_how_many_what_the_worst_and_what_to_do(a_report):
    message = night_message(a_report("done", text="sent", entity="host", event_time="start"), "run-1")
    assert message.lines[0].startswith("2 alerts among 2,517 scored rows")
    assert ("rows read", "2,531") in message.facts
    assert message.header == ("key", "entity", "time", "score", "p-value", "why")
    assert message.rows[0][:4] == ("sent", "sent", "00:56:34 UTC", "10.45")
    assert message.rows[0][-1].startswith("sent sent (expected sent); ")
    assert any(command.startswith("sereno scores flows --date 2026-03-06") for _, command in message.steps)
    assert not any("below" in text for text in (*message.lines, *(step for step, _ in message.steps)))


def test_values_of_sensitive_columns_are_masked(a_report):
    sensitive = ("secret", "flow_id", "host", "start")
    report = a_report("done", text="secret", entity="host", event_time="start", sensitive=sensitive)
    for row in night_message(report, "run-1").rows:
        assert row[:3] == ("•••", "•••", "•••")
        assert "secret ••• (expected •••)" in row[-1]


def test_what_is_told_is_bounded(a_report, an_alert):
    alerts = tuple(an_alert(rank, "x" * 5_000) for rank in range(1, 500))
    report = a_report("done", text="x" * 5_000, alerts=alerts)
    warned = report.result.model_copy(update={"warnings": tuple(f"w{i}" for i in range(100))})
    message = night_message(report.model_copy(update={"result": warned}), "run-1")
    assert len(message.rows) == 5
    assert len(message.lines) == 13
    assert message.lines[-1].endswith("more, see the report.")
    assert len(message.model_dump_json()) < 60_000


def test_a_night_without_alerts_is_told_only_where_that_is_wanted(end):
    assert end("done") == ["all"]


def test_a_night_is_told_again_only_when_it_ends_otherwise(end):
    failed = {"reason": "the lake is away\nHint: see run-1"}
    assert end("failed", **failed) == ["all", "ops"]
    assert end("failed", reason="the lake is away\nHint: see run-2") == []
    assert end("failed", reason="the disk is full") == ["all", "ops"]
    assert end("done", alerts=3, rows=RowCounts(read=9, accepted=9)) == ["all", "ops"]
    assert end("done", alerts=3, rows=RowCounts(read=9, accepted=9), seconds={"ingest": 3.0}) == []
    assert end("done", alerts=4, rows=RowCounts(read=9, accepted=9)) == ["all", "ops"]
    assert end("failed", reason="the disk is full") == ["all", "ops"]


def test_a_validation_in_between_does_not_make_the_same_end_news(end):
    assert end("done", alerts=3) == ["all", "ops"]
    assert end("done", kind="validate") == ["all"]
    assert end("done", alerts=3) == []
    assert end("missing", kind="validate", reason="no file") == ["all", "ops"]
    assert end("missing", reason="no file") == []


def test_a_run_that_died_is_passed_over(services, end):
    assert end("done", alerts=3) == ["all", "ops"]
    died = services.state.start_run("flows", NIGHT, "run", "fp")
    services.state.close_run(died.id, "its process ended without a word")
    assert end("done", alerts=3) == []


def test_a_night_of_which_nothing_was_said_is_news(services):
    assert is_news(services, NightResult(dataset="flows", date="2026-03-06", status="done"), "run")


def test_a_message_that_cannot_be_made_does_not_cost_the_night(services, caplog):
    def breaks():
        raise ValueError("no report")

    run = services.state.start_run("flows", NIGHT, "run", "fp")
    assert telling_night(services, breaks, run) is None
    assert "nobody is told: ValueError: no report" in caplog.text


@pytest.mark.parametrize(
    ("whys", "allowed", "quiet"),
    [
        ([None, None], 0, True),  # muted, taken up, or within the cooldown
        ([None, "back"], 0, False),
        (["new"], 0, False),
        ([], 2, True),  # all of them on the allow-list
        ([], 0, False),
    ],
)
def test_alerts_of_incidents_that_need_no_telling_make_a_quiet_night(a_report, whys, allowed, quiet):
    from schemas.incident_results import Allowed, Incident, IncidentOfNight, NightIncidents

    def incident(number, why):
        night = IncidentOfNight(date="2026-03-06", alerts=1, score=1.0, p_value=0.1, severity="low", told=why)
        days = {"first_night": "2026-03-01", "last_night": "2026-03-06"}
        return Incident(id=number, dataset="flows", alerts=1, severity="low", status="muted", night=night, **days)

    found = NightIncidents(
        incidents=tuple(incident(number, why) for number, why in enumerate(whys, 1)),
        allowed=(Allowed(reason="maintenance", alerts=allowed),) if allowed else (),
    )
    report = a_report("done").model_copy(update={"incidents": found})
    assert night_message(report, "run-1").quiet is quiet
