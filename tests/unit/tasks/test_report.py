"""The report: whole and readable for any night; see `test_report_hostile` for what the data may not do to it."""

from __future__ import annotations

import json
import math
import re
from itertools import pairwise
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from schemas.battery import Battery, KindFound
from schemas.errors import SerenoError, UsageError
from schemas.results import CandidateResult, NightReport, Status, ThresholdChoice
from tasks.report import PAGES, night_artifact_markdown, report_html, report_json, write_report

# --- the file -------------------------------------------------------------------------------------------------------


def test_it_writes_a_page_and_the_same_as_json(tmp_path, a_report):
    report = a_report()
    paths = write_report(report, tmp_path / "reports" / "flows")
    assert paths.html == tmp_path / "reports" / "flows" / "2026-03-06.html"
    assert NightReport.model_validate_json(paths.json.read_text(encoding="utf-8")) == report
    assert sorted(path.name for path in paths.html.parent.iterdir()) == ["2026-03-06.html", "2026-03-06.json"]
    assert f'href="{paths.json.name}"' in paths.html.read_text(encoding="utf-8")


def test_writing_again_replaces_both(tmp_path, a_report, a_bare_report):
    write_report(a_report(), tmp_path)
    paths = write_report(a_bare_report("missing"), tmp_path)
    assert "No data arrived" in paths.html.read_text(encoding="utf-8")
    assert json.loads(paths.json.read_text(encoding="utf-8"))["result"]["status"] == "missing"


def test_a_failed_write_keeps_the_old_report_and_leaves_no_draft(tmp_path, monkeypatch, a_report, a_bare_report):
    before = write_report(a_report(), tmp_path).html.read_bytes()

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(SerenoError, match="No space left"):
        write_report(a_bare_report("failed"), tmp_path)
    assert (tmp_path / "2026-03-06.html").read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("date", ["../../etc/x", "2026-3-6", "2026-13-01", "", "2026-03-06\n", "20260306"])
def test_a_date_that_is_none_never_names_a_file(tmp_path, date, a_report, a_result):
    report = a_report().model_copy(update={"result": a_result().model_copy(update={"date": date})})
    with pytest.raises(UsageError):
        write_report(report, tmp_path)
    assert not list(tmp_path.iterdir())


def test_json_keeps_numbers_of_any_class_and_has_no_nan(a_report):
    report = a_report(gate=({"n": np.int64(3), "x": np.float64(0.5), "bad": math.nan, "path": Path("a")},))
    assert json.loads(report_json(report))["gate"] == [{"n": 3, "x": 0.5, "bad": None, "path": "a"}]


# --- the page -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", get_args(Status))
@pytest.mark.parametrize("kind", ["a_bare_report", "a_report"])
def test_every_night_has_a_page_with_one_title_and_headings_in_order(kind, status, request, read_page):
    page = read_page(report_html(request.getfixturevalue(kind)(status)))
    assert len(page.all("h1")) == 1
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert all(b <= a + 1 for a, b in pairwise(levels))
    assert all(attributes.get("scope") in ("col", "row", "rowgroup") for attributes in page.all("th"))
    ids = [attributes["id"] for _, attributes in page.tags if attributes.get("id")]
    assert len(ids) == len(set(ids))
    links = [attributes["href"] for attributes in page.all("a")]
    assert all(link in ("2026-03-06.json", "../2026-03-06.html") or link.removeprefix("#") in ids for link in links)


@pytest.mark.parametrize("field", [name for name in NightReport.model_fields if name not in ("result", "generated_at")])
def test_any_one_part_may_be_absent(field, a_report, read_page):
    whole = a_report()
    page = read_page(report_html(whole.model_copy(update={field: NightReport.model_fields[field].default})))
    assert "2 alerts" in page.text


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (
            "done",
            ["2 alerts", "2 alerts among 2,517 scored rows", "sereno scores flows --date 2026-03-06 --to scores.csv"],
        ),
        ("blocked", ["Blocked", "4.98 times too low", "sereno run flows --date 2026-03-06 --accept"]),
        ("partial", ["Partly done, 2 alerts", "sereno run flows --date 2026-03-06 --force"]),
        ("failed", ["Failed", "sereno run flows --date 2026-03-06"]),
        ("missing", ["No data arrived", "sereno plan flows --date 2026-03-06"]),
        ("skipped", ["2 alerts", "The same inputs were done before"]),
    ],
)
def test_the_top_says_what_happened_and_what_to_do(status, said, a_report, read_page):
    text = read_page(report_html(a_report(status))).text
    top = text[: text.index("Rows read")]
    for words in said:
        assert words in top


