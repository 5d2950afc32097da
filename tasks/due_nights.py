"""Which nights a schedule asks for, and when: by the calendar of its time zone, never by counting hours."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING

from schemas.schedule import WEEKDAYS

if TYPE_CHECKING:
    from schemas.schedule import Blackout, ScheduleSettings

DAY = timedelta(days=1)
ANCHOR = date(2000, 1, 1)
"""A day of each `every_days`: which days are meant must not depend on when the schedule was enabled."""


@dataclass(frozen=True, order=True)
class DueNight:
    """One night that a schedule asks for.

    Args:
        night: The logical date.
        due_at: When its data are complete and it may be done, UTC.
        deadline: Until when there must be a report, UTC.
    """

    night: date
    due_at: datetime
    deadline: datetime


def due_between(schedule: ScheduleSettings, since: date, until: datetime) -> Iterator[DueNight]:
    """Yield the nights that are due by a moment, oldest first; each once; none where they come when files arrive.

    Args:
        schedule: The dataset's.
        since: The first logical date.
        until: The moment, UTC.
    """
    if not schedule.has_times:
        return
    for day in _days(schedule, since - schedule.night * DAY):
        due = _due(schedule, day)
        if due.due_at > until:
            return
        yield due


def next_due(schedule: ScheduleSettings, after: datetime) -> DueNight | None:
    """The first night that is due after a moment; None where they come when files arrive."""
    if not schedule.has_times:
        return None
    local = after.astimezone(schedule.zone).date()
    earliest = local - schedule.delay.days * DAY - 2 * DAY
    return next(due for due in (_due(schedule, day) for day in _days(schedule, earliest)) if due.due_at > after)


def blackout_ends(schedule: ScheduleSettings, now: datetime) -> datetime | None:
    """When the hours in which nothing is started end; None outside of such hours."""
    local = now.astimezone(schedule.zone)
    ends = [
        end
        for blackout in schedule.blackouts
        for day in (local.date() - DAY, local.date())
        if (end := _end(schedule, blackout, day)) > now >= _moment(schedule, day, blackout.start)
        and WEEKDAYS[day.weekday()] in blackout.days
    ]
    return max(ends, default=None)


def _end(schedule: ScheduleSettings, blackout: Blackout, day: date) -> datetime:
    return _moment(schedule, day if blackout.end > blackout.start else day + DAY, blackout.end)


def _days(schedule: ScheduleSettings, first: date) -> Iterator[date]:
    """The calendar days on which the schedule has a time, from one on."""
    day = first
    if schedule.cron is None:
        day += -(day - ANCHOR).days % schedule.every_days * DAY
        while True:
            yield day
            day += schedule.every_days * DAY
    while True:
        day = _first_time(schedule, day).date()
        yield day
        day += DAY


def _due(schedule: ScheduleSettings, day: date) -> DueNight:
    at = schedule.at if schedule.at is not None else _first_time(schedule, day).time()
    due = _moment(schedule, day, at) + schedule.delay
    return DueNight(day + schedule.night * DAY, due, due + schedule.deadline)


def _first_time(schedule: ScheduleSettings, day: date) -> datetime:
    """The first time of the cron line on a day or later, on the zone's wall clock."""
    from cronsim import CronSim

    found: datetime = next(CronSim(str(schedule.cron), datetime.combine(day, time()) - timedelta(seconds=1)))
    return found


def _moment(schedule: ScheduleSettings, day: date, at: time) -> datetime:
    """A time on the wall clock as a moment: its first where it comes twice, the first after it where it is skipped."""
    # The offset from before the change (fold 0) puts a time that is skipped behind the gap (PEP 495).
    return datetime.combine(day, at, schedule.zone).astimezone(UTC)
