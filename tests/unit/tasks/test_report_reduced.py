"""What the report says of alerts like labelled false alarms: a section of those suppressed, marks, reasons."""

from __future__ import annotations

import json

import pytest

from schemas.results import LikeLabel, NightReport, Reduction
from tasks.report import report_html, report_json
from tasks.report_reduced import reduced

WORKED = Reduction(
    policy="hide",
    false_alarms=300,
    anomalies=150,
    alike=2,
    suppressed=2,
    extreme=1,
    expected_alike=0.85,
    expected_lost=0.04,
    hash="0" * 64,
)


@pytest.fixture
def a_reduced_report(a_report, a_result, an_alert):
    """A report of three alerts, of which two are suppressed."""

    def make(text="some", **changes):
        said = LikeLabel(key=text, night="2026-03-04", note=f"note {text}", score=0.1)
        hidden = tuple(
            an_alert(rank, f"{text} {rank}").model_copy(update={"said": said, "like": None}) for rank in (1, 2)
        )
        result = a_result(alerts=3, suppressed=2)
        return a_report(
            text=text, result=result, alerts=(an_alert(1, text),), suppressed=hidden, reduction=WORKED, **changes
        )

    return make


def test_suppressed_alerts_have_a_section_with_the_label_that_they_are_like(a_reduced_report, read_page):
    page = read_page(report_html(a_reduced_report()))
    assert "Suppressed by what people said 2" in page.text
    assert "Like what people called a false alarm: some, night 2026-03-04, “note some”" in page.text
    assert "suppressed" in [section.get("id") for section in page.all("section")]
    assert "85 % of the labelled false alarms and of 4 % of the labelled anomalies" in page.text
    assert "more alerts, in the scores" not in page.text


def test_the_json_holds_them_and_reads_back(a_reduced_report):
    report = a_reduced_report()
    values = json.loads(report_json(report))
    assert [alert["key"] for alert in values["suppressed"]] == ["some 1", "some 2"]
    assert (values["result"]["alerts"], values["result"]["suppressed"]) == (3, 2)
    assert NightReport.model_validate(values) == report


def test_a_report_of_an_older_release_reads_without_them(a_report):
    values = json.loads(report_json(a_report()))
    for name in ("suppressed", "reduction"):
        del values[name]
    del values["result"]["suppressed"]
    report = NightReport.model_validate(values)
    assert (report.suppressed, report.reduction, report.result.suppressed) == ((), None, 0)


def test_a_night_what_decides_says_nothing_of_them(a_report, read_page):
    text = read_page(report_html(a_report())).text
    assert "Suppressed" not in text
    assert "people said" not in text


def test_where_all_alerts_are_suppressed_the_list_says_so(a_reduced_report, a_result, read_page):
    report = a_reduced_report()
    report = report.model_copy(update={"alerts": (), "result": a_result(alerts=2, suppressed=2)})
    assert "All of tonight's alerts are suppressed" in read_page(report_html(report)).text


def test_sensitive_keys_are_masked_in_suppressed_alerts_too(a_reduced_report):
    report = a_reduced_report("secret").model_copy(update={"sensitive": ("flow_id", "secret"), "key": ("flow_id",)})
    for alert in json.loads(report_json(report))["suppressed"]:
        assert (alert["key"], alert["said"]["key"]) == ("•••", "•••")


def test_what_people_wrote_can_only_be_text(a_reduced_report):
    page = report_html(a_reduced_report("<script>alert(1)</script>"))
    assert "<script>" not in page


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"reason": "few labels"}, "What people said of earlier alerts changes nothing tonight: few labels."),
        ({"alike": 0, "extreme": 0}, "None of tonight's alerts is like those that people called false alarms."),
        ({"alike": 1}, "1 alert is like those that people called false alarms, and suppressed: it stands"),
        ({"policy": "rank"}, "2 alerts are like those that people called false alarms: listed last, and marked."),
        ({}, "1 more would be, but for an extreme score."),
    ],
    ids=["abstains", "none", "one", "rank", "extreme"],
)
def test_what_labels_changed_is_said_in_words(changes, said):
    assert said in reduced(WORKED.model_copy(update=changes))


def test_nobody_labelled_anything():
    assert reduced(None) == ""
