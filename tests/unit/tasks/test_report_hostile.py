"""Whatever the data held is text in the report: nothing of it runs, nothing is fetched, the page stays small."""

from __future__ import annotations

import json
import re
import sys
from typing import get_args

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from schemas.results import ModelOutcome, ScoreDistribution, Status, ThresholdChoice, TrainingSummary
from tasks.report import MOST_BYTES, night_artifact_markdown, report_html, write_report

ACTIVE = {"script", "iframe", "img", "object", "embed", "base", "form", "link"}
HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</style></title></svg><script>x</script>",
    "{{ 7*7 }}{% raw %}",
    "abc\u202egnp.exe",
    "\x00\x07\x1b[31m\x7f\x9b",
    "\ud800 lone",
    "a\u200b\u2066b\ufeff",
    "x" * 10_000,
    "&" * 10_000,
    "Z" + "\u0301" * 500,
    "https://example.com/x.png",
    "",
]


@pytest.fixture(scope="session")
def assert_inert(read_page):
    """Check that a page runs nothing, fetches nothing and is small; gives what it holds."""

    def check(html):
        page = read_page(html)
        assert len(html.encode("utf-8")) < MOST_BYTES
        assert not ACTIVE & {tag for tag, _ in page.tags}
        for _, attributes in page.tags:
            assert not [name for name in attributes if name.startswith("on") or name in ("src", "srcset", "action")]
            assert re.fullmatch(
                r"(#[a-z0-9-]+|\d{4}-\d{2}-\d{2}\.json|\.\./\d{4}-\d{2}-\d{2}\.html)?", attributes.get("href") or ""
            )
            assert re.fullmatch(r"(width:\d{1,3}%)?", attributes.get("style") or "")
        assert not re.search(
            "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\ud800-\udfff]", html
        )
        return page

    return check


def test_the_page_asks_nothing_of_a_network_and_runs_nothing(a_report, assert_inert):
    html = report_html(a_report())
    page = assert_inert(html)
    policy = next(a["content"] for a in page.all("meta") if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'; img-src data:")
    assert "url(" not in html
    assert "@import" not in html


@pytest.mark.parametrize("text", HOSTILE, ids=[ascii(text[:12]) for text in HOSTILE])
def test_hostile_values_stay_text(text, tmp_path, a_report, assert_inert):
    report = a_report(text=text.encode("utf-8", "replace").decode())
    report = report.model_copy(update={"history": ({"date": text, "status": text, "version": text},)})
    if "\ud800" in text:  # pydantic refuses these in its own fields, not inside a dictionary
        report = report.model_copy(update={"gate": ({"name": text, "message": text},)})
    page = assert_inert(report_html(report))
    if text.startswith("<script"):
        assert text in page.text
    paths = write_report(report, tmp_path)
    assert (
        json.loads(paths.json.read_text(encoding="utf-8", errors="strict"))["alerts"][0]["key"] == report.alerts[0].key
    )


def test_hostile_values_in_the_result_itself_stay_text(a_report, a_result, assert_inert):
    for text in HOSTILE:
        shown = text.encode("utf-8", "replace").decode()
        result = a_result("failed", reason=shown, warnings=(shown,), failures={shown: 3}, seconds={shown: 1.0})
        model = ModelOutcome(version=shown, champion=shown, family=shown, reason=shown)
        changed = result.model_copy(update={"dataset": shown, "date": shown, "model": model})
        assert_inert(report_html(a_report().model_copy(update={"result": changed, "generated_at": shown})))


def test_the_page_stays_small_whatever_comes_in(a_report, a_result, an_alert, an_outcome, assert_inert):
    text = "&'\"<\u202e" * 3_000
    big = a_report(text=text)
    outcome = an_outcome(rule=text, observed=text, expected=text, message=text)
    counters = {f"{i}{text}": i for i in range(500)}
    big = big.model_copy(
        update={
            "result": a_result(
                alerts=9_000, warnings=(text,) * 300, failures=counters, seconds=dict.fromkeys(counters, 1.0)
            ),
            "alerts": tuple(an_alert(i, text) for i in range(1, 301)),
            "expectation_outcomes": (outcome,) * 300,
            "quarantine_sample": big.quarantine_sample * 300,
            "files": big.files * 300,
            "gate": big.gate * 300,
            "history": tuple({"date": f"2025-{i % 12 + 1:02d}-{i % 28 + 1:02d}", "version": text} for i in range(400)),
            "scores": ScoreDistribution(
                edges=tuple(range(5_001)), tonight=(3,) * 5_000, alert_curve=tuple((i, 9 - i) for i in range(5_000))
            ),
            "drift": big.drift.model_copy(update={"columns": big.drift.columns * 300}),
            "changes": big.changes * 300,
            "training": TrainingSummary(loss=tuple(range(9_000)), held_out_loss=tuple(range(9_000))),
        }
    )
    html = report_html(big)
    assert_inert(html)
    assert "more alerts" in html


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_rule_of_the_threshold_is_text(text, a_report, assert_inert):
    choice = ThresholdChoice(
        method=text,
        words=text,
        share=0.1,
        threshold=2.0,
        calibration_alerts=1,
        calibration_rows=9,
        usual_night=3.0,
        in_force=True,
    )
    scores = a_report().scores.model_copy(update={"rule": text, "choices": (choice,)})
    assert_inert(report_html(a_report(scores=scores)))


words = st.text(max_size=60) | st.sampled_from([text for text in HOSTILE if "\ud800" not in text])


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])  # a page an example
@given(words, words, st.sampled_from(get_args(Status)), st.floats() | st.none())
@example("a", "b", "done", sys.float_info.max)
def test_any_text_and_number_give_an_inert_page(a_report, assert_inert, text, other, status, value):
    report = a_report(status, text=text)
    result = report.result.model_copy(update={"reason": other, "threshold": value, "warnings": (text,)})
    anything = {text: value, other: text, "rows": value, "passed": other, "date": other, "alerts": value}
    changes = {
        "result": result,
        "files": (anything,),
        "gate": (anything,),
        "history": (anything,),
        "alert_budget": value,
    }
    assert_inert(report_html(report.model_copy(update=changes)))
    assert night_artifact_markdown(report.model_copy(update=changes))


def test_the_artifact_holds_no_markup_from_the_data(a_report, a_result):
    hostile = "](javascript:x) <b> | `x` \n# y"
    text = night_artifact_markdown(
        a_report().model_copy(update={"result": a_result("failed", reason=hostile, report=hostile)})
    )
    assert "<" not in text
    assert "](javascript" not in text
    assert "\n# y" not in text
