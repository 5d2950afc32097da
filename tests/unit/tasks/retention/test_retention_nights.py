"""Retention takes away the nights that are older than the settings keep, and nothing that anybody needs."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from infra.runtime.disk import used
from tasks.retention import plan_vacuum, vacuum
from tasks.retention_plan import beyond


@pytest.mark.parametrize(
    ("kept", "old"),
    [
        pytest.param(None, 0, id="for ever"),
        pytest.param(5, 15, id="the newest five"),
        pytest.param(20, 0, id="as many as there are"),
        pytest.param(timedelta(days=5), 14, id="five days"),
        pytest.param(timedelta(days=400), 0, id="more days than there are"),
    ],
)
def test_a_number_counts_nights_and_a_length_goes_by_the_calendar(kept, old):
    nights = [date(2026, 1, 1) + timedelta(days=position) for position in range(20)]
    assert len(beyond(kept, nights, today=nights[-1])) == old


def test_without_settings_nothing_goes(year):
    assert plan_vacuum(year.services()).going == ()
    assert vacuum(year.services()).going == ()


def test_each_table_goes_by_its_own_rule_and_the_plan_tells_bytes_and_changes_nothing(year):
    services = year.services(accepted=5, scores=15)
    before = used(year.project.root)
    plan = plan_vacuum(services)
    assert year.going(plan) == {
        "accepted": year.days[:15],
        "scores": year.days[:5],
    }
    sizes = sum(path.stat().st_size for position in range(15) for path in year.files("accepted", year.days[position]))
    assert plan.going[0].bytes == sizes > 0
    assert plan.going[0].count == 15
    assert used(year.project.root) == before


def test_what_went_is_gone_from_table_folder_and_pins_in_one_commit_a_table(year):
    services = year.services(accepted=5)
    version = year.lake.version("flows", "accepted")
    done = vacuum(services)
    assert year.going(done) == {"accepted": year.days[:15]}
    assert not done.failures
    assert year.lake.version("flows", "accepted") == version + 1
    assert year.lake.nights("flows", "accepted") == list(year.days[15:20])
    assert [path.name for path in sorted((year.project.lake / "flows" / "accepted").glob("night=*"))] == [
        f"night={year.days[position]}" for position in range(15, 20)
    ]
    assert year.read("accepted") == [str(year.days[position]) for position in range(15, 20)]
    assert len(year.read("scores")) == year.done
    assert not year.state.live()
    assert vacuum(services).going == ()


def test_the_newest_nights_stay_whatever_the_settings_say(year):
    plan = plan_vacuum(year.services(accepted=1, samples=1, scores=1))
    assert len(year.going(plan)["accepted"]) == year.done - 1
    assert year.going(plan)["samples"] == year.days[:13]
    assert year.staying(plan)["samples", "the training window"] == tuple(
        year.days[position] for position in range(13, 19)
    )
    assert len(year.going(plan)["scores"]) == year.done - 14
    assert len(year.staying(plan)["scores", "the newest 14 stay for sereno recalibrate"]) == 13


def test_the_training_window_of_the_dataset_file_stays(year):
    text = year.project.dataset_file("flows").read_text(encoding="utf-8").replace("nights: 3", "nights: 12")
    year.project.dataset_file("flows").write_text(text, encoding="utf-8")
    assert year.going(plan_vacuum(year.services(samples=1)))["samples"] == tuple(
        year.days[position] for position in range(8)
    )
    year.project.dataset_file("flows").write_text("nonsense: [", encoding="utf-8")
    plan = plan_vacuum(year.services(samples=1))
    assert plan.going == ()
    assert "the dataset file cannot be read" in plan.staying[0].why


def test_a_dataset_whose_file_is_gone_is_looked_at_as_well(year):
    year.project.dataset_file("flows").unlink()
    assert len(year.going(vacuum(year.services(accepted=5)))["accepted"]) == 15


def test_only_the_named_dataset_is_looked_at(year):
    for position in range(3):
        year.do(year.days[position], name="other")
    services = year.services(accepted=2)
    assert {one.dataset for one in plan_vacuum(services).going} == {"flows", "other"}
    assert {one.dataset for one in plan_vacuum(services, "other").going} == {"other"}
