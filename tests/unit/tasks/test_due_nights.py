"""Each night is due once, at its time on the wall clock of its zone, whatever that clock does."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.schedule import ScheduleSettings
from tasks.due_nights import blackout_ends, due_between, next_due

BERLIN = {"timezone": "Europe/Berlin"}
NIGHTLY = ScheduleSettings(**BERLIN, at="02:30")


def at(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)


def test_a_night_is_yesterday_unless_told_otherwise():
    (due,) = due_between(NIGHTLY, date(2026, 9, 20), at(2026, 9, 21, 1))
    assert due.night == date(2026, 9, 20)
    assert due.due_at == at(2026, 9, 21, 0, 30)
    assert due.deadline == due.due_at + timedelta(hours=6)
    (same_day,) = due_between(ScheduleSettings(**BERLIN, at="23:50", night=0), date(2026, 9, 20), at(2026, 9, 20, 22))
    assert same_day.night == date(2026, 9, 20)


@pytest.mark.parametrize(
    ("night", "due_at"),
    [
        (date(2026, 3, 27), at(2026, 3, 28, 1, 30)),
        (date(2026, 3, 28), at(2026, 3, 29, 1, 30)),  # 02:30 is skipped; the clocks say 03:30
        (date(2026, 3, 29), at(2026, 3, 30, 0, 30)),
        (date(2026, 10, 24), at(2026, 10, 25, 0, 30)),  # 02:30 comes twice
        (date(2026, 10, 25), at(2026, 10, 26, 1, 30)),
    ],
    ids=str,
)
@pytest.mark.parametrize("form", [{"at": "02:30"}, {"cron": "30 2 * * *"}], ids=["at", "cron"])
def test_a_time_that_the_clocks_skip_or_repeat_is_one_moment(form, night, due_at):
    first, *_ = due_between(ScheduleSettings(**BERLIN, **form), night, at(2026, 11, 30))
    assert (first.night, first.due_at) == (night, due_at)


@given(
    zone=st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "UTC"]),
    minute=st.integers(0, 1439),
    cron=st.booleans(),
    year=st.integers(2010, 2030),
)
def test_over_a_year_no_night_is_lost_or_doubled(zone, minute, cron, year):
    hour, minute = divmod(minute, 60)
    form = {"cron": f"{minute} {hour} * * *"} if cron else {"at": f"{hour:02d}:{minute:02d}"}
    schedule = ScheduleSettings(timezone=zone, **form)
    found = list(due_between(schedule, date(year, 1, 1), at(year + 1, 1, 5)))
    nights = [due.night for due in found]
    assert nights == [date(year, 1, 1) + timedelta(days=day) for day in range(len(nights))]
    assert len(nights) >= 365
    # Samoa left out a whole day in 2011: both nights are due when it is over.
    assert all(earlier.due_at <= later.due_at for earlier, later in pairwise(found))


def test_of_several_times_a_day_the_first_counts():
    found = list(
        due_between(ScheduleSettings(**BERLIN, cron="*/15 4-6 * * mon,thu"), date(2026, 9, 1), at(2026, 9, 12))
    )
    assert [due.due_at for due in found] == [
        at(2026, 9, 3, 2), at(2026, 9, 7, 2), at(2026, 9, 10, 2)
    ]  # fmt: skip
    assert [due.night.isoformat() for due in found] == ["2026-09-02", "2026-09-06", "2026-09-09"]


def test_every_third_day_does_not_depend_on_where_one_begins():
    schedule = ScheduleSettings(**BERLIN, at="01:00", every_days=3)
    whole = [due.night for due in due_between(schedule, date(2026, 9, 1), at(2026, 10, 1))]
    assert {(later - earlier).days for earlier, later in pairwise(whole)} == {3}
    assert [due.night for due in due_between(schedule, whole[3], at(2026, 10, 1))] == whole[3:]


def test_what_arrives_late_is_due_later():
    schedule = ScheduleSettings(**BERLIN, at="02:30", delay="1d6h", deadline="90m")
    (due,) = due_between(schedule, date(2026, 9, 20), at(2026, 9, 22, 7))
    assert due.due_at == at(2026, 9, 22, 6, 30)
    assert due.deadline == at(2026, 9, 22, 8)


@pytest.mark.parametrize("form", [{"at": "02:30", "delay": "3d"}, {"cron": "0 5 1 * *"}, {"at": "00:00"}], ids=str)
def test_the_next_night_is_the_first_that_is_not_due_yet(form):
    schedule = ScheduleSettings(**BERLIN, **form)
    now = at(2026, 9, 20, 12)
    coming = next_due(schedule, now)
    assert coming is not None
    assert coming.due_at > now
    assert coming.night not in {due.night for due in due_between(schedule, date(2026, 1, 1), now)}
    assert coming in list(due_between(schedule, date(2026, 1, 1), coming.due_at))


@pytest.mark.parametrize(
    ("now", "ends"),
    [
        (at(2026, 9, 21, 3), None),
        (at(2026, 9, 21, 20), at(2026, 9, 22, 4)),  # Monday 22:00 to Tuesday 06:00
        (at(2026, 9, 22, 3, 59), at(2026, 9, 22, 4)),
        (at(2026, 9, 22, 4), None),
        (at(2026, 9, 22, 21), None),  # Tuesday has none
    ],
    ids=str,
)
def test_hours_in_which_nothing_is_started_may_pass_midnight(now, ends):
    schedule = ScheduleSettings(**BERLIN, at="02:30", blackouts=[{"start": "22:00", "end": "06:00", "days": ["mon"]}])
    assert blackout_ends(schedule, now) == ends


def test_without_times_no_night_is_due_by_itself():
    schedule = ScheduleSettings(**BERLIN, on_arrival=True)
    assert list(due_between(schedule, date(2026, 1, 1), at(2026, 9, 20))) == []
    assert next_due(schedule, at(2026, 9, 20)) is None
