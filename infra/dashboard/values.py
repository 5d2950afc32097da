"""What may stand in a path, a query or a body: the same words in the check and in the description of the API."""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Annotated, Any

from fastapi import Path, Query
from pydantic import BeforeValidator, Field, WithJsonSchema

NIGHT = r"^[12][0-9]{3}-[0-9]{2}-[0-9]{2}$"
MOMENT = r"^[12][0-9]{3}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?(Z|[+-][0-9]{2}:[0-9]{2})$"
DATASET = r"^[a-z][a-z0-9_-]{0,63}$"
CALLER_NAME = r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$"
RUN_ID = r"^[0-9]{8}T[0-9]{6}-[0-9a-f]{8}$"
VERSION = r"^[1-9][0-9]{0,8}$"
# PostgreSQL has no place for NUL in a text.
TEXT = r"^[^\u0000]*$"
LARGEST_ID = 2_147_483_647
LARGEST_SEED = 4_294_967_295


def _as_night(value: Any) -> date:
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    if not isinstance(value, str) or not re.fullmatch(NIGHT, value):
        raise ValueError("write the date as YYYY-MM-DD, for example 2026-09-20")
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise ValueError(f"{value} is not in the calendar") from None


def _as_moment(value: Any) -> datetime:
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str) or not re.fullmatch(MOMENT, value):
        raise ValueError("write the moment with its offset from UTC, for example 2026-09-20T02:00:00Z")
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        raise ValueError(f"{value} is no moment of the calendar") from None


def _as_whole(value: Any) -> Any:
    """JSON knows one sort of number: 7.0 is as whole as 7."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


NightDate = Annotated[
    date, BeforeValidator(_as_night), WithJsonSchema({"type": "string", "format": "date", "pattern": NIGHT})
]
Moment = Annotated[
    datetime, BeforeValidator(_as_moment), WithJsonSchema({"type": "string", "format": "date-time", "pattern": MOMENT})
]
Seed = Annotated[int, BeforeValidator(_as_whole), Field(ge=0, le=LARGEST_SEED)]
Name = Annotated[str, Field(pattern=DATASET)]

DatasetPath = Annotated[str, Path(pattern=DATASET, description="The dataset's name.")]
NightPath = Annotated[NightDate, Path(description="The night's logical date.")]
IncidentPath = Annotated[int, Path(ge=1, le=LARGEST_ID, description="The incident's number.")]
RequestPath = Annotated[int, Path(ge=1, le=LARGEST_ID, description="The request's number.")]
Limit = Annotated[int, Query(ge=1, le=500, description="At most so many.")]
