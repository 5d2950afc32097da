"""What the report hides: values of columns that the dataset file marks `sensitive`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from schemas.incident_results import NightIncidents
from schemas.results import (
    Alert,
    Change,
    Contribution,
    Drift,
    ExpectationOutcome,
    LikeRow,
    NightReport,
    QuarantineSample,
)
from tasks.incident_mask import masked_allow_list, masked_incident
from tasks.report_text import MASK

WHOLE_ROW = "(row)"
WHOLE_KEY = "(key)"
TELLING = ("values", "min", "max", "pattern")
"""Keys of a column in the dataset file that say something of its values."""
NAMING = ("expect", "policy", "column", "expectation")
"""Keys of an expectation that do not."""


def masked(report: NightReport) -> NightReport:
    """Return the report with every value of a sensitive column replaced by ``•••``.

    Masks contributions, like rows, keys, entities, event times, quarantined values (also raw rows that could not be
    split), what drift and changes quote, what the dataset file says of values and, for expectations about a sensitive
    column, what was observed. Where the report does not say which columns make up the
    key, then key, entity and time are masked as a whole: a doubt hides.
    """
    if not report.sensitive:
        return report
    hidden = frozenset(report.sensitive)
    return report.model_copy(
        update={
            "alerts": tuple(_alert(alert, report, hidden) for alert in report.alerts),
            "suppressed": tuple(_alert(alert, report, hidden) for alert in report.suppressed),
            "incidents": report.incidents and _incidents(report.incidents, report, hidden),
            "quarantine_sample": tuple(_quarantined(sample, report, hidden) for sample in report.quarantine_sample),
            "expectation_outcomes": tuple(_outcome(outcome, hidden) for outcome in report.expectation_outcomes),
            "drift": report.drift and _drift(report.drift, hidden),
            "changes": tuple(_change(change, report, hidden) for change in report.changes),
            "configuration": masked_configuration(report.configuration, hidden),
        }
    )


def masked_key(key: str, columns: tuple[str, ...] | None, hidden: frozenset[str]) -> str:
    """Mask the parts of a key that come from sensitive columns; the whole key where the parts cannot be told apart."""
    if columns is None:
        return MASK
    if not hidden.intersection(columns):
        return key
    parts = key.split("|")
    if len(parts) != len(columns):
        return MASK
    return "|".join(MASK if column in hidden else part for column, part in zip(columns, parts, strict=True))


def masked_configuration(configuration: Mapping[str, Any], hidden: frozenset[str]) -> dict[str, Any]:
    """Mask what a resolved dataset file says of the values of sensitive columns; done twice, it changes nothing."""
    masked_file = dict(masked_allow_list(configuration, hidden))
    if isinstance(configuration.get("columns"), Mapping):
        masked_file["columns"] = {
            name: _telling_nothing(column) if name in hidden and isinstance(column, Mapping) else column
            for name, column in configuration["columns"].items()
        }
    if isinstance(configuration.get("expectations"), (list, tuple)):
        masked_file["expectations"] = [_rule(rule, hidden) for rule in configuration["expectations"]]
    return masked_file


def _telling_nothing(column: Mapping[str, Any]) -> dict[str, Any]:
    return {key: MASK if key in TELLING and value is not None else value for key, value in column.items()}


def _rule(rule: Any, hidden: frozenset[str]) -> Any:
    if not isinstance(rule, Mapping):
        return rule
    arguments = rule.get("arguments")
    named = [rule.get("column"), *(_texts_in(arguments) if arguments != MASK else [])]
    if hidden.isdisjoint(name for name in named if isinstance(name, str)):
        return rule
    return {key: value if key in NAMING or value is None else MASK for key, value in rule.items()}


def _texts_in(value: Any) -> list[str]:
    """Every text within an expectation's arguments: any of them may name a column."""
    if isinstance(value, str):
        return [value]
    parts = value.values() if isinstance(value, Mapping) else value if isinstance(value, (list, tuple)) else ()
    return [text for part in parts for text in _texts_in(part)]


