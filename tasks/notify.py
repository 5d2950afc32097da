"""Messages to people: who is told, and the sending of what waits."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from tasks.notify_route import Clock, Sender, Sending

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from infra.runtime.events import Event
    from infra.runtime.notices import Notice
    from infra.runtime.runs import Run
    from schemas.message import Message
    from schemas.results import NightReport, NightResult
    from tasks.services import Services

MOST_AT_ONCE = 8
"""Routes that are sent to at the same time."""

logger = logging.getLogger("sereno.notify")


def routes_of(
    services: Services, message: Message, *, entity: str | None = None, besides: Collection[str] = ()
) -> list[str]:
    """Return the names of the routes on which a message is told.

    Args:
        services: The stores.
        message: What is told.
        entity: The machine or host that it is about, where the message itself has it masked.
        besides: Routes that are left out.
    """
    about = entity if entity is not None else message.entity
    return [
        name
        for name, route in services.settings.notify.routes.items()
        if name not in besides
        and route.wants(message.kind, message.severity, message.dataset, about)
        and (route.without_alerts or not message.quiet)
    ]


def tell(services: Services, message: Message, *, besides: Collection[str] = ()) -> int:
    """Write a message for every route that wants it, and return for how many it is new; see `routes_of`."""
    routes = routes_of(services, message, besides=besides)
    return services.state.put_notices(message, routes) if routes else 0


def telling(services: Services, message: Message, *, entity: str | None = None) -> Callable[[Connection], None]:
    """What writes a message within the transaction of what it is about; see `routes_of`."""
    routes = routes_of(services, message, entity=entity)

    def write(connection: Connection) -> None:
        from infra.runtime.notices import write_notices

        write_notices(connection, message, routes)

    return write


def tell_fault(services: Services, event: Event) -> int:
    """Write what is told of an event of level `warning` or `error`; not on the route that it is about."""
    from tasks.notify_messages import fault_message

    message = fault_message(event) if services.settings.notify.routes else None
    return 0 if message is None else tell(services, message, besides=(str(event.detail.get("route", "")),))


def telling_end(services: Services, result: NightResult, run: Run) -> Callable[[Connection], None] | None:
    """What writes how a night ended of which there is no more than its result; see `telling_night`."""
    from schemas.results import NightReport

    return telling_night(services, lambda: NightReport(result=result, generated_at=""), run)


def telling_night(
    services: Services, report: Callable[[], NightReport], run: Run
) -> Callable[[Connection], None] | None:
    """What writes how a night ended, within the transaction of its final row; None where nobody is told.

    A night that is done again and ends as before is no news.

    Args:
        services: The stores.
        report: Makes the night's report; not called without routes.
        run: The run that ends it.
    """
    if not services.settings.notify.routes:
        return None
    try:
        return _telling_news(services, report(), run)
    except Exception as error:  # noqa: BLE001 -- a message that cannot be made must not cost the night
        logger.warning("of the night's end nobody is told: %s: %s", type(error).__name__, error)
        return None


def _telling_news(services: Services, report: NightReport, run: Run) -> Callable[[Connection], None] | None:
    from tasks.notify_night import is_news, night_message

    return telling(services, night_message(report, run.id)) if is_news(services, report.result, run.kind) else None


def send_now(services: Services) -> None:
    """Send what waits, once, and warn of what was not taken; it waits for the next time, whatever goes wrong."""
    if not services.settings.notify.routes:
        return
    try:
        sending = send_waiting(services)
    except Exception as error:  # noqa: BLE001 -- what was done at night must not fail by telling of it
        logger.warning("messages were not sent: %s; they wait: sereno notify list", error)
        return
    for refusal in sending.refusals:
        again = f"again at {refusal.next_try:%H:%M} UTC" if refusal.next_try else "given up"
        logger.warning("route `%s` did not take a message: %s; %s", refusal.route, refusal.reason, again)


def send_waiting(services: Services, now: datetime | None = None, *, early: bool = False) -> Sending:
    """Send what is due, each route by itself and all at once, so that one that hangs holds up none.

    A message is `sent` once its receiver said so. One that is not taken waits a minute, then two, four, and so on;
    after `notify.tries` tries it is given up, which is an event.

    Args:
        services: The stores.
        now: The moment.
        early: Also what waits for its next try.

    Raises:
        StateError: The database failed.
    """
    began = now or datetime.now(UTC)
    clock = Clock(began)
    waiting: defaultdict[str, list[Notice]] = defaultdict(list)
    for notice in services.state.due_notices(began, early=early):
        waiting[notice.route].append(notice)
    if not waiting:
        return Sending()
    with ThreadPoolExecutor(min(MOST_AT_ONCE, len(waiting)), thread_name_prefix="sereno-notify") as pool:
        routes = [pool.submit(Sender(services, name, clock).send, notices) for name, notices in waiting.items()]
        sending = sum((route.result() for route in routes), Sending())
    if any(refusal.next_try is None for refusal in sending.refusals):
        _tell_of_given_up(services, began)
    return sending


def _tell_of_given_up(services: Services, since: datetime) -> None:
    """Write for the other routes that messages were given up; sent the next time."""
    from infra.runtime.notices import NOTICE_FAILED

    for event in services.state.events(kinds=[NOTICE_FAILED], since=since):
        tell_fault(services, event)
