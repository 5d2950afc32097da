"""What people did with an incident: a row of `incident_words`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal, TypeAlias

from sqlalchemy import RowMapping

Word: TypeAlias = Literal["ack", "mute", "unmute", "note", "close", "anomaly", "false_alarm", "expected"]
"""A label is a word, too: all of the incident's alerts got it."""


@dataclass(frozen=True)
class IncidentWord:
    """One row of `incident_words`.

    Args:
        word: What was done.
        night: The incident's newest night when it was said: it is about that night and those before.
        until: The last night that a mute covers.
        note: Free text.
        actor: Who.
        at: UTC.
    """

    word: Word
    night: date
    until: date | None
    note: str
    actor: str
    at: datetime

    @classmethod
    def of(cls, row: RowMapping) -> IncidentWord:
        """Read a row."""
        until = date.fromisoformat(row["until"]) if row["until"] else None
        return cls(row["word"], date.fromisoformat(row["night"]), until, row["note"], row["actor"], row["at"])
