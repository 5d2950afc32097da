"""The sending of what waits on one route, and what becomes of it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from schemas.errors import ConfigError
from schemas.notify_address import MAIL

if TYPE_CHECKING:
    from pathlib import Path

    from infra.runtime.notices import Notice
    from schemas.notify import Route
    from tasks.courier import Courier
    from tasks.services import Services

MOST_FAILURES = 3
"""Messages that a route may refuse before the others wait for the next time."""

PASS_SECONDS = 120.0
"""After so long nothing more is begun, until the next time."""

FIRST_WAIT = timedelta(minutes=1)
HOLD_SLACK = timedelta(minutes=2)
"""Who holds a message for longer than a try takes, by so much, is dead."""


@dataclass(frozen=True)
class Refusal:
    """A message that was not taken.

    Args:
        route: The route.
        subject: The message's.
        reason: Why, without any part of the address.
        tries: How often it was tried.
        next_try: When it is tried again; None: never, it was given up.
    """

    route: str
    subject: str
    reason: str
    tries: int
    next_try: datetime | None


@dataclass(frozen=True)
class Sending:
    """What became of what waited.

    Args:
        taken: How many messages were taken.
        refusals: Those that were not.
    """

    taken: int = 0
    refusals: tuple[Refusal, ...] = ()

    def __add__(self, other: Sending) -> Sending:
        """Both together."""
        return Sending(self.taken + other.taken, self.refusals + other.refusals)


class Clock:
    """Moments that go on from a given one.

    Args:
        start: The moment that is now.
    """

    def __init__(self, start: datetime) -> None:
        self._start, self._began = start, time.monotonic()

    def passed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._began

    def now(self) -> datetime:
        """The moment."""
        return self._start + timedelta(seconds=self.passed())


class Sender:
    """Sends what waits on one route, in order.

    Args:
        services: The stores.
        name: The route.
        clock: Says what is now.
    """

    def __init__(self, services: Services, name: str, clock: Clock) -> None:
        self.name = name
        self._services = services
        self._settings = services.settings.notify
        self._clock = clock
        self._sending = Sending()

    def send(self, waiting: list[Notice]) -> Sending:
        """Send the messages, and return what became of them; what cannot be sent at all counts as tried."""
        route = self._settings.routes.get(self.name)
        if route is None:
            self._refuse_all(waiting, "sereno.yaml has no such route any more", for_good=True)
        else:
            self._send_by(route, waiting)
        return self._sending

    def _send_by(self, route: Route, waiting: list[Notice]) -> None:
        from tasks.courier import Courier, Unsendable

        try:
            address = route.address(self._services.project.root)
            with Courier(address, insecure=route.insecure, seconds=self._settings.timeout.total_seconds()) as courier:
                self._send_each(courier, route, address, waiting)
        except ConfigError as error:
            self._refuse_all(waiting, error.message)
        except Unsendable as error:
            self._refuse_all(waiting, f"the address cannot be used: {error}")

    def _send_each(self, courier: Courier, route: Route, address: str, waiting: list[Notice]) -> None:
        attach = takes_report(route, address)
        failures = 0
        for notice in waiting:
            if courier.is_gone or failures == MOST_FAILURES or self._clock.passed() > PASS_SECONDS:
                return
            held = self._held(notice)
            if held is None:
                continue
            began = self._clock.passed()
            reason = self._handed_over(courier, held, attach=attach)
            if reason is None:
                self._services.state.mark_sent(held, self._clock.now())
                self._sending += Sending(taken=1)
                continue
            self._refused(held, reason)
            failures += 1
            if self._clock.passed() - began > self._settings.timeout.total_seconds() / 2:  # it hangs
                return

    def _handed_over(self, courier: Courier, held: Notice, *, attach: bool) -> str | None:
        """Send a message, and return why it was not taken; None where it was."""
        from tasks.notify_text import letter

        if held.attempts > self._settings.tries:
            return held.error or "whoever sent it died of it, each time"
        try:
            written = letter(held.message, self._page(held), attach=attach)
        except Exception as error:  # noqa: BLE001 -- one message that cannot be written must not hold up the others
            return f"it cannot be put in words: {type(error).__name__}"
        return courier.send(written)

    def _held(self, notice: Notice) -> Notice | None:
        return self._services.state.hold_notice(notice, self._clock.now() + self._settings.timeout + HOLD_SLACK)

    def _page(self, notice: Notice) -> Path | None:
        message = notice.message
        if not message.report or message.dataset is None or message.night is None:
            return None
        return self._services.project.report_file(message.dataset, message.night.isoformat())

    def _refuse_all(self, waiting: list[Notice], reason: str, *, for_good: bool = False) -> None:
        for notice in waiting:
            held = self._held(notice)
            if held is not None:
                self._refused(held, reason, for_good=for_good)

    def _refused(self, held: Notice, reason: str, *, for_good: bool = False) -> None:
        now = self._clock.now()
        is_over = for_good or held.attempts >= self._settings.tries
        wait = min(FIRST_WAIT * 2 ** min(held.attempts - 1, 30), self._settings.longest_wait)
        next_try = None if is_over else now + wait
        self._services.state.mark_refused(held, reason, now, next_try=next_try)
        refusal = Refusal(self.name, held.message.subject, reason, held.attempts, next_try)
        self._sending += Sending(refusals=(refusal,))


def takes_report(route: Route, address: str) -> bool:
    """Whether the report goes along on a route; where that is not said, mail takes it."""
    return route.attach_report if route.attach_report is not None else address.partition("://")[0].lower() in MAIL
