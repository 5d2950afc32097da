"""How a detector's threshold comes about: the words of a dataset file's `detector.threshold`.

Each rule comes to a share of a usual night's rows that shall be alerts; the arithmetic is in `models.thresholds`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from schemas.errors import ConfigError

Rare = Annotated[float, Field(gt=0.0, lt=1.0)]


class Rule(BaseModel):
    """Settings do not change after they were read, and know each of their keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class BudgetRule(Rule):
    """So that a usual night raises about `alert_budget` alerts: the threshold rises with the nights' rows."""

    method: Literal["budget"] = Field("budget", description="About `alert_budget` alerts a usual night.")


class QuantileRule(Rule):
    """So that a wished share of usual rows are alerts, however many rows a night has."""

    method: Literal["quantile"] = Field(description="A share of usual rows.")
    share: Rare = Field(description="Alerts over the rows of a usual night.")


class PValueRule(Rule):
    """Exactly where a row's `p_value` is small enough: a usual row is an alert at most that often."""

    method: Literal["p_value"] = Field(description="The conformal p-value.")
    at_most: Rare = Field(description="Largest p-value of an alert.")


class TailRule(Rule):
    """A generalised Pareto tail through the highest calibration scores, followed to a risk (Siffer et al., 2017).

    It reaches beyond what calibration rows can say by themselves: a risk of one in a million from some thousand rows.
    """

    method: Literal["tail"] = Field(description="Peaks over a threshold.")
    risk: Rare = Field(description="Chance that a usual row is an alert.")
    level: float = Field(0.98, ge=0.5, lt=1.0, description="Quantile of the calibration scores where the tail begins.")


ThresholdRule = Annotated[BudgetRule | QuantileRule | PValueRule | TailRule, Field(discriminator="method")]
RULES: TypeAdapter[ThresholdRule] = TypeAdapter(ThresholdRule)
"""Reads a rule of plain values."""

ThresholdMethod = Literal["quantile", "p_value", "tail"]
METHODS: tuple[ThresholdMethod, ...] = get_args(ThresholdMethod)
"""Methods that a share by itself decides."""


def rule_for(method: ThresholdMethod, share: float) -> ThresholdRule:
    """The rule of a method for a share of alerts.

    Raises:
        ConfigError: The share is not above 0 and below 1, or no method is called so.
    """
    if not 0 < share < 1:
        raise ConfigError(f"the share of alerts is {share!r}, and must be above 0 and below 1")
    match method:
        case "quantile":
            return QuantileRule(method=method, share=share)
        case "p_value":
            return PValueRule(method=method, at_most=share)
        case "tail":
            return TailRule(method=method, risk=share)
        case _:
            raise ConfigError(f"no threshold comes about by {method!r}", hint=f"known: {', '.join(METHODS)}")


def wished_share(rule: ThresholdRule, budget: float, rows: float) -> float:
    """Alerts over rows that a rule asks for.

    Args:
        rule: The rule.
        budget: Alerts a night, which count by the rule `budget` alone.
        rows: Rows of a usual night.
    """
    match rule:
        case QuantileRule(share=share):
            return share
        case PValueRule(at_most=share):
            return share
        case TailRule(risk=share):
            return share
        case _:
            return budget / max(rows, 1.0)


def in_words(rule: dict[str, Any]) -> str:
    """A rule as a person says it, of its plain values."""
    match rule:
        case {"method": "quantile", "share": share}:
            return f"by a share of {share:g} of usual rows"
        case {"method": "p_value", "at_most": share}:
            return f"by p-values up to {share:g}"
        case {"method": "tail", "risk": risk}:
            return f"by the tail at a risk of {risk:g}"
        case {"method": "score"}:
            return "by hand"
        case _:
            return "by the alert budget"
