"""What retention took away is told where it is asked for, and comes back with a new run."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from schemas.errors import UsageError
from tasks.gone import parted, refuse_gone
from tasks.retention import vacuum


def test_a_night_that_is_gone_is_told_with_its_day_and_stays_done(year):
    vacuum(year.services(scores=15, samples=15))
    today = datetime.now(UTC).date()
    with pytest.raises(UsageError, match=f"flows {year.days[0]}: its scores are gone by retention on {today}"):
        refuse_gone(year.state, "flows", year.days[0], "accepted", "scores")
    refuse_gone(year.state, "flows", year.days[0], "accepted")
    refuse_gone(year.state, "flows", year.days[19], "scores")
    assert year.state.find_done("flows", year.days[0], f"fp {year.days[0]}") is not None
    assert len(year.state.history("flows", table="scores", gone=True)) == year.done
    assert len(year.state.history("flows", table="scores")) == 15


def test_a_window_says_what_of_it_is_gone(year):
    vacuum(year.services(samples=15))
    window = year.state.history("flows", year.days[8], 6, table="samples", gone=True)[::-1]
    there, said = parted(window)
    assert [run.night for run in there] == list(year.days[5:8])
    assert said.startswith(
        f"samples of 3 nights of the window ({year.days[2]} to {year.days[4]}) are gone by retention on "
    )
    assert parted(there) == (there, "")


def test_a_training_on_nights_that_are_gone_is_told_so(year):
    from schemas.dataset import load_dataset
    from tasks.training import training_window, window_samples

    services, dataset = year.services(samples=15), load_dataset(year.project.dataset_file("flows"))
    vacuum(services)
    with pytest.raises(UsageError, match=f"flows {year.days[4]}: its sample is gone by retention on"):
        training_window(services, dataset, year.days[1], year.days[4])
    with pytest.raises(UsageError, match="no validated nights from"):
        training_window(services, dataset, year.days[30], None)
    assert [run.night for run in training_window(services, dataset, year.days[3], year.days[6])] == [
        year.days[5],
        year.days[6],
    ]
    gone = year.state.history("flows", year.days[3], 3, table="samples", gone=True)
    assert window_samples(services, dataset, gone) == []


def test_a_night_that_is_done_again_is_there_again(year):
    services = year.services(accepted=15)
    vacuum(services)
    year.do(year.days[0])
    assert year.state.gone("flows", year.days[0]) == {}
    assert str(year.days[0]) in year.read("accepted")
    assert year.going(vacuum(services)) == {"accepted": (year.days[0],)}


def test_older_runs_of_a_night_do_not_come_back(year):
    year.do(year.days[0])
    vacuum(year.services(scores=15))
    assert year.days[0] not in year.state.pins("flows", "scores")


def test_each_thing_is_in_the_record_of_events(year):
    vacuum(year.services(scores=15, reports=19))
    said = {event.detail["what"]: event for event in year.state.events("flows", kinds=["vacuumed"])}
    assert said["scores"].text.startswith(
        f"flows scores of 5 nights, {year.days[0]} to {year.days[4]} taken away by retention"
    )
    assert said["scores"].detail["bytes"] > 0
    assert said["reports"].night == year.days[0]
    assert said["scores"].actor
