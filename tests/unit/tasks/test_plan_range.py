"""What a backfill says before it begins."""

from __future__ import annotations

from datetime import date

import pytest

from infra.runtime.project import Project
from infra.runtime.state import State
from schemas.settings import Settings
from tasks.plan import START_SECONDS
from tasks.plan_range import RangePlan, plan_range

FIRST, LAST = date(2026, 9, 1), date(2026, 9, 10)


@pytest.fixture
def ahead(tmp_path, make_dataset):
    """The plan of ten nights, of which files for `arrived` days are there."""
    dataset = make_dataset()

    def call(arrived, **more):
        for day in arrived:
            place = str(dataset.source.path).format(date=date(2026, 9, day))
            path = tmp_path / place
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"x" * 1_000)
        return plan_range(Project(tmp_path), Settings(), dataset, FIRST, LAST, **more)

    return call


@pytest.fixture
def nights_done(tmp_path, make_dataset):
    """Record nights as done, each with its stages' seconds."""
    name = make_dataset().name

    def call(*days, seconds):
        project = Project(tmp_path)
        project.create_state()
        with State(project.database_url) as state:
            for day in days:
                run = state.start_run(name, date(2026, 9, day), "run", "f")
                state.finish_run(run.id, "done", result={"seconds": seconds}, versions={"scores": 1})

    return call


def test_without_a_night_before_it_is_a_guess_and_leaves_no_trace(ahead, tmp_path):
    plan = ahead(range(1, 8))
    assert (plan.nights, plan.done, plan.without_input, plan.to_do, plan.measured_on) == (10, 0, 3, 7, 0)
    assert plan.seconds > START_SECONDS
    assert "7 to do, about" in plan.line()
    assert "a guess" in plan.line()
    assert not (tmp_path / "state").exists()


def test_nights_that_are_done_count_and_say_how_long_one_takes(ahead, nights_done):
    nights_done(1, 2, 3, seconds={"train": 20.0, "score": 10.0})
    plan = ahead(range(1, 11))
    assert (plan.done, plan.to_do, plan.seconds_a_night, plan.measured_on) == (3, 7, 30.0, 3)
    assert plan.seconds == START_SECONDS + 7 * 30
    assert plan.line() == (
        f"{plan.dataset} 2026-09-01 to 2026-09-10: 10 nights, 3 done; 7 to do, about 4 min "
        "(30 s a night, measured on the last 3)"
    )


def test_force_does_all_of_them_again(ahead, nights_done):
    nights_done(1, 2, seconds={"train": 20.0})
    assert ahead(range(1, 11), force=True).to_do == 10


def test_nothing_to_do_costs_nothing(ahead, nights_done):
    nights_done(*range(1, 11), seconds={"train": 20.0})
    plan = ahead(range(1, 11))
    assert (plan.to_do, plan.seconds) == (0, 0.0)
    assert plan.line().endswith("10 nights, 10 done; 0 to do")


@pytest.mark.parametrize(("seconds", "said"), [(60, "60 s"), (600, "10 min"), (9_000, "2.5 h")])
def test_long_times_are_said_in_larger_units(seconds, said):
    values = {"dataset": "d", "first": "a", "last": "b", "nights": 1, "done": 0, "without_input": 0}
    plan = RangePlan(**values, seconds_a_night=1.0, measured_on=1, seconds=seconds)
    assert f"about {said} (" in plan.line()
