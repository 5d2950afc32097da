"""Logs, what stopped nights left and rows of runs go by settings of their own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from infra.runtime.work import resume_folder
from tasks.retention import plan_vacuum, vacuum


def test_logs_of_a_certain_age_go_but_not_that_of_a_run_at_work(year):
    year.project.logs.mkdir()
    run = year.state.start_run("flows", year.days[30], "run", "fp")
    old, young, at_work = (year.project.logs / f"{name}.jsonl" for name in ("old", "young", run.id))
    for path in (old, young, at_work):
        path.write_text("{}\n")
    year.age(old, at_work, seconds=31 * 86_400)
    done = vacuum(year.services(logs="30d"))
    assert [(one.what, one.count, one.bytes) for one in done.going] == [("logs of runs", 1, 3)]
    assert [path.exists() for path in (old, young, at_work)] == [False, True, True]


def test_what_stopped_nights_left_goes_by_its_setting(year):
    with resume_folder(year.project, "flows", year.days[30], "run fp", "run-1") as folder:
        (folder / "part.parquet").write_bytes(b"PAR1")
    (folder / ".holder").write_text("nobody")
    year.age(folder / ".holder", seconds=3 * 86_400)
    assert vacuum(year.services()).going == ()
    services = year.services(resumes="2d")
    assert [one.what for one in plan_vacuum(services).going] == ["what stopped nights left"]
    assert folder.exists()
    vacuum(services)
    assert not folder.exists()


def test_rows_of_runs_that_say_nothing_go_and_those_that_decide_stay(year):
    again = [year.do(year.days[0], status=status) for status in ("failed", "failed", "done")]
    accepted = year.state.start_run("flows", year.days[1], "run", "fp")
    year.state.note(accepted.id, accepted_by={"who": "ana"})
    year.state.finish_run(accepted.id, "failed")
    year.do(year.days[1])
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
    assert len(year.read("scores")) == year.done
    assert all(year.state.find_done("flows", year.days[p], f"fp {year.days[p]}") for p in range(year.done))


def long_ago(state):
    from sqlalchemy import update

    from infra.runtime.state_database import writing
    from infra.runtime.state_tables import runs

    with writing(state._engine) as connection:
        connection.execute(update(runs).values(ended_at=datetime.now(UTC) - timedelta(days=400)))