def test_the_parts_of_a_night_are_all_there(a_report, read_page):
    text = read_page(report_html(a_report())).text
    for words in [
        "2,517 accepted + 14 quarantined + 0 held = 2,531 read",
        "budget 20",
        "10.45",
        "1.1 × 10⁻⁵",
        "line 1,038",
        "00:56:34 UTC",
        "expected some",
        "version 17, promoted tonight",
        "1 night, 2026-03-05",
        "93.2 kB",
        "8.4 s",
        "a column moved",
        "refused",
    ]:
        assert words.replace("\N{NO-BREAK SPACE}", " ") in text.replace("\N{NO-BREAK SPACE}", " ")


def test_the_timeline_ends_tonight_and_marks_what_was_not_done(a_report, read_page):
    history = [{"date": "2026-03-05", "status": "blocked", "rows": {"read": 251}, "alerts": 0}, {"night": "2026-03-09"}]
    page = read_page(report_html(a_report(history=tuple(history))))
    assert "2 nights as a table" in page.text
    assert any(attributes.get("class") == "m-blocked" for attributes in page.all("rect"))
    assert "2026-03-09" not in page.text


ORDER = [
    "Look at these first",
    "Rows read",
    "2,517 accepted",
    "Expectations 1 held",
    "Champion and challenger",
    "Scores and threshold",
    "Last nights",
    "Most unusual first",
    "What changed",
    "Drift of columns",
    "Training and what it assumed",
    "Stages",
]


def test_the_parts_come_in_the_order_in_which_a_person_asks(a_report, read_page):
    text = read_page(report_html(a_report())).text
    text = text[: text.index("Rows Expectations")] + text[text.index("Stages and files") + 20 :]
    places = [text.index(words) for words in ORDER]
    assert places == sorted(places)


def test_a_refused_challenger_is_named(a_report, a_result, read_page):
    outcome = a_result().model.model_copy(update={"challenger": "18", "promoted": False})
    result = a_result().model_copy(update={"model": outcome})
    gate = ({"name": "scores vary", "passed": False, "observed": "no", "expected": "yes"},)
    text = read_page(report_html(a_report(gate=gate).model_copy(update={"result": result}))).text
    assert "version 18 from tonight's training; the gate refused it" in text
    assert "Tonight's new version 18 did not pass the gate" in text


def test_a_champion_that_only_stands_makes_no_part_of_a_blocked_night(a_bare_report, read_page):
    report = a_bare_report("blocked")
    model = report.result.model.model_copy(update={"champion": "17", "version": None})
    stands = report.model_copy(update={"result": report.result.model_copy(update={"model": model})})
    assert "Champion and challenger" not in read_page(report_html(stands)).text


def test_beside_each_alert_stands_a_like_normal_row(a_report, read_page):
    text = read_page(report_html(a_report())).text
    assert "In a like, normal row" in text
    assert "like some" in text
    assert "Like row: some, night 2026-03-04, some line 2,077, score 0.25" in text
    alerts = tuple(alert.model_copy(update={"like": None}) for alert in a_report().alerts)
    assert "like, normal row" not in read_page(report_html(a_report(alerts=alerts))).text


def test_what_changed_and_what_moved_is_said(a_report, read_page):
    text = read_page(report_html(a_report())).text
    assert "The data moved far: some." in text
    assert "since Thursday 5 March 2026" in text
    assert "moved far, against 4 nights" in text
    assert "1 steady column" in text
    assert "2 % of the rows that it learnt from were taken to be bad" in text.replace("\N{NO-BREAK SPACE}", " ")


def test_another_budget_is_a_command_away(a_report, read_page):
    text = read_page(report_html(a_report())).text
    assert "sereno recalibrate flows --budget 40" in text
    assert "2 in force" in text


def by_tail(report, alerts, text="by the tail at a risk of 0.0002"):
    """The report of a night whose threshold came by the tail; the alert budget would have given another."""
    known = {"calibration_rows": 500, "usual_night": 0.4, "share": 0.0002}
    choices = (
        ThresholdChoice(method="budget", words="by the alert budget", threshold=1.5, calibration_alerts=4, **known),
        ThresholdChoice(method="tail", words=text, threshold=2.0, calibration_alerts=0, in_force=True, **known),
    )
    scores = report.scores.model_copy(update={"rule": text, "choices": choices})
    return report.model_copy(
        update={"scores": scores, "alert_budget": 0.5, "result": report.result.model_copy(update={"alerts": alerts})}
    )


