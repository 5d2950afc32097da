"""A night's page is never ahead of the state, whichever moment its run is killed at."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from infra.runtime.lake import Lake
from infra.runtime.project import Project
from infra.runtime.state import State
from schemas.results import NightReport, NightResult, RowCounts
from schemas.settings import Settings
from tasks.night import NightOptions, NightRequest, look_at
from tasks.page_drafts import recover_page, settle_page
from tasks.report import write_report
from tasks.report_template import replace_file
from tasks.services import Services

NIGHT = date(2026, 9, 20)


@pytest.fixture
def services(tmp_path):
    project = Project(tmp_path)
    project.create_state()
    project.datasets.mkdir()
    with State(f"sqlite:///{tmp_path / 'state.db'}") as state:
        yield Services(project, Settings(), Lake(project.lake), state, None)


@pytest.fixture
def begin(services):
    """Begin a run that has written the draft of a page about so many rows."""

    def start(rows, status="done", **changes):
        run = services.state.start_run("flows", NIGHT, "run", "fp")
        counts = RowCounts(read=rows, accepted=rows)
        result = NightResult(dataset="flows", date=NIGHT.isoformat(), status=status, rows=counts, **changes)
        write_report(NightReport(result=result, generated_at=""), services.project.reports / "flows", draft_of=run.id)
        return run, result

    return start


@pytest.fixture
def finish(services):
    def final(run, result, status=None):
        services.state.finish_run(run.id, status or result.status, result=result.model_dump(mode="json"))

    return final


def rows_on_page(services):
    page = services.project.report_file("flows", NIGHT.isoformat(), "json")
    return NightReport.model_validate_json(page.read_bytes()).result.rows.read if page.exists() else None


def hidden(services):
    return [path.name for path in (services.project.reports / "flows").glob(".*")]


def test_a_page_takes_its_place_once_the_run_is_over_and_not_before(services, begin, finish):
    run, result = begin(7)
    assert not settle_page(services, "flows", NIGHT)
    assert rows_on_page(services) is None
    assert len(hidden(services)) == 2
    finish(run, result)
    assert settle_page(services, "flows", NIGHT)
    assert rows_on_page(services) == 7
    assert services.project.report_file("flows", NIGHT.isoformat()).is_file()
    assert hidden(services) == []


def test_a_run_that_was_closed_by_another_leaves_no_page(services, begin, finish):
    run, result = begin(7)
    finish(run, result)
    settle_page(services, "flows", NIGHT)
    lost, _ = begin(8)
    services.state.finish_run(lost.id, "failed", result={"status": "failed", "reason": "its lease ran out"})
    assert not settle_page(services, "flows", NIGHT)
    assert rows_on_page(services) == 7
    assert hidden(services) == []


def test_of_two_runs_that_are_over_the_newer_page_stands(services, begin, finish):
    finish(*begin(7))
    finish(*begin(8))
    settle_page(services, "flows", NIGHT)
    assert rows_on_page(services) == 8
    assert hidden(services) == []


def test_a_failed_run_that_comes_late_does_not_cover_a_later_page(services, begin, finish):
    slept, result = begin(7, "failed")
    finish(slept, result)
    late = [(path, path.read_bytes()) for path in (services.project.reports / "flows").glob(".*")]
    finish(*begin(8))
    settle_page(services, "flows", NIGHT)
    for path, content in late:
        path.write_bytes(content)
    settle_page(services, "flows", NIGHT)
    assert rows_on_page(services) == 8
    assert hidden(services) == []


def test_a_page_that_was_moved_by_half_is_moved_whole(services, begin, finish):
    run, result = begin(7)
    finish(run, result)
    folder = services.project.reports / "flows"
    (folder / f".{NIGHT}.{run.id}.draft.html").replace(folder / f"{NIGHT}.html")
    assert settle_page(services, "flows", NIGHT)
    assert rows_on_page(services) == 7
    assert hidden(services) == []


def test_a_draft_that_was_cut_off_is_removed(services, begin, finish):
    run, result = begin(7)
    finish(run, result)
    draft = services.project.reports / "flows" / f".{NIGHT}.{run.id}.draft.json"
    draft.write_bytes(draft.read_bytes()[:100])
    assert not settle_page(services, "flows", NIGHT)
    assert hidden(services) == []


def test_the_command_that_finds_the_night_done_mends_its_page(services, begin, make_dataset, monkeypatch):
    monkeypatch.setattr("tasks.night.input_hashes", lambda *_: {})
    for module in ("tasks.night", "tasks.done_before"):
        monkeypatch.setattr(f"{module}.fingerprint", lambda *_: "fp")
    run, result = begin(7)
    services.state.finish_run(run.id, "done", result=result.model_dump(mode="json"))
    again = look_at(services, NightRequest(make_dataset(), NIGHT, NightOptions()))
    assert again.status == "skipped"
    assert rows_on_page(services) == 7
    assert hidden(services) == []
    assert (services.project.reports / f"{NIGHT}.html").is_file()


def test_a_page_that_is_gone_is_written_anew_with_what_the_state_keeps(services, begin, finish, make_dataset):
    finish(*begin(7, warnings=("said before",)))
    settle_page(services, "flows", NIGHT)
    for path in (services.project.reports / "flows").iterdir():
        path.unlink()
    recover_page(services, make_dataset(), NIGHT)
    assert rows_on_page(services) == 7
    page = services.project.report_file("flows", NIGHT.isoformat()).read_text(encoding="utf-8")
    assert "said before" in page
    assert "the report was gone" in page


@pytest.mark.parametrize("lost", [f"{NIGHT}.html", "index.html"])
def test_a_page_of_all_datasets_that_lags_is_written_anew(services, begin, finish, make_dataset, lost):
    finish(*begin(7))
    recover_page(services, make_dataset(), NIGHT)
    page = services.project.reports / lost
    page.unlink()
    recover_page(services, make_dataset(), NIGHT)
    os.utime(page, (0, 0))
    recover_page(services, make_dataset(), NIGHT)
    written = page.stat().st_mtime_ns
    assert written > 0
    recover_page(services, make_dataset(), NIGHT)
    assert page.stat().st_mtime_ns == written


def test_a_night_without_a_run_gets_no_page(services, make_dataset):
    recover_page(services, make_dataset(), NIGHT)
    assert not services.project.reports.exists()


def test_what_hinders_is_a_warning_and_the_next_look_mends_it(services, begin, finish, monkeypatch, caplog):
    run, result = begin(7)
    finish(run, result)

    def refuses(*_):
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", refuses)
        assert not settle_page(services, "flows", NIGHT)
    assert "not in its place yet" in caplog.text
    settle_page(services, "flows", NIGHT)
    assert rows_on_page(services) == 7


def test_what_a_killed_writer_of_a_page_left_is_removed_by_the_next(tmp_path):
    code = (
        "import sys; from pathlib import Path; from tasks.report_template import replace_file; "
        "replace_file(Path(sys.argv[1]), b'killed')"
    )
    page = tmp_path / "2026-09-20.html"
    environment = {**os.environ, "SERENO_FAILPOINT": "report.page:before"}
    killed = subprocess.run([sys.executable, "-c", code, str(page)], env=environment, check=False)
    assert killed.returncode == -signal.SIGKILL
    (left,) = tmp_path.iterdir()
    of_another_machine = tmp_path / left.name.replace("~", "x~", 1)
    of_another_machine.touch()
    replace_file(page, b"new")
    assert page.read_bytes() == b"new"
    assert sorted(tmp_path.iterdir()) == sorted([page, of_another_machine])
