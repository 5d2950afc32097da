"""What a whole batch must meet, as it stands in a dataset file.

Each rule has a policy: `warn` writes the failure into the report, `block` holds the whole night.
`schemas.expectations` compiles these to a Great Expectations suite.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from schemas.detector import Frozen

Policy = Literal["warn", "block"]
Band = tuple[float, float]


class _Rule(Frozen):
    policy: Policy = Field("warn", description="`warn` reports a failure, `block` holds the night.")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        between = getattr(self, "between", None)
        if between is not None and between[0] > between[1]:
            raise ValueError(f"between: {between[0]:g} is above {between[1]:g}")
        return self


class Volume(_Rule):
    """Rows read, as a multiple of the usual number (median of the last nights, or `usual` while there are few)."""

    expect: Literal["volume"]
    usual: int = Field(ge=1, description="Usual number of rows, until nights have been recorded.")
    between: Band = Field((0.5, 2.0), description="Smallest and largest allowed multiple of the usual number.")


class Nulls(_Rule):
    """Share of missing values in a column."""

    expect: Literal["nulls"]
    column: str = Field(description="Column of the contract.")
    at_most: float = Field(ge=0, le=1, description="Largest allowed share of missing values.")


class Median(_Rule):
    """The middle value of a column: moves when a unit or a sensor changes, not when a few rows are odd."""

    expect: Literal["median"]
    column: str = Field(description="Column of the contract.")
    between: Band = Field(description="Smallest and largest allowed median.")


class KnownValues(_Rule):
    """Share of rows whose category is among the contract's `values`."""

    expect: Literal["known_values"]
    column: str = Field(description="Column of the contract.")
    at_least: float = Field(gt=0, le=1, description="Smallest allowed share of known values.")


class Freshness(_Rule):
    """Share of rows whose event time lies within the logical date (in the dataset's time zone)."""

    expect: Literal["freshness"]
    column: str = Field(description="A time column of the contract.")
    at_least: float = Field(0.5, gt=0, le=1, description="Smallest allowed share of rows of this date.")
    slack_hours: float = Field(0.0, ge=0, description="Hours before and after the date that still count.")


class Core(_Rule):
    """Any expectation of Great Expectations' core, by its name; never one that is code of somebody's own."""

    expect: Literal["core"]
    expectation: str = Field(
        pattern=r"^expect_[a-z_]+$", description="Its registered name, e.g. expect_column_mean_to_be_between."
    )
    arguments: dict[str, Any] = Field(default_factory=dict, description="Its arguments.")


Expectation = Annotated[Volume | Nulls | Median | KnownValues | Freshness | Core, Field(discriminator="expect")]
