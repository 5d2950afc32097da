"""Retention once a day: which day's it is, how it ended, and what people are told of it."""

from __future__ import annotations

import time
from datetime import date as Date
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from infra.runtime.events import Event
from infra.runtime.logs import SecretFilter, secrets_of
from infra.runtime.refusals import described_error
from schemas.errors import LockedNight
from tasks.retention import vacuum
from tasks.retention_plan import Plan, size_in_words

if TYPE_CHECKING:
    from infra.runtime.events import EventStore
    from schemas.retention import RetentionSettings
    from tasks.services import Services

SERENO = "sereno"
APPLIED, FAILED, LEFT_OUT = "retention_applied", "retention_failed", "retention_left_out"
"""How a day's retention ended: done, not or not all of it, or there was no quiet moment for it."""
OUTCOMES = (APPLIED, FAILED, LEFT_OUT)
MOST_FAILURES = 10
BY_HAND = "what stands in its way: sereno vacuum"


def due_day(settings: RetentionSettings, now: datetime) -> Date | None:
    """The day whose retention is due by a moment; None where it is never done by itself."""
    if settings.at == "never":
        return None
    local = now.astimezone(ZoneInfo(settings.timezone))
    return local.date() if local.time() >= settings.at else local.date() - timedelta(days=1)


def last_outcome(state: EventStore, *kinds: str) -> Event | None:
    """How retention last ended; of some kinds of ends only, where any are given."""
    found = state.events(kinds=kinds or OUTCOMES, limit=1)
    return found[0] if found else None


def is_over(state: EventStore, day: Date) -> bool:
    """Whether a day's retention has an outcome."""
    last = last_outcome(state)
    return last is not None and str(last.detail.get("day", "")) >= day.isoformat()


def apply_retention(services: Services, day: Date) -> Event:
    """Take away what is old, and write down how that ended.

    Raises:
        LockedNight: A `sereno vacuum` is at work.
        StateError: The state database does not take the outcome.
    """
    begun = time.monotonic()
    try:
        done = vacuum(services, who=SERENO)
    except LockedNight:
        raise
    except Exception as error:  # noqa: BLE001 -- whatever it is, people are told, and tomorrow tries again
        masking = SecretFilter(secrets_of(services.settings))
        return services.state.tell(failed(day, masking.mask(described_error(error))))
    return services.state.tell(_outcome(day, done, time.monotonic() - begun))


def failed(day: Date, why: str) -> Event:
    """What is told where nothing is known of what was done."""
    text = f"Retention of {day} failed: {why.rstrip('.')}. The next one is tomorrow's; {BY_HAND}"
    return Event(FAILED, text, "error", detail={"day": day.isoformat(), "failures": [why]})


def left_out(day: Date) -> Event:
    """What is told where nights were at work all day long."""
    text = (
        f"Retention of {day} was left out: nights were at work, or about to be due, all day long. Take away what is "
        "old by hand: sereno vacuum"
    )
    return Event(LEFT_OUT, text, "warning", detail={"day": day.isoformat()})


def _outcome(day: Date, done: Plan, seconds: float) -> Event:
    freed = f"{size_in_words(done.bytes)} freed" if done.going else "nothing was old enough to go"
    detail: dict[str, Any] = {
        "day": day.isoformat(),
        "bytes": done.bytes,
        "things": len(done.going),
        "seconds": round(seconds, 3),
        "failures": list(done.failures[:MOST_FAILURES]),
    }
    if not done.failures:
        return Event(APPLIED, f"Retention of {day}: {freed}.", detail=detail)
    more = f" and {len(done.failures) - 1} more" if len(done.failures) > 1 else ""
    text = f"Retention of {day}, {freed}, was not done to the end: {done.failures[0].rstrip('.')}{more}; {BY_HAND}"
    return Event(FAILED, text, "error", detail=detail)
