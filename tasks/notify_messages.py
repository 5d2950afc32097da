"""What people are told of other things than a night's end: a report that did not come, an incident, a fault, a test."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from datetime import date as Date
from datetime import datetime
from typing import TYPE_CHECKING

from infra.runtime.notices import NOTICE_FAILED
from schemas.message import Message
from schemas.notify import Severity
from tasks.report_text import count

if TYPE_CHECKING:
    from infra.runtime.events import Event

_FAULTS: dict[str, Severity] = {"warning": "medium", "error": "high"}


def no_report_message(dataset: str, night: Date, due: datetime, reason: str = "") -> Message:
    """Return what is told where no report of a night is there at its deadline.

    Args:
        dataset: The dataset.
        night: The logical date.
        due: Until when it was expected, UTC.
        reason: Why, where it is known.
    """
    named = f"{shlex.quote(dataset)} --date {night}"
    said = f"No report of {night} was there at {due:%Y-%m-%d %H:%M} UTC, when it was due."
    return Message(
        kind="no_report",
        about=f"no report {dataset} {night}",
        subject=f"{dataset} {night}: no report",
        severity="critical",
        dataset=dataset,
        night=night,
        lines=(said, *((reason,) if reason else ())),
        steps=(
            ("See what became of the last nights.", f"sereno status {shlex.quote(dataset)}"),
            ("See where its files are looked for.", f"sereno plan {named}"),
            ("Do it by hand.", f"sereno run {named}"),
        ),
    )


@dataclass(frozen=True)
class IncidentNight:
    """What one night made of an incident.

    Args:
        number: The incident's.
        dataset: The dataset.
        night: The night that added to it.
        severity: How much it matters.
        alerts: The alerts of this night.
        entity: The machine or host, as people may see it.
        columns: The columns that stand out, the first first.
        lines: More, a sentence each; values of sensitive columns masked.
        is_new: Whether the night opened it.
    """

    number: int
    dataset: str
    night: Date
    severity: Severity
    alerts: int
    entity: str | None = None
    columns: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()
    is_new: bool = True


def incident_message(of: IncidentNight) -> Message:
    """Return what is told of an incident on one night."""
    what = f"incident {of.number}" + (f" of {of.entity}" if of.entity is not None else "")
    alerts = "1 alert" if of.alerts == 1 else f"{count(of.alerts)} alerts"
    said = f"I{what[1:]} {'was opened' if of.is_new else 'goes on'}: {alerts} on {of.night}, severity {of.severity}."
    return Message(
        kind="incident",
        about=f"incident {of.number} {of.night} {of.severity}",
        subject=f"{of.dataset} {of.night}: {what}, {of.severity}, {alerts}",
        severity=of.severity,
        dataset=of.dataset,
        night=of.night,
        entity=of.entity,
        lines=(said, *((f"What stands out: {', '.join(of.columns)}.",) if of.columns else ()), *of.lines),
        steps=(("Look at it.", f"sereno incidents show {shlex.quote(of.dataset)} {of.number}"),),
        report=True,
    )


def fault_message(event: Event) -> Message | None:
    """Return what is told of an event of level `warning` or `error`; None where nobody is to be told.

    That a message could not be sent is told, too, but not that this could not be sent: two broken routes would tell of
    each other for ever.
    """
    told_of = str(event.detail.get("about", ""))
    if event.level not in _FAULTS or (event.kind == NOTICE_FAILED and told_of.startswith("fault ")):
        return None
    about = f"{event.dataset} {event.night or ''}".strip() if event.dataset else "this installation"
    return Message(
        kind="fault",
        about=f"fault {event.id}",
        subject=f"{about}: {event.kind.replace('_', ' ')}",
        severity=_FAULTS[event.level],
        dataset=event.dataset,
        night=event.night,
        lines=(event.text,),
        steps=(("See how nights, runs and messages stand.", "sereno status"),),
    )


def trial_message(route: str, now: datetime, by: str) -> Message:
    """Return what `sereno notify test` sends."""
    return Message(
        kind="test",
        about=f"test {route} {now:%Y-%m-%dT%H:%M:%S}",
        subject="A test message",
        lines=(f"{by} tried the route `{route}` at {now:%Y-%m-%d %H:%M:%S} UTC. Messages of Sereno arrive here.",),
    )
