"""A schedule says what is wrong with it, and reads times as people write them."""

from __future__ import annotations

from datetime import time, timedelta
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from schemas.schedule import ScheduleSettings, written_length


def made(**values: Any) -> ScheduleSettings:
    return ScheduleSettings(**{"timezone": "Europe/Berlin", "at": "02:30", **values})


@pytest.mark.parametrize("text", ["at: 02:30", "at: '02:30'", "at: 2:30", "at: 02:30:00"])
def test_a_time_of_day_is_read_with_quotes_or_without(text):
    assert made(**yaml.safe_load(text)).at == time(2, 30)


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("90m", timedelta(minutes=90)),
        ("1d12h", timedelta(hours=36)),
        ("6h", timedelta(hours=6)),
        ("45s", timedelta(seconds=45)),
        ("0s", timedelta(0)),
    ],
)
def test_a_length_of_time_is_read_and_written_again(text, length):
    assert made(delay=text).delay == length
    assert made(delay=written_length(length)).delay == length


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"timezone": "Europe/Berln"}, "is not known"),
        ({"timezone": "../../etc/passwd"}, "is not known"),
        ({"at": "25:00"}, "not a time of day"),
        ({"at": None, "cron": "61 * * * *"}, "not a cron line"),
        ({"at": None, "cron": "0 0 30 2 *"}, "not a cron line"),
        ({"at": None}, "give `cron` or `at`"),
        ({"cron": "0 2 * * *"}, "either `cron` or `at`"),
        ({"delay": "soon"}, "not a length of time"),
        ({"blackouts": [{"start": "06:00", "end": "06:00"}]}, "the same moment"),
        ({"crom": "0 2 * * *"}, "Extra inputs"),
        ({"at": None, "cron": "0 2 * * *", "every_days": 2}, "goes with `at`"),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value),
)
def test_what_is_wrong_is_said(values, said):
    with pytest.raises(ValidationError, match=said):
        made(**values)


def test_the_time_zone_must_be_given():
    with pytest.raises(ValidationError, match="timezone"):
        ScheduleSettings(at="02:30")
