"""What the doctor finds in dataset files, schedules and runs, and names the mend of."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from infra.runtime.requests import Asked

TODAY = datetime.now(UTC).date()


# --- inputs, zones, budgets -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "files", "words"),
    [
        pytest.param(
            "in/{date:%Y%m%d}.csv",
            ["in/2026-09-01.csv", "in/2026-09-02.csv"],
            "did you mean in/{date:%Y-%m-%d}.csv?",
            id="form of the date",
        ),
        pytest.param("in/flow-{date}.csv", ["in/flows-2026-09-01.csv"], "did you mean in/flows-{date:", id="name"),
        pytest.param("inn/{date}.csv", ["in/2026-09-01.csv"], "nearest that exists: in/2026-09-01.csv", id="folder"),
        pytest.param("in/{date}.csv.gz", ["in/2026-09-01.csv"], "nearest that exists: in/2026-09-01.csv", id="suffix"),
        pytest.param("in/{date}.csv", [], "there is no file in", id="nothing"),
    ],
)
def test_a_source_that_leads_to_nothing_names_the_nearest_file(sick, path, files, words):
    shutil.rmtree(sick.project.root / "in")
    (sick.project.root / "in").mkdir()
    sick.arrived(*files)
    sick.dataset(path)
    found = sick.one("input", "wrong")
    assert found.found.startswith(f"no file of any date matches {path}; ")
    assert words in found.found
    assert found.hint == "mend source.path in datasets/flows.yaml"


def test_files_that_stopped_coming_are_noted_and_wrong_where_the_schedule_is_on(sick):
    (sick.project.root / "in" / f"{TODAY}.csv").rename(sick.project.root / "in" / "2026-01-02.csv")
    assert sick.one("input", "note").found == "the newest file is of 2026-01-02: in/2026-01-02.csv"
    with sick.state() as state:
        state.switch("flows", enabled=True, since=TODAY, actor="ana")
    assert sick.one("input", "wrong")


def test_a_source_without_a_date_reads_the_same_rows_each_night(sick):
    sick.arrived("in/all.csv")
    sick.dataset("in/all.csv")
    assert "each night reads the same rows" in sick.one("input", "note").found
    sick.dataset("in/al.csv")
    assert "nearest that exists: in/all.csv" in sick.one("input", "wrong").found


def test_an_address_that_is_not_allowed_is_found(sick):
    sick.dataset("s3://bucket/{date}.csv")
    assert "protocol s3 is not allowed" in sick.one("input", "wrong").found


SCHEDULE = "schedule: {timezone: Europe/Berlin, at: '02:30'}\n"


def test_a_schedule_in_another_zone_than_its_nights_is_found(sick):
    sick.dataset(more=SCHEDULE)
    assert "end in UTC, and its schedule counts days in Europe/Berlin" in sick.one("timezone", "note").found
    written = sick.project.dataset_file("flows").read_text().removesuffix(SCHEDULE)
    text = written.replace("'}", "', date_column: t}")
    text = text.replace("a: {type: number}", "a: {type: number}\n  t: {type: time}")
    sick.project.dataset_file("flows").write_text(text + SCHEDULE)
    assert sick.one("timezone", "wrong")
    sick.project.dataset_file("flows").write_text(text + "timezone: Europe/Berlin\n" + SCHEDULE)
    assert sick.found("timezone") == []


@pytest.mark.parametrize(
    ("detector", "rows", "level", "words"),
    [
        ("{alert_budget: 2000}", 1000, "wrong", "2,000 alerts a night are asked for, of 1,000 rows"),
        ("{alert_budget: 300}", 1000, "note", "300 alerts a night are asked for, of 1,000 rows"),
        ("{alert_budget: 1, window_nights: 2}", 50, "wrong", "2 nights of 50 rows, and a training needs 200 rows"),
        ("{alert_budget: 1, window_nights: 1}", 1000, "note", "1 nights, and drift is judged from"),
    ],
    ids=["budget", "many", "window", "drift"],
)
def test_a_budget_or_a_window_that_does_not_fit_the_rows_is_found(sick, detector, rows, level, words):
    sick.dataset(detector=detector)
    with sick.state() as state:
        run = state.start_run("flows", TODAY, "run", "fp")
        state.finish_run(run.id, "done", versions={"samples": 1}, counters={"rows": rows})
    assert words in sick.one("budget", level).found


# --- runs, schedules, versions --------------------------------------------------------------------------------------

DIES = """
import os, signal, sys
from pathlib import Path
from infra.runtime.project import Project
from infra.runtime.state import State
from infra.runtime.work import session_folder

