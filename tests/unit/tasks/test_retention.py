"""Retention takes away what is old and nothing that anybody needs; state, lake and folders are real."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from infra.runtime.disk import used
from infra.runtime.lake import Lake
from infra.runtime.project import Project
from infra.runtime.state import State
from infra.runtime.work import resume_folder
from models.registry import Registry
from schemas.errors import LockedNight, UsageError
from schemas.settings import load_settings
from tasks.gone import parted, refuse_gone
from tasks.retention import plan_vacuum, vacuum
from tasks.retention_plan import beyond
from tasks.retention_rows import TABLES, UNNAMED_SECONDS, take_nights
from tasks.services import Services

FIRST = date(2026, 1, 1)
NIGHTS = 20
SCHEMA = pa.schema([("key", pa.string())])
DATASET = "name: flows\nsource: {path: in.csv}\ncolumns:\n  a: {type: number}\ndetector: {window_nights: 3}\n"


def night(position):
    return FIRST + timedelta(days=position)


class Watched:
    """A project in which nights are done by writing what a night writes."""

    def __init__(self, root: Path, state: State) -> None:
        self.project, self.state = Project(root), state
        self.lake = Lake(self.project.lake)

    def services(self, **retention):
        lines = ["retention:", *(f"  {name}: {value}" for name, value in retention.items())]
        self.project.settings_file.write_text("\n".join(lines if retention else []), encoding="utf-8")
        settings = load_settings(self.project.root, environ={}).settings
        registry = Registry(self.project.mlflow_uri, self.project.artifacts)
        return Services(self.project.placed(settings), settings, self.lake, self.state, registry)

    def do(self, day, *, tables=TABLES, status="done", result=None, name="flows", page=True):
        run = self.state.start_run(name, day, "run", f"fp {day}")
        versions = {table: self.write(table, day, run.id, name) for table in tables}
        if page:
            for suffix in ("html", "json"):
                path = self.project.report_file(name, day.isoformat(), suffix)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text("x" * 100, encoding="utf-8")
        return self.state.finish_run(
            run.id, status, versions=versions, result={"date": day.isoformat(), **(result or {})}
        )

    def write(self, table, day, run_id=None, name="flows"):
        return self.lake.replace_night(name, table, day, pa.table({"key": [str(day)]}), SCHEMA, run_id=run_id)

    def files(self, table, day, name="flows"):
        return sorted((self.project.lake / name / table / f"night={day}").glob("*.parquet"))

    def read(self, table):
        pins = self.state.pins("flows", table)
        return sorted(self.lake.read("flows", table, pins)["key"].to_pylist())


@pytest.fixture(scope="module")
def done_once(tmp_path_factory):
    """A project with twenty nights; tests copy it."""
    project = Project(tmp_path_factory.mktemp("year"))
    project.datasets.mkdir()
    project.settings_file.touch()
    project.dataset_file("flows").write_text(DATASET, encoding="utf-8")
    project.create_state()
    with State(project.database_url) as state:
        watched = Watched(project.root, state)
        for position in range(NIGHTS):
            watched.do(night(position))
    return project.root


@pytest.fixture
def year(done_once, tmp_path):
    root = Path(shutil.copytree(done_once, tmp_path / "project"))
    with State(Project(root).database_url) as state:
        yield Watched(root, state)


def age(*paths, seconds=2 * UNNAMED_SECONDS):
    for path in paths:
        os.utime(path, (time.time() - seconds,) * 2)


def going(plan):
    return {one.what: one.nights for one in plan.going}


def staying(plan):
    return {(one.what, one.why): one.nights for one in plan.staying}


# --- which nights ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kept", "old"),
    [
        pytest.param(None, 0, id="for ever"),
        pytest.param(5, NIGHTS - 5, id="the newest five"),
        pytest.param(NIGHTS, 0, id="as many as there are"),
        pytest.param(timedelta(days=5), 14, id="five days"),
        pytest.param(timedelta(days=400), 0, id="more days than there are"),
    ],
)
def test_a_number_counts_nights_and_a_length_goes_by_the_calendar(kept, old):
    assert len(beyond(kept, [night(position) for position in range(NIGHTS)], today=night(19))) == old


def test_without_settings_nothing_goes(year):
    assert plan_vacuum(year.services()).going == ()
    assert vacuum(year.services()).going == ()


def test_each_table_goes_by_its_own_rule_and_the_plan_tells_bytes_and_changes_nothing(year):
    services = year.services(accepted=5, scores=15)
    before = used(year.project.root)
    plan = plan_vacuum(services)
    assert going(plan) == {
        "accepted": tuple(night(position) for position in range(15)),
        "scores": tuple(night(position) for position in range(5)),
    }
    sizes = sum(path.stat().st_size for position in range(15) for path in year.files("accepted", night(position)))
    assert plan.going[0].bytes == sizes > 0
    assert plan.going[0].count == 15
    assert used(year.project.root) == before


def test_what_went_is_gone_from_table_folder_and_pins_in_one_commit_a_table(year):
    services = year.services(accepted=5)
    version = year.lake.version("flows", "accepted")
    done = vacuum(services)
    assert going(done) == {"accepted": tuple(night(position) for position in range(15))}
    assert not done.failures
    assert year.lake.version("flows", "accepted") == version + 1
    assert year.lake.nights("flows", "accepted") == [night(position) for position in range(15, 20)]
    assert [path.name for path in sorted((year.project.lake / "flows" / "accepted").glob("night=*"))] == [
        f"night={night(position)}" for position in range(15, 20)
    ]
    assert year.read("accepted") == [str(night(position)) for position in range(15, 20)]
    assert len(year.read("scores")) == NIGHTS
    assert not year.state.live()
    assert vacuum(services).going == ()


def test_the_newest_nights_stay_whatever_the_settings_say(year):
    plan = plan_vacuum(year.services(accepted=1, samples=1, scores=1))
    assert len(going(plan)["accepted"]) == NIGHTS - 1
    assert going(plan)["samples"] == tuple(night(position) for position in range(13))
    assert staying(plan)["samples", "the training window"] == tuple(night(position) for position in range(13, 19))
    assert len(going(plan)["scores"]) == NIGHTS - 14
    assert len(staying(plan)["scores", "the newest 14 stay for sereno recalibrate"]) == 13


def test_the_training_window_of_the_dataset_file_stays(year):
    text = DATASET.replace("window_nights: 3", "window_nights: 12")
    year.project.dataset_file("flows").write_text(text, encoding="utf-8")
    assert going(plan_vacuum(year.services(samples=1)))["samples"] == tuple(night(position) for position in range(8))
    year.project.dataset_file("flows").write_text("nonsense: [", encoding="utf-8")
    plan = plan_vacuum(year.services(samples=1))
    assert plan.going == ()
    assert "the dataset file cannot be read" in plan.staying[0].why


def test_a_dataset_whose_file_is_gone_is_looked_at_as_well(year):
    year.project.dataset_file("flows").unlink()
    assert len(going(vacuum(year.services(accepted=5)))["accepted"]) == 15


def test_only_the_named_dataset_is_looked_at(year):
    for position in range(3):
        year.do(night(position), name="other")
    services = year.services(accepted=2)
    assert {one.dataset for one in plan_vacuum(services).going} == {"flows", "other"}
    assert {one.dataset for one in plan_vacuum(services, "other").going} == {"other"}


# --- who needs what -------------------------------------------------------------------------------------------------


def test_a_night_that_a_run_holds_stays_and_so_does_what_the_run_may_train_on(year):
    run = year.state.start_run("flows", night(6), "run", "again")
    done = vacuum(year.services(accepted=5, samples=5))
    assert staying(done)["accepted", f"run {run.id} (run) holds the night"] == (night(6),)
    assert staying(done)["samples", f"run {run.id} may train on it"] == (night(3), night(4), night(5))
    assert set(going(done)["samples"]) == {night(p) for p in range(13)} - {night(3), night(4), night(5), night(6)}
    year.state.finish_run(run.id, "failed")
    assert going(vacuum(year.services(accepted=5, samples=5)))["samples"] == tuple(night(p) for p in (3, 4, 5, 6))


def test_a_night_whose_run_died_stays_until_it_was_put_right(year, monkeypatch):
    year.state.start_run("flows", night(0), "run", "again", lease_seconds=-1)
    plan = plan_vacuum(year.services(accepted=5))
    assert staying(plan)["accepted", "a stopped run is not put right yet: sereno doctor --repair"] == (night(0),)
    assert night(0) in going(vacuum(year.services(accepted=5)))["accepted"], "vacuum puts it right first"


def test_a_night_that_can_go_on_from_what_it_left_stays(year):
    with resume_folder(year.project, "flows", night(2), "run fp", "run-1"):
        pass
    plan = plan_vacuum(year.services(accepted=5))
    assert staying(plan)["accepted", "the night was stopped, and can go on from what it left"] == (night(2),)
    assert night(2) not in going(plan)["accepted"]


def test_a_run_that_begins_between_plan_and_deed_keeps_its_nights(year):
    services = year.services(samples=5)
    plan = plan_vacuum(services)
    year.state.start_run("flows", night(6), "run", "again")
    done = take_nights(services, "flows", plan.going)
    kept = {night(3), night(4), night(5), night(6)}
    assert set(going(done)["samples"]) == {night(p) for p in range(13)} - kept
    assert year.state.gone_nights("flows", "samples") == {night(p) for p in range(13)} - kept
    assert set(year.state.pins("flows", "samples")) == kept | {night(p) for p in range(13, 20)}
    assert {night_ for one in done.staying for night_ in one.nights} == kept


def test_a_night_that_is_taken_in_the_very_moment_is_left_alone(year, monkeypatch):
    services = year.services(accepted=5)
    plan = plan_vacuum(services)
    monkeypatch.setattr("tasks.retention_rows.busy_nights", lambda *_: {})
    year.state.start_run("flows", night(6), "run", "again")
    done = take_nights(services, "flows", plan.going)
    assert staying(done) == {("accepted", "a run took the night just now"): (night(6),)}
    assert year.files("accepted", night(6))


# --- what is told of it ---------------------------------------------------------------------------------------------


def test_a_night_that_is_gone_is_told_with_its_day_and_stays_done(year):
    vacuum(year.services(scores=15, samples=15))
    today = datetime.now(UTC).date()
    with pytest.raises(UsageError, match=f"flows {night(0)}: its scores are gone by retention on {today}"):
        refuse_gone(year.state, "flows", night(0), "accepted", "scores")
    refuse_gone(year.state, "flows", night(0), "accepted")
    refuse_gone(year.state, "flows", night(19), "scores")
    assert year.state.find_done("flows", night(0), f"fp {night(0)}") is not None
    assert len(year.state.history("flows", table="scores", gone=True)) == NIGHTS
    assert len(year.state.history("flows", table="scores")) == 15


def test_a_window_says_what_of_it_is_gone(year):
    vacuum(year.services(samples=15))
    window = year.state.history("flows", night(8), 6, table="samples", gone=True)[::-1]
    there, said = parted(window)
    assert [run.night for run in there] == [night(5), night(6), night(7)]
    assert said.startswith(f"samples of 3 nights of the window ({night(2)} to {night(4)}) are gone by retention on ")
    assert parted(there) == (there, "")


def test_a_training_on_nights_that_are_gone_is_told_so(year):
    from schemas.dataset import load_dataset
    from tasks.training import training_window, window_samples

    services, dataset = year.services(samples=15), load_dataset(year.project.dataset_file("flows"))
    vacuum(services)
    with pytest.raises(UsageError, match=f"flows {night(4)}: its sample is gone by retention on"):
        training_window(services, dataset, night(1), night(4))
    with pytest.raises(UsageError, match="no validated nights from"):
        training_window(services, dataset, night(30), None)
    assert [run.night for run in training_window(services, dataset, night(3), night(6))] == [night(5), night(6)]
    gone = year.state.history("flows", night(3), 3, table="samples", gone=True)
    assert window_samples(services, dataset, gone) == []


def test_a_night_that_is_done_again_is_there_again(year):
    services = year.services(accepted=15)
    vacuum(services)
    year.do(night(0))
    assert year.state.gone("flows", night(0)) == {}
    assert str(night(0)) in year.read("accepted")
    assert going(vacuum(services)) == {"accepted": (night(0),)}


def test_older_runs_of_a_night_do_not_come_back(year):
    year.do(night(0))
    vacuum(year.services(scores=15))
    assert night(0) not in year.state.pins("flows", "scores")


def test_each_thing_is_in_the_record_of_events(year):
    vacuum(year.services(scores=15, reports=19))
    said = {event.detail["what"]: event for event in year.state.events("flows", kinds=["vacuumed"])}
    assert said["scores"].text.startswith(f"flows scores of 5 nights, {night(0)} to {night(4)} taken away by retention")
    assert said["scores"].detail["bytes"] > 0
    assert said["reports"].night == night(0)
    assert said["scores"].actor


# --- stopped in the middle, and beside others -----------------------------------------------------------------------

VACUUM = """
import sys
from infra.cli.main import main
main(["--project", sys.argv[1], *sys.argv[2:]])
"""


def run_vacuum(root, *arguments, **environ):
    command = [sys.executable, "-P", "-c", VACUUM, str(root), "vacuum", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **environ})


@pytest.mark.parametrize(
    "point",
    ["state.gone:before", "state.gone:after", "lake.delete:before", "lake.delete:after", "lake.remove:before:3"],
)
def test_killed_at_any_moment_the_next_one_ends_it(year, point):
    services = year.services(accepted=5)
    killed = run_vacuum(year.project.root, SERENO_FAILPOINT=point)
    assert killed.returncode == -9, killed.stderr
    # Whatever the state pins can be read, as it was.
    assert year.read("accepted") == sorted(map(str, year.state.pins("flows", "accepted")))
    age(*(path for position in range(15) for path in year.files("accepted", night(position))))
    vacuum(services)
    assert year.lake.nights("flows", "accepted") == [night(position) for position in range(15, 20)]
    assert year.read("accepted") == [str(night(position)) for position in range(15, 20)]
    assert not [path for position in range(15) for path in year.files("accepted", night(position))]
    assert not year.state.live()
    assert not year.state.recent("flows", kinds=["vacuum"])


def test_two_at_once_are_refused(year):
    services = year.services(accepted=5)
    with year.state.sole("vacuum"):
        refused = run_vacuum(year.project.root)
        assert refused.returncode == 6
        assert "Another `sereno vacuum` is at work" in refused.stderr
        with pytest.raises(LockedNight, match="at work"), year.state.sole("vacuum"):
            pass
    assert len(vacuum(services).going) == 1


WORKER = """
import sys
from datetime import date, timedelta
import pyarrow as pa
from infra.runtime.lake import Lake
from infra.runtime.lease import Lease
from infra.runtime.state import State

