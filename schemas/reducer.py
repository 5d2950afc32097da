"""The second stage's part of a dataset file: what becomes of alerts like those that people called false alarms."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PositiveInt

from schemas.detector import Frozen


def _word(value: Any) -> Any:
    # YAML reads a bare `off` as false.
    return "off" if value is False else value


class ReducerSettings(Frozen):
    """What becomes of alerts that are like those which people called false alarms.

    A second stage learns from the labels of the nights before (`sereno incidents label`). With few labels, or where it
    has no skill on nights that it did not learn from, it does nothing and the report says why.
    """

    policy: Annotated[Literal["off", "rank", "hide"], BeforeValidator(_word)] = Field(
        "rank",
        description="`rank`: such alerts are listed last and marked; `hide`: they stand in a section of their own, and "
        "stay in the scores with `suppressed`; `off`: labels change no alert.",
    )
    least_labels: PositiveInt = Field(
        30, description="So many alerts labelled `false_alarm`, and as many labelled `anomaly`, before it learns."
    )
    keep_p_value: float | None = Field(
        None,
        ge=0.0,
        lt=1.0,
        description="An alert that fewer usual rows than this share score above is always shown; a hundredth of the "
        "alert budget's share where none is given, 0 for no such protection.",
    )
    unjudged: Literal["hold", "ignore"] = Field(
        "hold",
        description="`hold`: alerts of labelled nights of which nobody said anything keep alerts like them in sight; "
        "`ignore`: they count for nothing.",
    )
