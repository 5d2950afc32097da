"""The report: whole and readable for any night, and never more than text of what the data held."""

from __future__ import annotations

import json
import math
import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.errors import SerenoError, UsageError
from schemas.results import (
    Alert,
    Contribution,
    ExpectationCounts,
    ExpectationOutcome,
    ModelOutcome,
    NightReport,
    NightResult,
    QuarantineSample,
    RowCounts,
    ScoreDistribution,
    TrainingSummary,
)
from tasks.report import MOST_BYTES, PAGES, night_artifact_markdown, report_html, report_json, write_report

VOID = {"meta", "link", "br", "img", "input", "hr"}
STATUSES = ("done", "skipped", "blocked", "partial", "failed", "missing")
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


class Page(HTMLParser):
    """Collects what a page holds, and checks that its elements nest."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append((self.open[-1] if self.open else "", data))

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", "".join(text for tag, text in self.texts if tag not in ("style", "title", "desc")))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def a_result(status="done", **changes) -> NightResult:
    return NightResult(
        dataset="flows",
        date="2026-03-06",
        status=status,
        **{
            "rows": RowCounts(read=2531, accepted=2517, quarantined=14),
            "failures": {"src_bytes": 9, "(key)": 5},
            "expectations": ExpectationCounts(passed=1, failed=1),
            "model": ModelOutcome(
                version="17", champion="17", family="dense_denoising", promoted=True, reason="better"
            ),
            "threshold": 4.71,
            "alerts": 2,
            "seconds": {"ingest": 0.6, "train": 8.4},
            "warnings": ("a column moved",),
            **changes,
        },
    )


def an_alert(rank=1, text="F-0037") -> Alert:
    return Alert(
        rank=rank,
        key=text,
        event_time="2026-03-06T00:56:34.863000+00:00",
        entity=text,
        score=10.4478,
        p_value=1.1e-5,
        source_file=text,
        source_line=1038,
        contributions=tuple(Contribution(column=text, share=0.4, actual=text, expected=text) for _ in range(3)),
    )


def a_report(status="done", text="some", **changes) -> NightReport:
    whole = NightReport(
        result=a_result(status),
        generated_at="2026-03-07T05:02:11+00:00",
        files=(
            {"name": text, "rows": 2531, "bytes": 93_211, "rejected": 1, "encoding": "utf-8", "sha256": "9f2c" * 16},
        ),
        expectation_outcomes=(
            an_outcome(observed="251 rows", expected="about 2,498 are usual (1,249 to 4,996 allowed)", policy="block"),
            an_outcome(success=True, rule=text),
        ),
        quarantine_sample=(
            QuarantineSample(key=text, source_file=text, source_line=7, column=text, rule=text, value=text),
        ),
        training=TrainingSummary(epochs=3, loss=(3, 2, 1), held_out_loss=(3, 2, 2), nights=("2026-03-05",), width=58),
        scores=ScoreDistribution(
            edges=(0, 1, 2, 3), tonight=(90, 9, 1), calibration=(9, 1, 0), threshold=2.0, alert_curve=((0, 100), (2, 1))
        ),
        alerts=(an_alert(1, text), an_alert(2, text)),
        alert_budget=20,
        history=tuple({"date": f"2026-03-0{i}", "status": "done", "read": 2500, "alerts": 10 + i} for i in range(1, 6)),
        gate=({"name": text, "passed": False, "observed": text, "expected": text, "message": text},),
        key=("flow_id",),
    )
    return whole.model_copy(update=changes)


def an_outcome(**changes) -> ExpectationOutcome:
    return ExpectationOutcome(
        **{
            "expect": "volume",
            "column": None,
            "policy": "warn",
            "success": False,
            "rule": "volume",
            "observed": "",
            "expected": "",
            **changes,
        }
    )


def bare(status) -> NightReport:
    return NightReport(result=NightResult(dataset="flows", date="2026-03-06", status=status), generated_at="")


# --- the file -------------------------------------------------------------------------------------------------------


def test_it_writes_a_page_and_the_same_as_json(tmp_path):
    report = a_report()
    paths = write_report(report, tmp_path / "reports" / "flows")
    assert paths.html == tmp_path / "reports" / "flows" / "2026-03-06.html"
    assert NightReport.model_validate_json(paths.json.read_text(encoding="utf-8")) == report
    assert sorted(path.name for path in paths.html.parent.iterdir()) == ["2026-03-06.html", "2026-03-06.json"]
    assert f'href="{paths.json.name}"' in paths.html.read_text(encoding="utf-8")


def test_writing_again_replaces_both(tmp_path):
    write_report(a_report(), tmp_path)
    paths = write_report(bare("missing"), tmp_path)
    assert "No data arrived" in paths.html.read_text(encoding="utf-8")
    assert json.loads(paths.json.read_text(encoding="utf-8"))["result"]["status"] == "missing"


def test_a_failed_write_keeps_the_old_report_and_leaves_no_draft(tmp_path, monkeypatch):
    before = write_report(a_report(), tmp_path).html.read_bytes()

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(SerenoError, match="No space left"):
        write_report(bare("failed"), tmp_path)
    assert (tmp_path / "2026-03-06.html").read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("date", ["../../etc/x", "2026-3-6", "2026-13-01", "", "2026-03-06\n", "20260306"])
def test_a_date_that_is_none_never_names_a_file(tmp_path, date):
    report = a_report().model_copy(update={"result": a_result().model_copy(update={"date": date})})
    with pytest.raises(UsageError):
        write_report(report, tmp_path)
    assert not list(tmp_path.iterdir())


def test_json_keeps_numbers_of_any_class_and_has_no_nan():
    report = a_report(gate=({"n": np.int64(3), "x": np.float64(0.5), "bad": math.nan, "path": Path("a")},))
    assert json.loads(report_json(report))["gate"] == [{"n": 3, "x": 0.5, "bad": None, "path": "a"}]


# --- the page -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("make", [bare, a_report], ids=["bare", "full"])
def test_every_night_has_a_page_with_one_title_and_headings_in_order(make, status):
    page = Page(report_html(make(status)))
    assert len(page.all("h1")) == 1
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert all(b <= a + 1 for a, b in pairwise(levels))
    assert all(attributes.get("scope") in ("col", "row") for attributes in page.all("th"))
    ids = [attributes["id"] for _, attributes in page.tags if attributes.get("id")]
    assert len(ids) == len(set(ids))
    links = [attributes["href"] for attributes in page.all("a")]
    assert all(link == "2026-03-06.json" or link.removeprefix("#") in ids for link in links)


@pytest.mark.parametrize("field", [name for name in NightReport.model_fields if name not in ("result", "generated_at")])
def test_any_one_part_may_be_absent(field):
    whole = a_report()
    page = Page(report_html(whole.model_copy(update={field: NightReport.model_fields[field].default})))
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
def test_the_top_says_what_happened_and_what_to_do(status, said):
    text = Page(report_html(a_report(status))).text
    top = text[: text.index("Rows read")]
    for words in said:
        assert words in top


def test_the_parts_of_a_night_are_all_there():
    text = Page(report_html(a_report())).text
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


def test_the_timeline_ends_tonight_and_marks_what_was_not_done():
    history = [{"date": "2026-03-05", "status": "blocked", "rows": {"read": 251}, "alerts": 0}, {"night": "2026-03-09"}]
    page = Page(report_html(a_report(history=tuple(history))))
    assert "2 nights as a table" in page.text
    assert any(attributes.get("class") == "m-blocked" for attributes in page.all("rect"))
    assert "2026-03-09" not in page.text


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


# --- closed to what the data holds ----------------------------------------------------------------------------------


def assert_inert(html: str) -> Page:
    page = Page(html)
    assert len(html.encode("utf-8")) < MOST_BYTES
    assert not {"script", "iframe", "img", "object", "embed", "base", "form", "link"} & {tag for tag, _ in page.tags}
    for _, attributes in page.tags:
        assert not [name for name in attributes if name.startswith("on") or name in ("src", "srcset", "action")]
        assert re.fullmatch(r"(#[a-z]+|\d{4}-\d{2}-\d{2}\.json)?", attributes.get("href") or "")
        assert re.fullmatch(r"(width:\d{1,3}%)?", attributes.get("style") or "")
    assert not re.search(
        "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\ud800-\udfff]", html
    )
    return page


def test_the_page_asks_nothing_of_a_network_and_runs_nothing():
    html = report_html(a_report())
    page = assert_inert(html)
    policy = next(a["content"] for a in page.all("meta") if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'; img-src data:")
    assert "url(" not in html
    assert "@import" not in html


@pytest.mark.parametrize("text", HOSTILE, ids=[ascii(text[:12]) for text in HOSTILE])
def test_hostile_values_stay_text(text, tmp_path):
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


def test_hostile_values_in_the_result_itself_stay_text():
    for text in HOSTILE:
        shown = text.encode("utf-8", "replace").decode()
        result = a_result("failed", reason=shown, warnings=(shown,), failures={shown: 3}, seconds={shown: 1.0})
        model = ModelOutcome(version=shown, champion=shown, family=shown, reason=shown)
        changed = result.model_copy(update={"dataset": shown, "date": shown, "model": model})
        assert_inert(report_html(a_report().model_copy(update={"result": changed, "generated_at": shown})))


def test_the_page_stays_small_whatever_comes_in():
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
            "training": TrainingSummary(loss=tuple(range(9_000)), held_out_loss=tuple(range(9_000))),
        }
    )
    html = report_html(big)
    assert_inert(html)
    assert "more alerts" in html


def test_lists_say_how_many_more_there_are():
    report = a_report()
    alerts = tuple(an_alert(i) for i in range(1, 151))
    report = report.model_copy(update={"result": a_result(alerts=400), "alerts": alerts, "files": report.files * 50})
    text = Page(report_html(report)).text
    assert "80 further alerts" in text
    assert "and 300 more alerts" in text
    assert "and 10 more files" in text


words = st.text(max_size=60) | st.sampled_from([text for text in HOSTILE if "\ud800" not in text])


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(words, words, st.sampled_from(STATUSES), st.floats() | st.none())
def test_any_text_and_number_give_an_inert_page(text, other, status, value):
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


# --- for the orchestrator -------------------------------------------------------------------------------------------


def test_the_artifact_is_short_and_links_to_the_report():
    result = a_result(report="/srv/night watch/2026-03-06.html")
    text = night_artifact_markdown(a_report().model_copy(update={"result": result}))
    assert "| 2,531 | 2,517 | 14 | 0 | 2 | 17 |" in text
    assert "(<file:///srv/night%20watch/2026-03-06.html>)" in text
    assert len(text.splitlines()) < 12


def test_the_artifact_holds_no_markup_from_the_data():
    hostile = "](javascript:x) <b> | `x` \n# y"
    text = night_artifact_markdown(
        a_report().model_copy(update={"result": a_result("failed", reason=hostile, report=hostile)})
    )
    assert "<" not in text
    assert "](javascript" not in text
    assert "\n# y" not in text