@pytest.mark.parametrize(("alerts", "command"), [(0, "--risk 0.0004"), (2, "--risk 0.0001")])
def test_the_page_says_by_which_rule_the_threshold_came_and_what_others_would_give(
    a_report, read_page, alerts, command
):
    html = report_html(by_tail(a_report(), alerts))
    text = read_page(re.sub("(</t[dh]>)", r" \1", html)).text.replace("\N{NO-BREAK SPACE}", " ")
    assert "4.71 by the tail at a risk of 0.0002" in text
    assert "calibration rows past it, of 500" in text
    assert "by the alert budget 1.5 4 none" in text
    assert "by the tail at a risk of 0.0002 in force 2 0 none" in text
    assert f"sereno recalibrate flows {command}" in text


def test_without_styles_and_drawings_every_figure_is_still_there(a_report, read_page):
    whole = report_html(a_report())
    html = re.sub(r"<(style|svg)\b.*?</\1>", "", whole, flags=re.DOTALL)
    text = read_page(re.sub("(</t[dh]>)", r" \1", html)).text
    for words in [
        "1 to 2 9 1",  # scores
        "2 in force 1 none",  # alerts against thresholds
        "2 best 2 2 3 1 2",  # epochs
        "train 8.4 s",
        "2026-03-05 done 2,500 – 15",
        "2,517 accepted + 14 quarantined + 0 held = 2,531 read",
        "40 %",
    ]:
        assert words in text.replace("\N{NO-BREAK SPACE}", " ")


def luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.040_45 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_text_and_charts_have_the_contrast_of_wcag_aa(theme):
    blocks = re.findall(r":root \{(.*?)\}", (PAGES / "report.css").read_text(encoding="utf-8"), flags=re.DOTALL)
    tokens = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", blocks[theme]))
    for ground in ("paper", "card", "wash"):
        for ink in ("ink", "soft", "night-strong", "lamp", "done", "blocked", "failed", "partial", "missing"):
            assert contrast(tokens[ink], tokens[ground]) >= 4.5, (ink, ground)
        for shape in ("night", "ochre"):
            assert contrast(tokens[shape], tokens[ground]) >= 3, (shape, ground)


def test_lists_say_how_many_more_there_are(a_report, a_result, an_alert, read_page):
    report = a_report()
    alerts = tuple(an_alert(i) for i in range(1, 151))
    report = report.model_copy(update={"result": a_result(alerts=400), "alerts": alerts, "files": report.files * 50})
    text = read_page(report_html(report)).text
    assert "80 further alerts" in text
    assert "and 300 more alerts" in text
    assert "and 10 more files" in text


# --- for the orchestrator -------------------------------------------------------------------------------------------


def test_the_artifact_is_short_and_links_to_the_report(a_report, a_result):
    result = a_result(report="/srv/night watch/2026-03-06.html")
    text = night_artifact_markdown(a_report().model_copy(update={"result": result}))
    assert "| 2,531 | 2,517 | 14 | 0 | 2 | 17 |" in text
    assert "(<file:///srv/night%20watch/2026-03-06.html>)" in text
    assert len(text.splitlines()) < 12


# --- the gate's tables ----------------------------------------------------------------------------------------------


def cells(html):
    """The page's text, with a blank between the cells of a table."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


def test_the_page_shows_each_kind_for_each_detector_and_where_the_challenger_is_weakest(a_report):
    kinds = (
        KindFound(kind="broken pair", rows=100, auroc={"challenger": 0.81, "PCA": 0.69}),
        KindFound(kind="scale drift", rows=99, auroc={"challenger": 0.74, "PCA": 0.80}),
    )
    battery = Battery(rows=800, is_recent=True, all={"challenger": 0.78, "PCA": 0.74}, kinds=kinds)
    report = a_report().model_copy(update={"battery": battery})
    text = cells(report_html(report))
    assert "among 800 of the newest held-out rows" in text
    assert "The challenger finds least of scale drift (0.740), broken pair (0.810)" in text
    assert "others are ahead in scale drift (PCA 0.800)" in text
    assert re.search(r"broken pair\s+100\s+0\.810\s+0\.690", text)
    assert NightReport.model_validate_json(report_json(report)).battery == battery


def test_the_page_shows_how_far_each_candidate_came(a_report):
    tried = (
        CandidateResult(family="auto", rung=2, epochs=21, score=0.9, seconds=3.0, verdict="left after rung 2 of 3"),
        CandidateResult(family="dense", settings="noise <b>", verdict="failed: <script>"),
    )
    report = a_report()
    training = report.training.model_copy(update={"candidates": tried})
    html = report_html(report.model_copy(update={"training": training}))
    text = cells(html)
    assert re.search(r"auto\s+2\s+21\s+0\.900", text)
    assert "left after rung 2 of 3" in text
    assert "<script>" not in html.partition('id="candidates"')[2]
