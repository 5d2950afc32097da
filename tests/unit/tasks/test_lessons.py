from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from infra.runtime.run_row import Run
from tasks.lessons import lessons_of

MOMENT = datetime(2026, 9, 1, tzinfo=UTC)


def night(at, alerts, above_usual=0.5, **result):
    """A run of the night so many days after the first."""
    day = date(2026, 9, 1) + timedelta(days=at)
    found = {"threshold": 3.0, "alerts": alerts, "above_usual": above_usual, **result}
    return Run(
        seq=at,
        id=f"run-{at}",
        dataset="flows",
        night=day,
        kind="run",
        status="done",
        fingerprint="",
        protocol=5,
        started_at=MOMENT,
        ended_at=MOMENT,
        holder="",
        lease_expires_at=MOMENT,
        result=found,
        versions={},
        counters={},
        sample_version=None,
        accepted_by=None,
    )


QUIET = tuple(night(at, alerts) for at, alerts in enumerate((20, 14, 26, 22, 17, 28)))


@pytest.fixture
def dataset(make_dataset):
    return make_dataset(detector={"alert_budget": 20})


def test_nights_within_what_chance_makes_of_the_budget_all_teach(dataset):
    found = lessons_of(dataset, QUIET, {})
    assert found.taught == QUIET
    assert found.in_words == ""


def test_a_night_of_many_alerts_waits_and_is_named(dataset):
    busy = night(6, 60), night(7, 71)
    found = lessons_of(dataset, (*QUIET, *busy), {})
    assert found.taught == QUIET
    assert [(run, alerts) for run, alerts in found.waiting] == [(busy[0], 60), (busy[1], 71)]
    assert "2 nights do not teach" in found.in_words
    assert "2026-09-07 (60 alerts), 2026-09-08 (71 alerts)" in found.in_words


def test_what_people_judged_or_let_in_teaches(dataset):
    busy = night(6, 60)
    assert busy in lessons_of(dataset, (*QUIET, busy), {date(2026, 9, 7): 40}).taught
    assert busy not in lessons_of(dataset, (*QUIET, busy), {date(2026, 9, 7): 10}).taught
    suppressed = night(6, 60, suppressed=45)
    assert suppressed in lessons_of(dataset, (*QUIET, suppressed), {}).taught
    accepted = replace(busy, accepted_by={"who": "ops"})
    assert accepted in lessons_of(dataset, (*QUIET, accepted), {}).taught


def test_a_night_all_of_whose_rows_moved_teaches(dataset):
    moved = night(6, 400, above_usual=0.81)
    assert moved in lessons_of(dataset, (*QUIET, moved), {}).taught
    of_before = night(6, 400, above_usual=None)
    assert of_before in lessons_of(dataset, (*QUIET, of_before), {}).taught


def test_when_such_nights_are_the_usual_ones_they_teach(dataset):
    busy = tuple(night(6 + at, 60) for at in range(7))
    found = lessons_of(dataset, (*QUIET, *busy), {})
    assert found.taught == (*QUIET, *busy)
    assert found.usual == 60


def test_a_few_nights_are_never_fewer(dataset):
    window = (night(0, 20), night(1, 90), night(2, 20))
    assert lessons_of(dataset, window, {}).taught == window


def test_nights_that_were_not_scored_teach(dataset):
    unscored = tuple(night(at, 0, threshold=None) for at in range(6, 20))
    busy = night(20, 60)
    found = lessons_of(dataset, (*QUIET, *unscored, busy), {})
    assert found.taught == (*QUIET, *unscored)


def test_a_dataset_file_may_say_that_all_teach(make_dataset):
    window = (*QUIET, night(6, 600))
    found = lessons_of(make_dataset(detector={"alert_budget": 20, "unusual_nights": "teach"}), window, {})
    assert found.taught == window
