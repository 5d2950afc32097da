"""The pages in a real browser: nothing in the data runs or is fetched, they fit a phone, and they print."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from schemas.results import (
    Alert,
    Change,
    ColumnDrift,
    Contribution,
    Drift,
    ExpectationCounts,
    ExpectationOutcome,
    LikeRow,
    ModelOutcome,
    NightReport,
    NightResult,
    QuarantineSample,
    RowCounts,
    ScoreDistribution,
    TrainingSummary,
)
from tasks.overview import overview_html
from tasks.overview_rows import Overview, OverviewRow
from tasks.report import report_html

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")
PHONE = 360
QUIET = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-sync",
)
RAN = "for(const w of [window,parent])w.document.documentElement.setAttribute('data-ran','1')"
SHOT = "http://tracker.example/fetched"
HOSTILE = (
    f"<script>{RAN}</script>",
    f'<img src=x onerror="{RAN}"><img src={SHOT}.png>',
    f"</title></style></svg><link rel=stylesheet href={SHOT}.css><style>*{{background:url({SHOT}.gif)}}</style>",
    f"\"'><iframe src={SHOT}></iframe><meta http-equiv=refresh content=0;url={SHOT}>",
    f'<svg onload="{RAN}"><use href={SHOT}#x /></svg>',
    "abc\u202egnp.exe \u2066 \u200b",
    "x" * 10_000,
    "a" * 60 + " " + "w" * 60,
)
ORDINARY = ("F260306-00037", "udp", "1,249 to 4,996 rows are allowed")
MEASURE = """
<script>
addEventListener("load", () => {
  const told = [...document.querySelectorAll("iframe")].map((frame) => {
    const page = frame.contentDocument;
    const folded = page.documentElement.scrollWidth;
    page.querySelectorAll("details").forEach((part) => { part.open = true; });
    return {folded, open: page.documentElement.scrollWidth, text: page.body.innerText,
            scripts: page.scripts.length, images: page.images.length};
  });
  document.getElementById("told").textContent = JSON.stringify(told);
});
</script>
"""


def night_of(texts: tuple[str, ...]) -> NightReport:
    """Make a night that has every part; its values are the texts in turn."""
    alerts = tuple(_alert(rank, texts[rank % len(texts)]) for rank in range(1, 41))
    return NightReport(
        result=NightResult(
            dataset="flows",
            date="2026-03-06",
            status="done",
            reason=texts[0],
            rows=RowCounts(read=2531, accepted=2517, quarantined=14),
            failures=dict.fromkeys(texts, 7),
            expectations=ExpectationCounts(passed=len(texts), failed=len(texts)),
            model=ModelOutcome(version="17", champion="17", family="denoising", reason=texts[1]),
            threshold=2.0,
            alerts=40,
            seconds={"ingest": 0.6, "train": 8.4},
            warnings=texts,
        ),
        generated_at="2026-03-07T05:02:11+00:00",
        files=tuple({"name": text, "rows": 9, "bytes": 9, "encoding": text} for text in texts),
        expectation_outcomes=tuple(
            ExpectationOutcome(
                expect="median", column=text, policy="warn", success=held, rule=text, observed=text, expected=text
            )
            for text in texts
            for held in (True, False)
        ),
        quarantine_sample=tuple(
            QuarantineSample(key=text, source_file=text, source_line=7, column=text, rule=text, value=text)
            for text in texts
        ),
        training=TrainingSummary(epochs=3, loss=(3, 2, 1), held_out_loss=(3, 2, 2), nights=("2026-03-05",)),
        scores=ScoreDistribution(
            edges=(0, 1, 2, 3), tonight=(90, 9, 1), calibration=(9, 1, 0), threshold=2.0, alert_curve=((0, 100), (2, 1))
        ),
        alerts=alerts,
        alert_budget=20,
        history=tuple({"date": f"2026-03-0{i}", "status": "done", "read": 2500, "alerts": i} for i in range(1, 6)),
        gate=tuple({"name": text, "passed": False, "observed": text, "expected": text} for text in texts),
        drift=Drift(
            columns=tuple(
                ColumnDrift(column=t, measure=t, value=0.4, usual=0.1, verdict="moved", message=t) for t in texts
            ),
            verdict="moved",
            message=texts[2],
        ),
        changes=tuple(Change(what=text, before=text, tonight=text, notable=True) for text in texts),
        last_night="2026-03-05",
        contamination=0.02,
        key=("flow_id",),
    )


def _alert(rank: int, text: str) -> Alert:
    return Alert(
        rank=rank,
        key=text,
        event_time="2026-03-06T00:56:34+00:00",
        entity=text,
        score=50.0 - rank,
        p_value=1e-5,
        source_file=text,
        source_line=1038,
        contributions=tuple(Contribution(column=text, share=0.3, actual=text, expected=text) for _ in range(3)),
        like=LikeRow(key=text, night="2026-03-04", source_file=text, source_line=7, score=0.2, values={text: text}),
    )


def overview_like(texts: tuple[str, ...]) -> str:
    """Make an overview whose values are the texts."""
    night = night_of(texts)
    rows = tuple(
        OverviewRow(text, "failed", text, (text,), night.result.rows, 3, 2.0, _alert(1, text), night.drift, text, 1, 1)
        for text in texts
    )
    return overview_html(Overview("2026-03-06", rows), before="2026-03-05", written="2026-03-07T05:02:11+00:00")


PAGES: dict[str, Callable[[tuple[str, ...]], str]] = {
    "night": lambda texts: report_html(night_of(texts)),
    "overview": overview_like,
}
POLICY = re.compile(r"<meta http-equiv=\"Content-Security-Policy\"[^>]*>")


@pytest.fixture(scope="module")
def asked() -> Iterator[tuple[int, list[str]]]:
    """A server on loopback that every host name leads to: its port, and the paths that were asked of it."""
    paths: list[str] = []

    class Tracker(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            paths.append(self.path)
            self.send_response(404)
            self.end_headers()

        def log_message(self, *_arguments: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Tracker)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port, paths
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def browse(tmp_path: Path) -> Callable[..., str]:
    """Open a page in the browser; gives what it printed."""

    def run(page: str, *options: str) -> str:
        path = tmp_path / "page.html"
        path.write_text(page, encoding="utf-8")
        profile = f"--user-data-dir={tmp_path / 'profile'}"
        command = [str(CHROMIUM), *QUIET, profile, "--virtual-time-budget=4000", *options, path.as_uri()]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    return run


def framed(*pages: str) -> str:
    """Wrap pages as frames as wide as a phone, with a script outside of them that measures each."""
    frames = [
        f'<iframe style="width:{PHONE}px;height:900px;border:0" srcdoc="{html.escape(page)}"></iframe>'
        for page in pages
    ]
    return f"<!doctype html><body>{''.join(frames)}<pre id=told></pre>{MEASURE}</body>"


def told_by(dom: str) -> list[dict[str, object]]:
    """Read what the measuring script wrote."""
    found = re.search(r'<pre id="told">(.*?)</pre>', dom, flags=re.DOTALL)
    assert found
    told: list[dict[str, object]] = json.loads(html.unescape(found.group(1)))
    return told


def everywhere(port: int) -> str:
    return f"--host-resolver-rules=MAP * 127.0.0.1:{port}"


def test_the_browser_would_run_and_fetch_what_is_not_escaped(browse, asked):
    port, paths = asked
    dom = browse(framed("".join(HOSTILE[:2])), everywhere(port), "--dump-dom")
    assert re.search(r"<html[^>]* data-ran", dom)
    assert "/fetched.png" in paths
    paths.clear()


@pytest.mark.parametrize("guarded", [True, False], ids=["as it is", "without its policy"])
def test_nothing_in_the_data_runs_or_is_fetched(browse, asked, guarded):
    port, paths = asked
    paths.clear()
    pages = [make(HOSTILE) for make in PAGES.values()]
    shown = pages if guarded else [POLICY.sub("", page) for page in pages]
    assert guarded or shown != pages
    dom = browse(framed(*shown), everywhere(port), "--dump-dom")
    assert not re.search(r"<html[^>]* data-ran", dom)
    assert not [path for path in paths if "fetched" in path]
    for told in told_by(dom):
        assert (told["scripts"], told["images"]) == (0, 0)
        assert "<script>for(const w of" in str(told["text"])
        assert "abc⟨U+202E⟩gnp.exe" in str(told["text"])
        assert "more characters" in str(told["text"])


@pytest.mark.parametrize("texts", [HOSTILE, ORDINARY], ids=["hostile", "ordinary"])
def test_the_pages_fit_a_phone(browse, texts):
    dom = browse(framed(*(make(texts) for make in PAGES.values())), "--hide-scrollbars", "--dump-dom")
    for name, told in zip(PAGES, told_by(dom), strict=True):
        assert told["folded"] == PHONE, name
        assert told["open"] == PHONE, name


@pytest.fixture
def printed(browse: Callable[..., str], tmp_path: Path) -> Callable[[str], list[str]]:
    """Print a page as PDF; gives the text of each sheet, words apart by one blank."""
    reader = shutil.which("pdftotext")
    if reader is None:
        pytest.skip("no pdftotext on this machine")

    def run(page: str) -> list[str]:
        pdf = tmp_path / "page.pdf"
        browse(page, f"--print-to-pdf={pdf}")
        text = subprocess.run([reader, "-layout", pdf, "-"], capture_output=True, text=True, check=True).stdout
        sheets = [" ".join(sheet.split()) for sheet in text.removesuffix("\f").split("\f")]
        assert len(sheets) == len(re.findall(rb"/Type\s*/Page\b", pdf.read_bytes()))
        return sheets

    return run


def test_a_night_prints_with_what_is_folded_and_without_what_only_a_screen_needs(printed):
    page = report_html(night_of(ORDINARY))
    sheets = printed(page)
    text = " ".join(sheets)
    assert 1 < len(sheets) < 20
    assert "40 alerts" in sheets[0]
    for folded in ("The loss as a table", "Further alerts, in rank order."):
        assert folded in text
    assert 'aria-label="Parts of this report"' in page
    assert "Expectations Champion and challenger Scores Last nights" not in text


def test_the_overview_of_a_few_datasets_prints_whole_on_one_sheet(printed):
    (sheet,) = printed(overview_like(ORDINARY))
    assert "3 of 3 need a person" in sheet
    assert "What to do next" in sheet
    headings = ("Dataset", "Alerts", "Worst alert", "Quarantined", "Held", "Drift", "Champion", "Took")
    places = [sheet.index(heading, sheet.index("what needs a person first")) for heading in headings]
    assert places == sorted(places)
    for name in ORDINARY[:2]:
        assert sheet.count(name) >= 3


def test_the_overview_of_many_datasets_heads_its_table_on_each_sheet(printed):
    names = tuple(f"line-{number:02}" for number in range(60))
    sheets = printed(overview_like(names))
    with_rows = [sheet for sheet in sheets if any(f"{name} 3 of 2" in sheet for name in names)]
    assert len(with_rows) > 1
    for sheet in with_rows:
        assert "Worst alert" in sheet
        assert "Took" in sheet
    rows = [sum(f"{name} 3 of 2" in sheet for sheet in sheets) for name in names]
    assert rows == [1] * len(names)