project = Project(Path(sys.argv[1]))
with State(project.database_url) as state, session_folder(project):
    state.start_run("flows", "2026-09-20", "run", "fp")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_dead_process_left_is_found(sick):
    sick.state().open().close()
    subprocess.run([sys.executable, "-P", "-c", DIES, str(sick.project.root)], check=False)
    assert sick.one("runs", "wrong").found == "flows 2026-09-20"
    assert sick.one("leftovers", "note").found.startswith("1: sessions/")
    orphan = sick.project.lake / "flows" / "scores" / "night=2026-09-19" / "part.parquet"
    orphan.parent.mkdir(parents=True)
    orphan.write_bytes(b"PAR1")
    os.utime(orphan, (1_700_000_000, 1_700_000_000))
    (sick.project.state / "mlflow.db.lock").write_text("making")
    found = {finding.what: finding.level for finding in sick.found("leftovers")}
    assert found == {"scratch of dead processes": "note", "lock of MLflow": "note"}, "without a log nothing can be said"


def test_a_schedule_that_is_off_is_noted(sick):
    sick.dataset(more=SCHEDULE)
    sick.state().open().close()
    assert sick.one("schedule", "note").hint == "sereno schedule enable flows"


def test_a_schedule_that_is_on_without_a_file_or_a_schedule_is_found(sick):
    with sick.state() as state:
        state.switch("flows", enabled=True, since=TODAY, actor="ana")
        state.switch("lost", enabled=True, since=TODAY, actor="ana")
    found = {finding.what: finding.found for finding in sick.found("schedule")}
    assert found == {
        "schedule of flows": "it is on, and its dataset file has no `schedule`",
        "schedule of lost": "it is on, and its dataset file is gone",
    }


def test_a_night_that_nobody_asked_for_says_that_no_service_is_up(sick):
    sick.dataset(more="schedule: {timezone: UTC, at: '00:00', night: -1}\n")
    with sick.state() as state:
        state.switch("flows", enabled=True, since=TODAY - timedelta(days=10), actor="ana")
    found = sick.one("schedule", "wrong")
    assert "and nobody asked for it" in found.found
    assert found.hint == "no service is up: sereno up"
    with sick.state() as state:
        for days in range(3):
            state.ask(Asked("flows", "nightly", "schedule", "sereno", TODAY - timedelta(days=days)))
    assert [one.what for one in sick.found("schedule") if "nobody asked" in one.found] == []


def test_requests_that_nobody_takes_are_found(sick):
    long_ago = datetime.now(UTC) - timedelta(hours=2)
    with sick.state() as state:
        state.ask(Asked("flows", "nightly", "command", "ana", TODAY, due_at=long_ago))
    assert sick.one("schedule", "wrong").found == f"1 wait, and nobody takes them: flows {TODAY}"


def test_a_champion_about_whom_ledger_and_registry_disagree_is_found(sick, empty_store):
    from models.registry import Registry

    with sick.state() as state:
        state.record("flows", "1", "1" * 64, "promoted", reason="good", actor="run")
    shutil.copy(empty_store, sick.project.state / "mlflow.db")
    assert Registry(sick.project.mlflow_uri, sick.project.artifacts).champion("flows") is None
    found = {finding.found for finding in sick.found("champion")}
    assert "the ledger says version 1, and MLflow's alias points at none" in found
    assert "The detector of flows has no version 1." in found


def test_a_state_database_that_cannot_be_opened_is_found(sick):
    sick.project.create_state()
    (sick.project.state / "state.db").write_bytes(b"no database at all" * 100)
    (found,) = [finding for finding in sick.findings() if not finding.ok]
    assert found.what == "state database"
