"""What the report hides: values of columns that the dataset file marks `sensitive`."""

from __future__ import annotations

from schemas.results import Alert, Contribution, ExpectationOutcome, NightReport, QuarantineSample
from tasks.report_text import MASK

WHOLE_ROW = "(row)"
WHOLE_KEY = "(key)"


def masked(report: NightReport) -> NightReport:
    """Return the report with every value of a sensitive column replaced by ``•••``.

    Masks contributions, keys, entity, event time, quarantined values (also raw rows that could not be split) and, for
    expectations about a sensitive column, what was observed. Where the report does not say which columns make up the
    key, then key, entity and time are masked as a whole: a doubt hides.
    """
    if not report.sensitive:
        return report
    hidden = frozenset(report.sensitive)
    return report.model_copy(
        update={
            "alerts": tuple(_alert(alert, report, hidden) for alert in report.alerts),
            "quarantine_sample": tuple(_quarantined(sample, report, hidden) for sample in report.quarantine_sample),
            "expectation_outcomes": tuple(_outcome(outcome, hidden) for outcome in report.expectation_outcomes),
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


def _role(value: str | None, column: str | None, report: NightReport, hidden: frozenset[str]) -> str | None:
    doubtful = report.key is None and column is None
    return MASK if value is not None and (column in hidden or doubtful) else value


def _alert(alert: Alert, report: NightReport, hidden: frozenset[str]) -> Alert:
    return alert.model_copy(
        update={
            "key": masked_key(alert.key, report.key, hidden),
            "entity": _role(alert.entity, report.entity, report, hidden),
            "event_time": _role(alert.event_time, report.event_time, report, hidden),
            "contributions": tuple(_contribution(item, hidden) for item in alert.contributions),
        }
    )


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
    return outcome.model_copy(update={"observed": MASK if outcome.observed else "", "message": ""})
