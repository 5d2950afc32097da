"""A test message on each route: whether it is taken, and why not; nothing of it is kept."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from schemas.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from schemas.message import Message
    from tasks.services import Services


@dataclass(frozen=True)
class Trial:
    """What became of a test message.

    Args:
        route: The route.
        taken: Whether the receiver took it.
        reason: Why not, without any part of the address.
        seconds: How long it took.
    """

    route: str
    taken: bool
    reason: str
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def try_routes(services: Services, names: Sequence[str]) -> list[Trial]:
    """Send a test message on each of the routes, on all at once."""
    with ThreadPoolExecutor(max(1, min(8, len(names)))) as pool:
        return list(pool.map(lambda name: _tried(services, name), names))


def _tried(services: Services, name: str) -> Trial:
    from tasks.night import actor
    from tasks.notify_messages import trial_message

    start = time.monotonic()
    reason = send_directly(services, name, trial_message(name, datetime.now(UTC), actor()))
    return Trial(name, reason is None, reason or "", round(time.monotonic() - start, 3))


def send_directly(services: Services, name: str, message: Message) -> str | None:
    """Send one message on a route and keep nothing of it, for a trial, or where the outbox cannot be written.

    Returns:
        Why it was not taken, without any part of the address; None where it was.
    """
    from tasks.courier import Courier, Unsendable
    from tasks.notify_text import letter

    route, notify = services.settings.notify.routes[name], services.settings.notify
    try:
        address = route.address(services.project.root)
        with Courier(address, insecure=route.insecure, seconds=notify.timeout.total_seconds()) as courier:
            return courier.send(letter(message, None, attach=False))
    except ConfigError as error:
        return error.message
    except Unsendable as error:
        return f"the address cannot be used: {error}"
