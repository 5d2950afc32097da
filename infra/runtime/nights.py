"""A night is a logical date; every store is keyed by it."""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import TypeAlias

from schemas.errors import UsageError

Night: TypeAlias = date | str

_ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


def as_night(value: Night) -> date:
    """Return a logical date as a `date`.

    Args:
        value: A date, or the text ``YYYY-MM-DD``.

    Raises:
        UsageError: The text is no such date.
    """
    if isinstance(value, datetime):
        return value.date()
    if isinstance(value, date):
        return value
    # fromisoformat alone also takes 20260901 and 2026-W36-2, which would give one night several names.
    if _ISO_DATE.fullmatch(value):
        try:
            return date.fromisoformat(value)
        except ValueError:
            pass
    raise UsageError(f"{value!r} is not a date.", hint="Write the date as YYYY-MM-DD, for example 2026-09-20.")
