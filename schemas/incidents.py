"""The incidents' part of a dataset file: which alerts are one incident, how bad it is, when people hear of it."""

from __future__ import annotations

import math
from datetime import date as Date
from datetime import timedelta
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BeforeValidator, Field, NonNegativeInt, PositiveInt, model_validator

from schemas.detector import Frozen
from schemas.schedule import Length

Severity = Literal["low", "medium", "high", "critical"]
SEVERITIES: tuple[Severity, ...] = get_args(Severity)
Standing = Literal["open", "acknowledged", "muted", "over"]
STANDINGS: tuple[Standing, ...] = get_args(Standing)
"""How an incident stands; `over`: quiet for long enough, or closed by a person."""
Why = Literal["new", "worse", "back", "still"]
"""Why people are told of an incident on a night; `back`: it was muted and got worse; `still`: the cooldown passed."""


def _names(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


Names = Annotated[tuple[Annotated[str, Field(min_length=1)], ...], BeforeValidator(_names)]
Value = bool | int | float | str


class AllowRule(Frozen):
    """Alerts that are known about: they are counted, and open no incident.

    All that the rule says must hold of an alert.
    """

    reason: str = Field(min_length=1, description="Why, in words that the report repeats.")
    entity: Names = Field((), description="Machines or hosts, by name; `*` stands for anything: `build-*`.")
    column: Names = Field((), description="The alert's score comes, most of all, from one of these columns.")
    values: dict[str, Value] = Field(default_factory=dict, description="What the row holds: `column: value`.")
    until: Date | None = Field(
        None, description="The last night on which the rule holds; for ever where none is given."
    )

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not (self.entity or self.column or self.values):
            raise ValueError("a rule names an `entity`, a `column` or `values`; else it would allow every alert")
        return self


class SeverityBounds(Frozen):
    """What makes an incident severe: each bound that is passed is a point.

    No point is `low`, one `medium`, two or three `high`, more `critical`.
    """

    far: tuple[float, float] = Field(
        (1.0, 2.0),
        description="The highest score is so far above the threshold; scores are natural logarithms, so 1.0 is 2.7 "
        "times as far from usual.",
    )
    many: tuple[float, float] = Field(
        (1.0, 5.0), description="It has so many times the alerts that a usual night shall have in all."
    )
    lasting: PositiveInt = Field(3, description="It is in its night of this number, or a later one.")

    @model_validator(mode="after")
    def _rising(self) -> Self:
        for name in ("far", "many"):
            low, high = getattr(self, name)
            if not (math.isfinite(low) and math.isfinite(high) and 0 <= low <= high):
                raise ValueError(f"`{name}` takes two numbers, the smaller one first")
        return self


class IncidentSettings(Frozen):
    """Which alerts are one incident, and when people hear of it. Nothing here changes a score."""

    agreement: float = Field(
        0.5,
        gt=0.0,
        le=1.0,
        description="Alerts are of one incident where so much of what made them, column by column, is common.",
    )
    gap: Length = Field(
        timedelta(hours=6), description="Alerts of one entity that lie further apart in time are two incidents: 6h."
    )
    spread: PositiveInt = Field(
        5, ge=2, description="So many entities with the same columns at the same time are one incident together."
    )
    quiet_nights: PositiveInt = Field(
        3, description="An incident is over after so many scored nights without an alert of it."
    )
    cooldown_nights: NonNegativeInt = Field(
        7, description="An incident that goes on and got no worse is not told again for so many scored nights."
    )
    worse_times: float = Field(
        2.0, gt=1.0, allow_inf_nan=False, description="An incident got worse when its alerts are so many times as many."
    )
    worse_least: PositiveInt = Field(3, description="And by so many more; a severity that rises is worse by itself.")
    digest_from: NonNegativeInt = Field(
        4, description="So many incidents to tell of a night become one message; 0: never, 1: always."
    )
    digest_most: PositiveInt = Field(50, description="A message of a night names so many incidents, the worst first.")
    severity: SeverityBounds = Field(default_factory=SeverityBounds, description="What makes an incident severe.")
    allow: tuple[AllowRule, ...] = Field((), description="Alerts that are known about and open no incident.")
