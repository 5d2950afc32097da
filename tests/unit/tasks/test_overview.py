"""The overview: every dataset on one night, what needs a person first, and no row lost between two writers."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from threading import Barrier, Thread

import pytest
import yaml

from infra.runtime.project import Project
from infra.runtime.state import State
from schemas.dataset import Dataset
from schemas.errors import SerenoError
from schemas.results import DetectorDrift, Drift, ExpectationCounts, ModelOutcome, NightReport, RowCounts
from tasks.overview import overview_html, overview_json, refresh_overview, write_overview
from tasks.overview_rows import Overview, OverviewRow, overview_of
from tasks.report import MOST_BYTES, write_report

NIGHT = date(2026, 3, 6)
READ = RowCounts(read=100, accepted=90, quarantined=10)
HELD = RowCounts(read=100, quarantined=10, held=90)


@dataclass
class Watched:
    """The part of the services that the overview reads, and the nights of made-up datasets."""

    project: Project
    state: State
    report: Callable[[str], NightReport]
    dataset: Callable[..., Dataset]

    def file(self, name, text=None):
        self.project.datasets.mkdir(exist_ok=True)
        written = self.dataset().model_copy(update={"name": name}).model_dump(mode="json", exclude_defaults=True)
        self.project.dataset_file(name).write_text(text or yaml.safe_dump(written), encoding="utf-8")

    def night(self, name, status="done", *, night=NIGHT, report=True, kind="run", **changes):
        whole = self.report("done")
        given = {"rows": READ, "alerts": 0, "warnings": (), "expectations": ExpectationCounts(passed=2), **changes}
        given = {"dataset": name, "date": night.isoformat(), "status": status, **given}
        result = whole.result.model_copy(update=given)
        if report:
            drift = Drift(verdict="steady")
            write_report(whole.model_copy(update={"result": result, "drift": drift}), self.project.reports / name)
        run = self.state.start_run(name, night, kind, "f")
        self.state.finish_run(run.id, status, result=result.model_dump(mode="json"))


@pytest.fixture
def watched(tmp_path, a_report, make_dataset):
    project = Project(tmp_path)
    project.create_state()
    with State(project.database_url) as state:
        yield Watched(project, state, a_report, make_dataset)


def states(watched, night=NIGHT):
    return [(row.dataset, row.state) for row in overview_of(watched, night).rows]


# --- what it says ---------------------------------------------------------------------------------------------------


def test_what_needs_a_person_stands_first(watched):
    watched.night("quiet")
    watched.night("busy", alerts=25)
    watched.night("busier", alerts=30)
    watched.night("swamped", alerts=300)
    watched.night("gone", "missing", rows=RowCounts(), threshold=None)
    watched.night("held", "blocked", rows=HELD, threshold=None)
    watched.night("broken", "failed", rows=RowCounts(), threshold=None)
    watched.night("half", "partial", alerts=2)
    watched.night("checked", kind="validate", threshold=None)
    watched.file("later")
    watched.file("odd", "name: [")
    watched.state.start_run("now", NIGHT, "run", "f")
    assert states(watched) == [
        ("broken", "failed"),
        ("held", "blocked"),
        ("odd", "unreadable"),
        ("gone", "missing"),
        ("half", "partial"),
        ("later", "not run"),
        ("swamped", "look"),
        ("busier", "alerts"),
        ("busy", "alerts"),
        ("now", "running"),
        ("checked", "unscored"),
        ("quiet", "quiet"),
    ]


def test_the_top_counts_what_the_night_came_to(watched):
    watched.night("quiet")
    watched.night("busy", alerts=25)
    watched.night("held", "blocked", rows=HELD, threshold=None)
    said = overview_of(watched, NIGHT).sentence
    assert said == "3 datasets: 1 that needs a person, 1 with something to look at, 1 quiet."


def test_a_row_says_what_the_night_came_to(watched, read_page):
    watched.night("flows", alerts=2, expectations=ExpectationCounts(passed=3, failed=1))
    write_overview(watched, NIGHT)
    page = read_page((watched.project.reports / "2026-03-06.html").read_text(encoding="utf-8"))
    assert "flows 2 alerts" in page.text
    assert "2 of 20" in page.text
    assert "some some, expected some" in page.text
    assert {"href": "flows/2026-03-06.html"} in page.all("a")
    row = overview_of(watched, NIGHT).rows[0]
    assert (row.rows, row.failed, row.champion, row.seconds) == (READ, 1, "17", 9.0)
    assert row.drift.verdict == "steady"


def test_a_detector_that_is_stale_is_said_with_since_when():
    seen = DetectorDrift(verdict="stale", since="2026-03-02", onset="sudden")
    drift = Drift(verdict="steady", detector=seen)
    row = OverviewRow("flows", "look", "Quiet", (), READ, 0, 20.0, None, drift)
    assert "detector: stale, since <bdi>2026-03-02</bdi>" in overview_html(Overview("2026-03-06", (row,)))


def test_every_dataset_is_there_also_one_without_a_file_or_a_run(watched, read_page):
    watched.file("later")
    watched.night("orphan")
    write_overview(watched, NIGHT)
    text = read_page((watched.project.reports / "index.html").read_text(encoding="utf-8")).text
    assert "later Not run yet" in text
    assert "its dataset file is gone" in text
    assert "sereno run later --date 2026-03-06" in text


def test_a_dataset_file_that_cannot_be_read_is_named_without_the_folders_of_this_machine(watched, read_page):
    watched.file("odd", "name: [")
    write_overview(watched, NIGHT)
    text = read_page((watched.project.reports / "index.html").read_text(encoding="utf-8")).text
    assert "odd.yaml: line" in text
    assert str(watched.project.root) not in text


def test_a_dataset_file_that_broke_after_its_run_is_named_beside_the_run(watched):
    watched.night("odd")
    watched.file("odd", "name: [")
    row = overview_of(watched, NIGHT).rows[0]
    assert row.words == "Quiet"
    assert "odd.yaml" in row.notes[0]


def test_the_newest_run_of_a_night_stands(watched):
    watched.night("flows", "failed", rows=RowCounts(), threshold=None)
    watched.night("flows", alerts=3)
    assert states(watched) == [("flows", "alerts")]


def test_a_report_that_is_about_another_end_of_the_night_is_not_mixed_in(watched):
    watched.night("flows", alerts=3)
    watched.night("flows", alerts=4, report=False)
    row = overview_of(watched, NIGHT).rows[0]
    assert (row.alerts, row.worst, row.budget) == (4, None, None)


def test_a_run_that_died_is_failed_though_it_left_no_result(watched):
    run = watched.state.start_run("flows", NIGHT, "run", "f")
    watched.state.finish_run(run.id, "failed", result={"status": "failed", "reason": "its lease ran out"})
    row = overview_of(watched, NIGHT).rows[0]
    assert (row.state, row.notes, row.report) == ("failed", ("its lease ran out", "its dataset file is gone"), None)


def test_a_project_without_datasets_says_how_to_begin(watched, read_page):
    text = read_page(write_overview(watched, NIGHT).read_text(encoding="utf-8")).text
    assert "No datasets" in text
    assert "sereno init" in text


def test_json_has_the_same(watched):
    watched.night("flows", alerts=2)
    told = json.loads(json.dumps(overview_json(overview_of(watched, NIGHT))))
    assert (told["date"], told["need"], told["alerts"]) == ("2026-03-06", 0, 2)
    assert told["datasets"][0]["rows"]["read"] == 100
    assert told["datasets"][0]["worst"]["key"] == "some"


# --- the files ------------------------------------------------------------------------------------------------------


def test_the_index_is_the_newest_night_and_an_older_one_does_not_take_its_place(watched, read_page):
    watched.night("flows")
    watched.night("flows", night=date(2026, 3, 5))
    write_overview(watched, NIGHT)
    write_overview(watched, date(2026, 3, 5))
    index = read_page((watched.project.reports / "index.html").read_text(encoding="utf-8"))
    assert "Friday 6 March 2026" in index.text
    assert {"href": "2026-03-05.html"} in index.all("a")


def test_of_nights_that_end_at_once_none_is_lost(watched):
    names = [f"d{i}" for i in range(6)]
    together = Barrier(len(names))

    def end(name):
        together.wait()
        watched.night(name)
        write_overview(watched, NIGHT)

    threads = [Thread(target=end, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for page in ("index.html", "2026-03-06.html"):
        html = (watched.project.reports / page).read_text(encoding="utf-8")
        assert re.findall(r'href="(d\d)/2026', html) == names
    assert not list(watched.project.reports.glob(".*.part"))


def test_a_row_that_came_while_the_page_was_written_is_added(watched, monkeypatch):
    watched.night("one")
    from tasks import overview

    real, came = overview.replace_file, []

    def late(path, content):
        real(path, content)
        if not came:
            came.append(watched.night("two"))

    monkeypatch.setattr(overview, "replace_file", late)
    page = write_overview(watched, NIGHT)
    assert "two/2026-03-06.html" in page.read_text(encoding="utf-8")


def test_a_page_that_cannot_be_written_is_an_error_for_a_command_and_a_warning_after_a_night(watched, caplog):
    watched.project.reports.write_text("a file", encoding="utf-8")
    with pytest.raises(SerenoError, match="cannot be written"):
        write_overview(watched, NIGHT)
    with caplog.at_level(logging.WARNING, logger="sereno.overview"):
        refresh_overview(watched, NIGHT)
    assert "was not written" in caplog.text


# --- what the data may not do ----------------------------------------------------------------------------------------


HOSTILE = ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "abc\u202egnp.exe", "x" * 10_000, "a\x00b"]


@pytest.mark.parametrize("text", HOSTILE, ids=[ascii(text[:10]) for text in HOSTILE])
def test_hostile_values_stay_text(text, a_report, read_page):
    alert = a_report(text=text).alerts[0]
    drift = a_report(text=text).drift
    row = OverviewRow(text, "failed", text, (text,), READ, 3, 2.0, alert, drift, text, 1, 1, 2.0)
    html = overview_html(Overview("2026-03-06", (row,)))
    page = read_page(html)
    assert not {"script", "img"} & {tag for tag, _ in page.tags}
    assert not re.search("[\x00-\x08\u202a-\u202e]", html)
    assert len(html) < 50_000
    if text.startswith("<script"):
        assert text in page.text


def test_the_page_stays_small_however_many_datasets_there_are(a_report, read_page):
    text = "&'\"<\u202e" * 3_000
    alert = a_report(text=text).alerts[0]
    rows = tuple(
        OverviewRow(f"d{i}", "failed", "Failed", (text,), READ, 3, 2.0, alert, None, text) for i in range(3_000)
    )
    html = overview_html(Overview("2026-03-06", rows))
    assert len(html.encode("utf-8")) < MOST_BYTES
    assert "more datasets" in read_page(html).text


def test_a_model_outcome_without_a_champion_has_a_dash(watched, read_page):
    watched.night("flows", model=ModelOutcome())
    assert overview_of(watched, NIGHT).rows[0].champion is None


def test_the_folder_is_made_where_it_is_missing(watched):
    watched.file("later")
    page = write_overview(watched, NIGHT)
    assert page == Path(watched.project.reports) / "2026-03-06.html"
    assert sorted(path.name for path in page.parent.iterdir()) == ["2026-03-06.html", "index.html"]
