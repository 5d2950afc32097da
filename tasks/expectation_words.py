"""What Great Expectations found, in words that a person reads at night."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import date as Date
from typing import TYPE_CHECKING, Any

from schemas.errors import listed
from schemas.expectation_rules import Core, Expectation, Freshness, KnownValues, Median, Nulls, Volume
from schemas.expectations import Compiled, volume_band
from schemas.results import ExpectationOutcome
from tasks.report_text import MASK

if TYPE_CHECKING:
    from great_expectations.core import ExpectationValidationResult

MAX_TEXT = 300


def outcome(
    rule: Expectation,
    result: ExpectationValidationResult,
    compiled: Compiled,
    usual_rows: int | None,
    rows: int,
    date: Date,
) -> ExpectationOutcome:
    """One rule's outcome.

    Args:
        rule: As it stands in the dataset file.
        result: What Great Expectations found.
        compiled: The rule's compiled form.
        usual_rows: Rows of a usual night, where nights are recorded.
        rows: Accepted rows that were looked at.
        date: The logical date.
    """
    error = _error(result)
    empty = compiled.frame == "accepted" and rows == 0
    success = bool(result.success) and error is None and not empty
    found = {} if error or empty else dict(result.result)
    observed, expected, subject = _words(rule, found, usual_rows, date)
    if empty:
        observed = "no accepted rows"
    elif error:
        observed = f"could not be checked: {error}"
    message = "" if success else _message(rule, subject, observed, expected, checked=not (empty or error))
    return ExpectationOutcome(
        expect=rule.expect,
        column=next(iter(columns_of(rule)), None),
        policy=rule.policy,
        success=success,
        rule=f"{subject}: {expected}",
        observed=observed,
        expected=expected,
        message=message,
    )


def columns_of(rule: Expectation) -> tuple[str, ...]:
    """The columns that a rule is about; of one of the core's, every text among its arguments that may name one."""
    if not isinstance(rule, Core):
        return (rule.column,) if not isinstance(rule, Volume) else ()
    given = [value for name, value in rule.arguments.items() if name.startswith("column")]
    texts = [text for value in given for text in (value if isinstance(value, list) else [value])]
    return tuple(text for text in texts if isinstance(text, str))


def untold(rule: Expectation, found: ExpectationOutcome) -> ExpectationOutcome:
    """The outcome of a rule about a sensitive column: whether it held, and nothing of what was seen or allowed."""
    subject = found.rule.partition(":")[0]
    message = "" if found.success else f"{subject} is not as expected (values of {listed(columns_of(rule))} are hidden)"
    return found.model_copy(update={"rule": subject, "observed": MASK, "expected": MASK, "message": message})


def _message(rule: Expectation, subject: str, observed: str, expected: str, *, checked: bool) -> str:
    if isinstance(rule, Volume):
        return f"{subject}: {observed} where {expected}"
    if not checked:
        return f"{subject}: {observed} (expected: {expected})"
    return f"{subject} is {observed} where {expected} is expected"


def _words(rule: Expectation, found: Mapping[str, Any], usual_rows: int | None, date: Date) -> tuple[str, str, str]:
    """Observed, expected, subject."""
    match rule:
        case Volume():
            usual, least, most = volume_band(rule, usual_rows)
            expected = f"about {number(usual)} are usual ({number(least)} to {number(most)} allowed)"
            return f"{number(found.get('observed_value'))} rows", expected, "volume"
        case Median():
            band = f"{number(rule.between[0])} to {number(rule.between[1])}"
            return number(found.get("observed_value")), band, f"median of {rule.column}"
        case Nulls():
            share = percent(found.get("unexpected_percent"))
            return share, f"at most {percent(100 * rule.at_most)}", f"share of missing values of {rule.column}"
        case KnownValues():
            known = _complement(found.get("unexpected_percent"))
            return known, f"at least {percent(100 * rule.at_least)}", f"share of known values of {rule.column}"
        case Freshness():
            fresh = _complement(found.get("unexpected_percent"))
            slack = f" (within {rule.slack_hours:g} hours)" if rule.slack_hours else ""
            subject = f"share of rows whose {rule.column} lies on {date.isoformat()}{slack}"
            return fresh, f"at least {percent(100 * rule.at_least)}", subject
        case Core():
            return _core_observed(found), _arguments(rule), _core_subject(rule)


def _core_subject(rule: Core) -> str:
    words = rule.expectation.removeprefix("expect_").replace("_", " ")
    column = rule.arguments.get("column")
    return f"{words} ({column})" if isinstance(column, str) else words


def _arguments(rule: Core) -> str:
    given = {name: value for name, value in rule.arguments.items() if name != "column"}
    return json.dumps(given, ensure_ascii=False, default=str)[:MAX_TEXT] if given else "to hold"


def _core_observed(found: Mapping[str, Any]) -> str:
    if "observed_value" in found:
        value = found["observed_value"]
        return number(value) if isinstance(value, int | float) else str(value)[:MAX_TEXT]
    if "unexpected_count" in found:
        share = percent(found.get("unexpected_percent"))
        return f"{number(found['unexpected_count'])} unexpected values ({share})"
    return "nothing observed"


def _error(result: ExpectationValidationResult) -> str | None:
    """Great Expectations' own words, where it could not evaluate the rule."""
    info = result.exception_info or {}
    entries = [info] if "raised_exception" in info else list(info.values())
    for entry in entries:
        if isinstance(entry, dict) and entry.get("raised_exception"):
            return " ".join(str(entry.get("exception_message") or "an error").split())[:MAX_TEXT]
    return None


def _complement(unexpected: Any) -> str:
    return "no values" if unexpected is None else percent(100 - float(unexpected))


def percent(value: Any) -> str:
    """A share in percent, as text; never rounded to 0 or 100 unless it is."""
    if value is None:
        return "no values"
    share = float(value)
    digits = next((d for d in range(1, 5) if round(share, d) not in (0.0, 100.0)), 0)
    return f"{share:,.{digits}f}".rstrip("0").rstrip(".") + " %" if digits else f"{share:.0f} %"


def number(value: Any) -> str:
    """A number for reading: thousands marked, six digits of a fraction."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "no value"
    amount = float(value)
    if amount == int(amount) and abs(amount) < 1e15 if math.isfinite(amount) else False:
        return f"{int(amount):,}"
    return f"{amount:,.6g}" if abs(amount) < 1e6 else f"{amount:,.0f}"
