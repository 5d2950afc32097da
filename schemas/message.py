"""A message to people: what happened, told so that any channel can say it."""

from __future__ import annotations

from datetime import date as Date

from pydantic import BaseModel, ConfigDict, Field

from schemas.notify import Kind, Severity

MOST_ABOUT = 120
"""Characters of what names the thing that a message is about."""


class Message(BaseModel):
    """What a person is told, once on each route; nothing in it is secret, values of sensitive columns are masked.

    Args (fields):
        kind, severity, dataset, night: What it is about; filters of routes ask for them.
        about: Names the one thing that it tells, in 120 characters: told once, it is not told again.
        subject: One line.
        lines: What happened, a sentence each.
        facts: Name and value of what a reader looks for first.
        header, rows: A table, the worst first.
        steps: What to do next: a sentence and, where there is one, the command.
        entity: The machine or host that it is about, as people may see it.
        quiet: Whether nothing in it asks for a look: only routes that want such nights are told.
        report: Whether the night that it is about has a page.
    """

    # Another release may have written it.
    model_config = ConfigDict(frozen=True, extra="ignore")

    kind: Kind
    about: str = Field(max_length=MOST_ABOUT)
    subject: str
    severity: Severity = "low"
    dataset: str | None = None
    night: Date | None = None
    entity: str | None = None
    lines: tuple[str, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()
    header: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    steps: tuple[tuple[str, str], ...] = ()
    quiet: bool = False
    report: bool = False
