"""How an incident stands, and why people are told of it on a night: what they said of it, and whether it got worse.

A word of a person is about the incident's nights up to the newest one at that moment, and counts for the nights after.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date as Date
from typing import TYPE_CHECKING

from tasks.incident_severity import is_worse

if TYPE_CHECKING:
    from infra.runtime.incident_rows import Before
    from infra.runtime.incident_words import IncidentWord
    from schemas.incidents import IncidentSettings, Standing, Why
    from tasks.incident_severity import Weighed


@dataclass(frozen=True)
class Earlier:
    """What a night of an incident is held against.

    Args:
        before: What is known of the nights before.
        words: What people said, oldest first.
        told: What the night brought on which people were told last; None where they never were.
        muted: What the night brought that was the newest one when the incident was muted; None where it is gone.
        quiet: How many scored nights lie between the night on which people were told last and this one.
    """

    before: Before
    words: Sequence[IncidentWord] = ()
    told: Weighed | None = None
    muted: Weighed | None = None
    quiet: int = 0


def why_told(now: Weighed, night: Date, earlier: Earlier, settings: IncidentSettings) -> Why | None:
    """Why people are told of an incident on a night; None: they are not.

    Args:
        now: What the night brought.
        night: The night.
        earlier: What it is held against.
        settings: When they are told again.
    """
    if not earlier.before.nights or earlier.told is None:
        return "new"
    words = [word for word in earlier.words if word.night < night]
    if mute_over(words, night, earlier.before.back) is not None:
        return "back" if is_worse(now, earlier.muted or earlier.told, settings) else None
    if is_worse(now, earlier.told, settings):
        return "worse"
    if _is_acknowledged(words, earlier.before.told):
        return None
    return "still" if earlier.quiet >= settings.cooldown_nights else None


def mute_over(words: Sequence[IncidentWord], night: Date, back: Date | None) -> IncidentWord | None:
    """The mute that covers a night, None where there is none.

    Args:
        words: What people said, oldest first.
        night: The night.
        back: The newest night on which the incident came back from a mute.
    """
    said = [word for word in words if word.word in ("mute", "unmute", "close")]
    if not said or said[-1].word != "mute":
        return None
    mute = said[-1]
    ended = back is not None and mute.night < back <= night
    return mute if mute.until is not None and mute.until >= night and not ended else None


def standing_of(
    words: Sequence[IncidentWord], last: Date, quiet: int, known: Before, night: Date, settings: IncidentSettings
) -> Standing:
    """How an incident stands.

    Args:
        words: What people said, oldest first.
        last: Its newest night.
        quiet: How many scored nights came after that one.
        known: What is known of it up to its newest night.
        night: The newest scored night of the dataset.
        settings: When it is over.
    """
    if any(word.word == "close" and word.night >= last for word in words):
        return "over"
    if mute_over(words, night, known.back) is not None:
        return "muted"
    if quiet >= settings.quiet_nights:
        return "over"
    return "acknowledged" if _is_acknowledged(words, known.told) else "open"


def _is_acknowledged(words: Sequence[IncidentWord], told: Date | None) -> bool:
    """Whether a person took it up since it was told last."""
    newest = max((word.night for word in words if word.word == "ack"), default=None)
    return newest is not None and (told is None or told <= newest)