def _drift(drift: Drift, hidden: frozenset[str]) -> Drift:
    told = [column.message for column in drift.columns if column.column in hidden and column.message]
    message = drift.message
    for quoted in told:
        message = message.replace(quoted, MASK)
    columns = tuple(
        column.model_copy(update={"message": MASK}) if column.column in hidden and column.message else column
        for column in drift.columns
    )
    return drift.model_copy(update={"columns": columns, "message": message})


def _change(change: Change, report: NightReport, hidden: frozenset[str]) -> Change:
    rules = {outcome.rule for outcome in report.expectation_outcomes if outcome.column in hidden}
    about = [f"columns.{name}" for name in hidden]
    telling = change.what in about or any(change.what == f"{path}.{key}" for path in about for key in TELLING)
    said = {"before": change.before, "tonight": change.tonight}
    if change.what == "expectations":
        telling = any(f'"{name}"' in text for name in hidden for text in said.values())
    if change.what in rules:
        return change.model_copy(update={name: text.partition(":")[0] for name, text in said.items()})
    if not telling:
        return change
    return change.model_copy(update={name: _unless_masked(text) for name, text in said.items()})


def _unless_masked(text: str) -> str:
    """A text that was made of what is masked already says nothing; neither do these words."""
    return text if MASK in text or text in ("", "none", "not there") else MASK


def _incidents(night: NightIncidents, report: NightReport, hidden: frozenset[str]) -> NightIncidents:
    entity, time = (_is_hidden(column, report, hidden) for column in (report.entity, report.event_time))
    shown = tuple(masked_incident(incident, entity=entity, time=time) for incident in night.incidents)
    return night.model_copy(update={"incidents": shown})


def _is_hidden(column: str | None, report: NightReport, hidden: frozenset[str]) -> bool:
    return column in hidden or (report.key is None and column is None)


def _role(value: str | None, column: str | None, report: NightReport, hidden: frozenset[str]) -> str | None:
    return MASK if value is not None and _is_hidden(column, report, hidden) else value


def _alert(alert: Alert, report: NightReport, hidden: frozenset[str]) -> Alert:
    return alert.model_copy(
        update={
            "key": masked_key(alert.key, report.key, hidden),
            "entity": _role(alert.entity, report.entity, report, hidden),
            "event_time": _role(alert.event_time, report.event_time, report, hidden),
            "contributions": tuple(_contribution(item, hidden) for item in alert.contributions),
            "like": alert.like and _like(alert.like, report, hidden),
            "said": alert.said
            and alert.said.model_copy(update={"key": masked_key(alert.said.key, report.key, hidden)}),
        }
    )


def _like(like: LikeRow, report: NightReport, hidden: frozenset[str]) -> LikeRow:
    values = {column: MASK if column in hidden else value for column, value in like.values.items()}
    return like.model_copy(update={"key": masked_key(like.key, report.key, hidden), "values": values})


def _contribution(item: Contribution, hidden: frozenset[str]) -> Contribution:
    return item.model_copy(update={"actual": MASK, "expected": MASK}) if item.column in hidden else item


def _quarantined(sample: QuarantineSample, report: NightReport, hidden: frozenset[str]) -> QuarantineSample:
    key = masked_key(sample.key, report.key, hidden)
    value = sample.value
    if sample.column == WHOLE_KEY:
        value = masked_key(value, report.key, hidden)
    elif sample.column == WHOLE_ROW or hidden.intersection([sample.column, *sample.column.split("|")]):
        value = MASK
    return sample.model_copy(update={"key": key, "value": value})


def _outcome(outcome: ExpectationOutcome, hidden: frozenset[str]) -> ExpectationOutcome:
    if outcome.column not in hidden:
        return outcome
    said = {"observed": MASK if outcome.observed else "", "expected": MASK if outcome.expected else "", "message": ""}
    return outcome.model_copy(update={**said, "rule": outcome.rule.partition(":")[0]})
