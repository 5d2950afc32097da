"""How long things are kept, before `sereno vacuum` takes them away."""

from __future__ import annotations

from datetime import time, timedelta
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer

from schemas.detector import Frozen
from schemas.schedule import Length, known_timezone, read_clock, read_length, written_clock, written_length

DAY = timedelta(days=1)


def _kept(value: Any) -> Any:
    if isinstance(value, str) and value.strip().isdigit():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        if value < 1:
            raise ValueError("at least 1 is kept; leave the key out to keep all")
        return value
    return _whole_days(read_length(value))


def _whole_days(value: timedelta) -> timedelta:
    if value < DAY or value % DAY:
        raise ValueError("write whole days, such as 90d, or a number of nights")
    return value


def _written(value: int | timedelta) -> int | str:
    return value if isinstance(value, int) else written_length(value)


Kept = Annotated[int | timedelta, BeforeValidator(_kept), PlainSerializer(_written)]
"""The newest so many, or those that are no older than a length of time."""

NEVER = "never"


def _daily(value: Any) -> Any:
    return value if value == NEVER else read_clock(value)


Daily = Annotated[
    Literal["never"] | time,
    BeforeValidator(_daily),
    PlainSerializer(lambda value: value if value == NEVER else written_clock(value)),
]
"""A time of day, or never."""

Days = Annotated[Length, BeforeValidator(lambda value: _whole_days(read_length(value)))]


class RetentionSettings(Frozen):
    """How long things are kept; what is older is taken away once a day by the service, or by `sereno vacuum`.

    Where nothing is given all is kept for ever. A number is so many of the newest nights (or versions); a length such
    as `90d` is by the calendar. Some things stay in any case: docs/retention.md.
    """

    at: Daily = Field(
        time(12),
        description="From this time of day on, as '12:00', the service takes away what is old, as soon as no night is "
        "at work or about to be due; `never`: only `sereno vacuum` does.",
    )
    timezone: Annotated[str, AfterValidator(known_timezone)] = Field(
        "UTC", description="IANA time zone of `at`, for example Europe/Berlin."
    )
    accepted: Kept | None = Field(None, description="Nights of accepted rows.")
    quarantined: Kept | None = Field(None, description="Nights of quarantined rows; then none of them can be released.")
    scores: Kept | None = Field(None, description="Nights of scores.")
    samples: Kept | None = Field(
        None, description="Nights of the samples that train later nights; those of the training window stay."
    )
    reports: Kept | None = Field(None, description="Nights of reports.")
    detectors: Kept | None = Field(
        None, description="Versions of detectors that are neither in use nor named by anything that is kept."
    )
    champions: int = Field(
        5, ge=2, description="So many of the last champions stay whatever `detectors` says, so that one can go back."
    )
    logs: Days | None = Field(None, description="Logs of runs, as 90d.")
    runs: Days | None = Field(
        None,
        description="Rows of runs in the state database that say nothing any more, as 365d: failed, or done again.",
    )
    resumes: Length = Field(timedelta(days=7), description="What stopped nights left, from which they can go on.")