url, lake, first, nights = sys.argv[1], Lake(sys.argv[2]), date.fromisoformat(sys.argv[3]), int(sys.argv[4])
with State(url) as state:
    for position in range(nights):
        day = first + timedelta(days=position)
        run = state.start_run("flows", day, "run", "fp")
        with Lease(state, run.id):
            window = state.history("flows", day, 3, table="samples", gone=True)
            versions = {}
            for table in ("accepted", "quarantined", "samples", "scores"):
                pins = {other.night: other.versions["samples"] for other in window if "samples" not in other.gone}
                keys = lake.read("flows", "samples", pins)["key"].to_pylist()
                assert sorted(keys) == sorted(map(str, pins)), (day, keys, pins)
                assert len(pins) == 3, (day, pins)
                rows, schema = pa.table({"key": [str(day)]}), pa.schema([("key", pa.string())])
                versions[table] = lake.replace_night("flows", table, day, rows, schema, run_id=run.id)
            state.finish_run(run.id, "done", versions=versions)
        print(day, flush=True)
"""


def test_nights_are_done_in_another_process_while_vacuum_takes_others_away(year):
    """Each of the nights reads its window and commits to the tables that vacuum commits to."""
    services = year.services(accepted=5, quarantined=5, samples=5, scores=5, reports=5)
    command = [
        sys.executable,
        "-P",
        "-c",
        WORKER,
        year.project.database_url,
        str(year.project.lake),
        str(night(20)),
        "25",
    ]
    taken = 0
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as worker:
        for _ in worker.stdout:
            done = vacuum(services)
            assert not done.failures
            taken += sum(len(one.nights) for one in done.going)
        said = worker.stderr.read()
    assert worker.returncode == 0, said
    last = vacuum(services)
    assert not last.failures
    assert taken > 60
    kept = [str(night(position)) for position in range(40, 45)]
    assert year.read("accepted") == kept
    assert year.lake.nights("flows", "accepted") == [night(position) for position in range(40, 45)]
    assert len(year.read("scores")) == 14
    assert year.read("samples") == [str(night(position)) for position in range(38, 45)]


# --- files that no version names ------------------------------------------------------------------------------------


def test_files_of_earlier_versions_go_once_they_are_a_day_old(year):
    (first,) = year.files("scores", night(3))
    year.do(night(3))
    services = year.services()
    assert vacuum(services).going == ()
    age(first)
    plan = plan_vacuum(services)
    assert [(one.kind, one.what, one.count, one.nights) for one in plan.going] == [
        ("unnamed", "scores, files", 1, (night(3),))
    ]
    assert vacuum(services).going[0].bytes == plan.going[0].bytes > 0
    assert len(year.files("scores", night(3))) == 1
    assert len(year.read("scores")) == NIGHTS


def test_what_the_state_pins_stays_although_the_newest_version_has_other_rows(year):
    """A run that failed after its commit: the rows that count are those of the version before."""
    (counts,) = year.files("scores", night(3))
    year.do(night(3), status="failed")
    age(*year.files("scores", night(3)))
    vacuum(year.services())
    assert counts.exists()
    assert len(year.read("scores")) == NIGHTS


@pytest.mark.parametrize("busy", ["run", "resume", "young"])
def test_files_that_somebody_may_be_about_to_commit_stay(year, busy):
    path = year.files("scores", night(3))[0].with_name("part-new.parquet")
    path.write_bytes(b"PAR1")
    age(path)
    if busy == "run":
        year.state.start_run("flows", night(3), "run", "fp")
    elif busy == "resume":
        with resume_folder(year.project, "flows", night(3), "run fp", "run-1"):
            pass
    else:
        age(path, seconds=UNNAMED_SECONDS / 2)
    vacuum(year.services())
    assert path.exists()


def test_other_files_of_a_tables_folder_are_nobodys_business(year):
    folder = year.project.lake / "flows" / "scores"
    others = [folder / "_delta_log" / "note.parquet", folder / "README.parquet", folder / f"night={night(0)}" / "x.crc"]
    for path in others:
        path.write_bytes(b"x")
    age(*others)
    vacuum(year.services())
    assert all(path.exists() for path in others)


def test_a_file_that_cannot_be_removed_is_told_and_keeps_no_other(year, monkeypatch):
    from infra.runtime import lake_vacuum

    class Denied:
        def __init__(self, store):
            self.store = store

        def get_file_info(self, *args):
            return self.store.get_file_info(*args)

        def delete_file(self, path):
            if str(night(3)) in path:
                raise PermissionError(13, "denied")
            self.store.delete_file(path)

    original = lake_vacuum.store_of
    monkeypatch.setattr(lake_vacuum, "store_of", lambda *args: Denied(original(*args)))
    done = vacuum(year.services(accepted=5))
    assert done.going[0].count == 14
    assert len(done.failures) == 1
    assert str(night(3)) in done.failures[0]


# --- pages, logs, what stopped nights left, rows of the state -------------------------------------------------------


def test_reports_go_with_their_docs_and_the_overviews_of_their_dates(year):
    folder = year.project.reports
    docs = folder / "flows" / f"{night(0)}-data-docs" / "index.html"
    docs.parent.mkdir()
    docs.write_text("x")
    for position in range(NIGHTS):
        (folder / f"{night(position)}.html").write_text("overview")
    (folder / "flows" / "notes.html").write_text("mine")
    done = vacuum(year.services(reports=18))
    assert {one.what for one in done.going} == {"reports", "overviews"}
    assert not docs.exists()
    assert sorted(path.name for path in (folder / "flows").glob("*.html"))[:2] == [
        f"{night(2)}.html",
        f"{night(3)}.html",
    ]
    assert (folder / "flows" / "notes.html").exists()
    assert not (folder / f"{night(1)}.html").exists()
    assert str(night(1)) not in (folder / f"{night(2)}.html").read_text(), "no link to a page that is gone"
    with pytest.raises(UsageError, match="its report is gone by retention"):
        refuse_gone(year.state, "flows", night(0), "report")


def test_a_page_that_is_gone_is_not_written_anew_by_whoever_looks(year):
    from schemas.dataset import load_dataset
    from tasks.page_drafts import recover_page

    services = year.services(reports=18)
    vacuum(services)
    recover_page(services, load_dataset(year.project.dataset_file("flows")), night(0))
    assert not year.project.report_file("flows", str(night(0))).exists()


def test_logs_of_a_certain_age_go_but_not_that_of_a_run_at_work(year):
    year.project.logs.mkdir()
    run = year.state.start_run("flows", night(30), "run", "fp")
    old, young, at_work = (year.project.logs / f"{name}.jsonl" for name in ("old", "young", run.id))
    for path in (old, young, at_work):
        path.write_text("{}\n")
    age(old, at_work, seconds=31 * 86_400)
    done = vacuum(year.services(logs="30d"))
    assert [(one.what, one.count, one.bytes) for one in done.going] == [("logs of runs", 1, 3)]
    assert [path.exists() for path in (old, young, at_work)] == [False, True, True]


def test_what_stopped_nights_left_goes_by_its_setting(year):
    with resume_folder(year.project, "flows", night(30), "run fp", "run-1") as folder:
        (folder / "part.parquet").write_bytes(b"PAR1")
    (folder / ".holder").write_text("nobody")
    age(folder / ".holder", seconds=3 * 86_400)
    assert vacuum(year.services()).going == ()
    services = year.services(resumes="2d")
    assert [one.what for one in plan_vacuum(services).going] == ["what stopped nights left"]
    assert folder.exists()
    vacuum(services)
    assert not folder.exists()


def test_rows_of_runs_that_say_nothing_go_and_those_that_decide_stay(year):
    again = [year.do(night(0), status=status) for status in ("failed", "failed", "done")]
    accepted = year.state.start_run("flows", night(1), "run", "fp")
    year.state.note(accepted.id, accepted_by={"who": "ana"})
    year.state.finish_run(accepted.id, "failed")
    year.do(night(1))
    services = year.services(runs="1d")
    assert plan_vacuum(services).going == (), "they ended just now"
    long_ago(year.state)
    before = {run.id for run in year.state.recent("flows", limit=100)}
    done = vacuum(services)
    assert [(one.what, one.count) for one in done.going] == [("rows of runs", 4)]
    left = {run.id for run in year.state.recent("flows", limit=100)}
    gone = before - left
    assert {again[0].id, again[1].id} < gone
    assert accepted.id in left
    assert len(year.read("scores")) == NIGHTS
    assert all(year.state.find_done("flows", night(p), f"fp {night(p)}") for p in range(NIGHTS))


def long_ago(state):
    from sqlalchemy import update

    from infra.runtime.state_database import writing
    from infra.runtime.state_tables import runs

    with writing(state._engine) as connection:
        connection.execute(update(runs).values(ended_at=datetime.now(UTC) - timedelta(days=400)))
