"""What is told of other things, and that what comes from data stays text in every form of a message."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from infra.runtime.events import Event
from infra.runtime.lake import Lake
from infra.runtime.project import Project
from infra.runtime.state import State
from schemas.message import MOST_ABOUT, Message
from schemas.notify import KINDS, Severity
from schemas.settings import Settings
from tasks.notify import routes_of
from tasks.notify_messages import IncidentNight, fault_message, incident_message, no_report_message
from tasks.notify_text import as_html, as_text, letter
from tasks.services import Services

NIGHT = date(2026, 9, 20)
DUE = datetime(2026, 9, 21, 8, 30, tzinfo=UTC)
HOSTILE = "<script>x</script>\x1b[2J\u202e\r\nBcc: evil@example.org @everyone"


def hostile_message(severity: Severity = "low") -> Message:
    return Message(
        kind="incident",
        about="x",
        subject=HOSTILE,
        severity=severity,
        dataset="flows",
        night=NIGHT,
        entity=HOSTILE,
        lines=(HOSTILE,),
        facts=(("rows", HOSTILE),),
        header=("key", "why"),
        rows=((HOSTILE, ""),),
        steps=((HOSTILE, HOSTILE), ("Look.", "")),
        report=True,
    )


@pytest.fixture
def services(tmp_path):
    project = Project(tmp_path)
    routes = {
        "all": {"url": "http://localhost/a", "kinds": KINDS},
        "web": {"url": "http://localhost/b", "kinds": KINDS, "entities": ["web-*"]},
        "late": {"url": "http://localhost/c", "kinds": ["no_report"], "datasets": ["flows"]},
        "grave": {"url": "http://localhost/d", "kinds": KINDS, "least_severity": "critical"},
    }
    with State(f"sqlite:///{tmp_path / 'state.db'}") as state:
        yield Services(
            project, Settings.model_validate({"notify": {"routes": routes}}), Lake(project.lake), state, None
        )


def test_a_report_that_did_not_come_is_told_with_what_to_do():
    message = no_report_message("flows", NIGHT, DUE, "its file did not arrive")
    assert (message.kind, message.severity) == ("no_report", "critical")
    assert message.lines == (
        "No report of 2026-09-20 was there at 2026-09-21 08:30 UTC, when it was due.",
        "its file did not arrive",
    )
    assert ("Do it by hand.", "sereno run flows --date 2026-09-20") in message.steps


def test_an_incident_is_told_by_number_entity_severity_and_columns():
    found = IncidentNight(7, "flows", NIGHT, "high", 3, entity="web-1", columns=("sent", "got"), lines=("As often.",))
    message = incident_message(found)
    assert message.subject == "flows 2026-09-20: incident 7 of web-1, high, 3 alerts"
    assert message.lines == (
        "Incident 7 of web-1 was opened: 3 alerts on 2026-09-20, severity high.",
        "What stands out: sent, got.",
        "As often.",
    )
    again = incident_message(IncidentNight(7, "flows", NIGHT, "critical", 1, is_new=False))
    assert again.lines == ("Incident 7 goes on: 1 alert on 2026-09-20, severity critical.",)
    assert again.about != message.about


@pytest.mark.parametrize(
    ("level", "severity"), [("info", None), ("warning", "medium"), ("error", "high")], ids=["info", "warning", "error"]
)
def test_a_fault_is_told_by_how_much_it_matters(level, severity):
    message = fault_message(Event("child_died", "The scheduler died.", level=level, dataset="flows", night=NIGHT, id=3))
    assert (message.severity if message else None) == severity
    if message:
        assert (message.about, message.subject) == ("fault 3", "flows 2026-09-20: child died")


def test_a_route_gets_what_it_asks_for(services):
    assert routes_of(services, no_report_message("flows", NIGHT, DUE)) == ["all", "late", "grave"]
    assert routes_of(services, no_report_message("pumps", NIGHT, DUE)) == ["all", "grave"]
    incident = incident_message(IncidentNight(7, "flows", NIGHT, "high", 3, entity="web-1"))
    assert routes_of(services, incident) == ["all", "web"]
    assert routes_of(services, incident, besides=["all"]) == ["web"]


def test_a_masked_entity_still_finds_its_route_and_stays_masked(services):
    masked = incident_message(IncidentNight(7, "flows", NIGHT, "high", 3, entity="•••"))
    assert services.state.put_notices(masked, routes_of(services, masked, entity="web-1")) == 2
    assert {notice.route for notice in services.state.notices()} == {"all", "web"}
    assert "web-1" not in "".join(notice.message.model_dump_json() for notice in services.state.notices())


def test_what_comes_from_data_is_only_ever_text(a_report):
    message, page = hostile_message(), Path("/reports/<b>.html")
    html, text = as_html(message, page), as_text(message, page)
    assert "<script" not in html
    assert "<b>.html" not in html
    assert html.count("<bdi>") == 1
    for shown in (html, text, letter(message, page, attach=False)["subject"]):
        assert "\x1b" not in shown
        assert "\u202e" not in shown
    assert "\r" not in text
    assert "\nBcc" not in text


def test_a_subject_is_one_bounded_line(a_report):
    made = letter(hostile_message().model_copy(update={"subject": "x\n" * 5_000}), None, attach=False)
    assert "\n" not in made["subject"]
    assert len(made["subject"]) < 220


def test_a_text_is_laid_out_for_a_reader():
    message = Message(
        kind="fault",
        about="x",
        subject="s",
        lines=("It broke.",),
        facts=(("rows", "3"), ("alerts", "1")),
        header=("key", "time", "why"),
        rows=(("7", "", "sent 9"),),
        steps=(("Look.", "sereno status"), ("Rest.", "")),
    )
    assert as_text(message, Path("/r/p.html")).splitlines() == [
        "It broke.",
        "",
        "rows: 3, alerts: 1",
        "",
        "The worst:",
        "1. key 7, why sent 9",
        "",
        "What to do:",
        "- Look.",
        "    sereno status",
        "- Rest.",
        "",
        "Report: /r/p.html",
    ]


def test_what_names_a_message_is_bounded():
    with pytest.raises(ValueError, match="at most 120"):
        Message(kind="test", about="x" * (MOST_ABOUT + 1), subject="s")
    assert len(no_report_message("x" * 64, NIGHT, DUE).about) < MOST_ABOUT
