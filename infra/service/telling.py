"""Tells people what the events say, and sends what waits, in a thread: a receiver that hangs holds up none."""

from __future__ import annotations

import logging
import threading
import time
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

from infra.runtime.refusals import described_error
from infra.service.faults import each_by_itself
from tasks.notify import routes_of, send_waiting, tell, tell_fault
from tasks.notify_messages import fault_message, no_report_message
from tasks.notify_trial import send_directly

if TYPE_CHECKING:
    from infra.runtime.events import Event
    from infra.service.faults import Faults
    from schemas.message import Message
    from tasks.services import Services

NO_REPORT = "no_report"
LOOK_SECONDS = 3.0
LOOK_BACK = timedelta(days=1)
NUMBERS_BACK = 1_000
"""So many numbers are looked at again: where several write at once, a later one may be there before an earlier one."""
PATIENCE_SECONDS = 45.0
"""So long an event waits for the state database before it is told without it."""

logger = logging.getLogger("sereno.notify")


class Telling:
    """Writes a message for each event that a person should know, and sends.

    Args:
        services: The stores.
        faults: Events that are not written yet.
    """

    def __init__(self, services: Services, faults: Faults) -> None:
        self._services = services
        self._faults = faults
        self._told: set[int] = set()
        self._directly: set[datetime | None] = set()
        self._waits_since: float | None = None

    def run(self, stop: threading.Event) -> None:
        """Tell and send until told to stop."""
        while not stop.wait(LOOK_SECONDS):
            try:
                each_by_itself((self._tell_by_database, self._tell_without_database), lambda part: part())
            except Exception as error:  # noqa: BLE001 -- the next time tries again, and the messages are kept
                logger.warning("messages were not sent: %s", described_error(error))

    def _tell_by_database(self) -> None:
        self.tell()
        send_waiting(self._services)

    def tell(self) -> None:
        """Write a message for each event since the last time; one that was written before stays one."""
        since, first = datetime.now(UTC) - LOOK_BACK, max(self._told, default=0) - NUMBERS_BACK
        self._told = {number for number in self._told if number > first}
        for event in reversed(self._services.state.events(levels=["warning", "error"], after=first, since=since)):
            if event.id is not None and event.id not in self._told:
                self._tell(event)
                self._told.add(event.id)

    def _tell(self, event: Event) -> None:
        if event.kind == NO_REPORT and event.dataset and event.night:
            tell(self._services, _no_report(event, event.dataset, event.night))
        else:
            tell_fault(self._services, event)

    def _tell_without_database(self) -> None:
        """The database may be what is wrong: then people are told directly, and again once it takes the event."""
        untold = self._faults.untold
        if not untold:
            self._waits_since = None
            return
        self._waits_since = self._waits_since or time.monotonic()
        if time.monotonic() - self._waits_since < PATIENCE_SECONDS:
            return
        for event in untold:
            if event.at not in self._directly and (message := fault_message(event)) is not None:
                self._directly.add(event.at)
                self._send(message)

    def _send(self, message: Message) -> None:
        def send(route: str) -> None:
            if (why := send_directly(self._services, route, message)) is not None:
                logger.warning("route `%s` did not take a message: %s", route, why)

        each_by_itself(routes_of(self._services, message), send)


def _no_report(event: Event, dataset: str, night: date) -> Message:
    due = datetime.fromisoformat(str(event.detail["due"]))
    return no_report_message(dataset, night, due, str(event.detail.get("reason", "")))
