"""A dataset's schedule: on which nights, at what time of which zone, and what it waits for."""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta
from typing import Annotated, Any, Literal, Self, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, PositiveInt, model_validator

from schemas.detector import Frozen
from schemas.yaml_source import nearest

Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
WEEKDAYS: tuple[Weekday, ...] = get_args(Weekday)

_LENGTH = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")
_LENGTH_FORM = "a length of time such as 90m, 6h or 1d12h"


def read_length(value: Any) -> timedelta:
    """Read a length of time as a settings file writes it.

    Raises:
        ValueError: It is none.
    """
    if isinstance(value, timedelta):
        return value
    found = _LENGTH.fullmatch(str(value).replace(" ", ""))
    if found is None or not any(found.groups()):
        raise ValueError(f"{value!r} is not {_LENGTH_FORM}")
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)


def written_length(length: timedelta) -> str:
    """Write a length of time as a dataset file does: `1d12h`."""
    minutes, seconds = divmod(int(length.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [
        f"{number}{unit}" for number, unit in ((days, "d"), (hours, "h"), (minutes, "m"), (seconds, "s")) if number
    ]
    return "".join(parts) or "0s"


Length = Annotated[timedelta, BeforeValidator(read_length), PlainSerializer(written_length)]


def read_clock(value: Any) -> time:
    """Read a time of day as a settings file writes it.

    Raises:
        ValueError: It is none.
    """
    if isinstance(value, time):
        return value
    # YAML 1.1 reads a bare 02:30 as the number 150, to the base of sixty.
    text = f"{value // 60:02d}:{value % 60:02d}" if isinstance(value, int) and 0 <= value < 1440 else str(value)
    try:
        return time.fromisoformat(text if text[1:2] != ":" else f"0{text}")
    except ValueError:
        raise ValueError(f"{value!r} is not a time of day; write it as '02:30'") from None


def written_clock(at: time) -> str:
    """Write a time of day as a settings file does: `02:30`."""
    return at.strftime("%H:%M")


ClockTime = Annotated[time, BeforeValidator(read_clock), PlainSerializer(written_clock)]


def known_timezone(name: str) -> str:
    """Return the name of an IANA time zone.

    Raises:
        ValueError: It is none.
    """
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"timezone `{name}` is not known{nearest(name, available_timezones())}") from None
    return name


def _cron(text: str) -> str:
    from cronsim import CronSim, CronSimError

    try:
        next(CronSim(text, datetime.combine(date.min.replace(year=2000), time())))
    except (CronSimError, StopIteration):
        raise ValueError(
            f"{text!r} is not a cron line: minute, hour, day, month, weekday; for example '30 2 * * *'"
        ) from None
    return text


class Blackout(Frozen):
    """Hours in which nothing of the dataset is started; what is due then waits for their end."""

    start: ClockTime = Field(description="First moment, as '06:00', in the schedule's time zone.")
    end: ClockTime = Field(description="The moment after the last; before `start` where it lies on the next day.")
    days: tuple[Weekday, ...] = Field(WEEKDAYS, description="The weekdays on which they begin.")

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        if self.start == self.end:
            raise ValueError("`start` and `end` are the same moment")
        if not self.days:
            raise ValueError("`days` is empty")
        return self


class ScheduleSettings(Frozen):
    """When the nights of a dataset are done by themselves; off until `sereno schedule enable NAME`.

    A night is done once, whatever the clock does: a time that a change of the clocks skips is taken at the first moment
    after it, one that comes twice at its first.
    """

    timezone: Annotated[str, AfterValidator(known_timezone)] = Field(
        description="IANA time zone of all times here, for example Europe/Berlin."
    )
    cron: Annotated[str, AfterValidator(_cron)] | None = Field(
        None, description="Minute, hour, day, month, weekday: '30 2 * * *'. On each day its first time counts."
    )
    at: ClockTime | None = Field(None, description="Instead of `cron`: a time of day, as '02:30'.")
    every_days: PositiveInt = Field(1, description="With `at`: each day, or each second, third, ... day.")
    night: int = Field(
        -1, ge=-366, le=0, description="The logical date, as days from the day on which it is done: -1 is yesterday."
    )
    delay: Length = Field(
        timedelta(0), description="So much later than that time the data are complete: 90m, 6h, 1d12h."
    )
    wait: bool = Field(
        True, description="Whether a night waits for its files until the deadline; else it is `missing` at once."
    )
    settle: Length = Field(
        timedelta(seconds=60), description="Files count as arrived once they have not changed for so long."
    )
    deadline: Length = Field(
        timedelta(hours=6), description="So long after it is due there must be a report, or somebody is told."
    )
    catch_up: int = Field(
        14, ge=0, description="At most so many missed nights are done afterwards, the newest, in their order."
    )
    attempts: PositiveInt = Field(3, description="How often a night is begun whose run died.")
    train: bool = Field(True, description="Whether scheduled nights train a challenger.")
    on_arrival: bool = Field(
        False, description="Whether a night is also done as soon as its files have arrived, without any time."
    )
    changed: Literal["tell", "run"] = Field(
        "tell", description="When files of a night change after it was done: say so, or also do it again."
    )
    blackouts: tuple[Blackout, ...] = Field((), description="Hours in which nothing is started.")

    @model_validator(mode="after")
    def _one_time(self) -> Self:
        if self.cron is not None and self.at is not None:
            raise ValueError("give either `cron` or `at`")
        if not self.has_times and not self.on_arrival:
            raise ValueError("give `cron` or `at`, or `on_arrival: true`")
        if self.cron is not None and self.every_days != 1:
            raise ValueError("`every_days` goes with `at`")
        return self

    @property
    def has_times(self) -> bool:
        """Whether nights are due at times, and not only when their files arrive."""
        return self.cron is not None or self.at is not None

    @property
    def zone(self) -> ZoneInfo:
        """The time zone."""
        return ZoneInfo(self.timezone)
