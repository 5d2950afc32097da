"""Nights that somebody works on, or will, stay however old they are."""

from __future__ import annotations

from infra.runtime.work import resume_folder
from tasks.retention import plan_vacuum, vacuum
from tasks.retention_rows import take_nights


def test_a_night_that_a_run_holds_stays_and_so_does_what_the_run_may_train_on(year):
    run = year.state.start_run("flows", year.days[6], "run", "again")
    done = vacuum(year.services(accepted=5, samples=5))
    assert year.staying(done)["accepted", f"run {run.id} (run) holds the night"] == (year.days[6],)
    assert year.staying(done)["samples", f"run {run.id} may train on it"] == year.days[3:6]
    assert set(year.going(done)["samples"]) == set(year.days[:13]) - set(year.days[3:7])
    year.state.finish_run(run.id, "failed")
    assert year.going(vacuum(year.services(accepted=5, samples=5)))["samples"] == year.days[3:7]


def test_a_night_whose_run_died_stays_until_it_was_put_right(year, monkeypatch):
    year.state.start_run("flows", year.days[0], "run", "again", lease_seconds=-1)
    plan = plan_vacuum(year.services(accepted=5))
    assert year.staying(plan)["accepted", "a stopped run is not put right yet: sereno doctor --repair"] == (
        year.days[0],
    )
    assert year.days[0] in year.going(vacuum(year.services(accepted=5)))["accepted"], "vacuum puts it right first"


def test_a_night_that_can_go_on_from_what_it_left_stays(year):
    with resume_folder(year.project, "flows", year.days[2], "run fp", "run-1"):
        pass
    plan = plan_vacuum(year.services(accepted=5))
    assert year.staying(plan)["accepted", "the night was stopped, and can go on from what it left"] == (year.days[2],)
    assert year.days[2] not in year.going(plan)["accepted"]


def test_a_run_that_begins_between_plan_and_deed_keeps_its_nights(year):
    services = year.services(samples=5)
    plan = plan_vacuum(services)
    year.state.start_run("flows", year.days[6], "run", "again")
    done = take_nights(services, "flows", plan.going)
    kept = set(year.days[3:7])
    assert set(year.going(done)["samples"]) == set(year.days[:13]) - kept
    assert year.state.gone_nights("flows", "samples") == set(year.days[:13]) - kept
    assert set(year.state.pins("flows", "samples")) == kept | set(year.days[13:20])
    assert {night_ for one in done.staying for night_ in one.nights} == kept


def test_a_night_that_is_taken_in_the_very_moment_is_left_alone(year, monkeypatch):
    services = year.services(accepted=5)
    plan = plan_vacuum(services)
    monkeypatch.setattr("tasks.retention_rows.busy_nights", lambda *_: {})
    year.state.start_run("flows", year.days[6], "run", "again")
    done = take_nights(services, "flows", plan.going)
    assert year.staying(done) == {("accepted", "a run took the night just now"): (year.days[6],)}
    assert year.files("accepted", year.days[6])
