"""What the report says of a night's incidents: a section above the alerts, a reason, a step; what it masks."""

from __future__ import annotations

import json

import pytest

from schemas.incident_results import Allowed, NightIncidents
from schemas.results import NightReport
from tasks.report import report_html, report_json
from tasks.report_incidents import first_step, incidents_in_words
from tasks.report_text import MASK


@pytest.fixture
def with_incidents(a_report):
    """A report with these incidents."""

    def make(*incidents, allowed=(), **changes):
        return a_report(text="sent", incidents=NightIncidents(incidents=incidents, allowed=allowed), **changes)

    return make


def test_incidents_stand_above_the_alerts_with_what_a_person_needs(with_incidents, an_incident, read_page):
    page = read_page(report_html(with_incidents(an_incident(12, "h1"))))
    sections = [section.get("id") for section in page.all("section") if section.get("id")]
    assert sections.index("incidents") == sections.index("alerts") - 1
    for said in (
        "12 h1h1 71 %, bytes 20 %",
        "high",
        "tonight",
        "open new",
        "01:00:00 UTC to 02:30:00 UTC",
        "“h1” (h1)",
    ):
        assert said in " ".join(page.text.split()), said


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"nights": 3, "first_night": "2026-03-04"}, "2026-03-04 3 nights"),
        ({"status": "muted", "until": "2026-04-01"}, "muted until 2026-04-01"),
        ({"entity": None, "affected": 40}, "40 entities: h1, h1"),
        ({"columns": ()}, "columns not known"),
    ],
    ids=str,
)
def test_what_is_special_about_an_incident_is_said(with_incidents, an_incident, read_page, changes, said):
    page = read_page(report_html(with_incidents(an_incident(12, "h1", **changes))))
    assert said in " ".join(page.text.split())


def test_what_the_allow_list_took_is_counted(with_incidents, read_page):
    report = with_incidents(
        allowed=(Allowed(reason="the move", alerts=1), Allowed(reason="backup", alerts=3, until="2026-04-01"))
    )
    text = " ".join(read_page(report_html(report)).text.split())
    assert "No alert is in an incident." in text
    assert "1 alert in no incident, by the allow-list: the move." in text
    assert "3 alerts in no incident, by the allow-list: backup, until 2026-04-01." in text


def test_the_json_holds_them_and_reads_back_and_older_ones_do_without(with_incidents, an_incident):
    report = with_incidents(an_incident(12, "h1"))
    values = json.loads(report_json(report))
    assert values["incidents"]["incidents"][0]["id"] == 12
    assert NightReport.model_validate(values) == report
    del values["incidents"]
    assert NightReport.model_validate(values).incidents is None


def test_a_night_without_incidents_says_nothing_of_them(a_report, read_page):
    for incidents in (None, NightIncidents()):
        page = read_page(report_html(a_report(incidents=incidents)))
        assert "incidents" not in [section.get("id") for section in page.all("section")]
        assert "incident" not in page.text


def test_words_say_who_must_be_told_of(with_incidents, an_incident):
    def told(number, why):
        incident = an_incident(number, "h1")
        return incident.model_copy(update={"night": incident.night.model_copy(update={"told": why})})

    report = with_incidents(
        told(1, "new"), told(2, "new"), told(3, "back"), told(4, None), allowed=(Allowed(reason="x", alerts=2),)
    )
    assert incidents_in_words(report) == (
        "They make 4 incidents: 2 new, 1 back from a mute and 1 known and silent. "
        "2 alerts are in none, by the allow-list."
    )
    assert incidents_in_words(with_incidents(told(1, "worse"))) == "They make 1 incident: 1 worse than before."
    assert incidents_in_words(with_incidents()) == ""


def test_the_step_is_about_the_worst_one_that_nobody_took_up(with_incidents, an_incident):
    report = with_incidents(an_incident(1, "h1", status="acknowledged"), an_incident(2, "h1"))
    assert first_step(report) == (
        "Take up the worst incident, or silence it with `mute`.",
        "sereno incidents ack flows 2",
    )
    assert "sereno incidents ack flows 2" in report_html(report)
    assert first_step(with_incidents(an_incident(1, "h1", status="muted"))) is None


@pytest.mark.parametrize("sensitive", [("host",), ("start_time",), ("other",)])
def test_what_sensitive_columns_hold_is_masked(with_incidents, an_incident, sensitive):
    report = with_incidents(
        an_incident(12, "secret", columns=()),
        sensitive=sensitive,
        key=("flow_id",),
        entity="host",
        event_time="start_time",
    )
    (shown,) = json.loads(report_json(report))["incidents"]["incidents"]
    assert shown["entity"] == (MASK if "host" in sensitive else "secret")
    assert shown["night"]["entities"] == [MASK if "host" in sensitive else "secret"] * 2
    assert (shown["night"]["first_time"] == MASK) == ("start_time" in sensitive)


def test_where_it_is_not_known_what_a_report_is_about_a_doubt_hides(with_incidents, an_incident):
    report = with_incidents(an_incident(12, "secret"), sensitive=("other",), key=None)
    (shown,) = json.loads(report_json(report))["incidents"]["incidents"]
    assert (shown["entity"], shown["night"]["first_time"]) == (MASK, MASK)


def test_many_incidents_are_cut_and_counted(with_incidents, an_incident, read_page):
    page = read_page(report_html(with_incidents(*(an_incident(number, "h1") for number in range(1, 41)))))
    assert "and 10 more incidents, in the JSON" in page.text
