"""Wrong tokens, counted by address: after some within a minute an address is refused for the rest of it.

Memory is bounded whoever calls: addresses that are longest without a mistake are forgotten first, and so are tokens
that were right a long time ago.
"""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable
from ipaddress import ip_address, ip_network

WINDOW_SECONDS = 60.0
MOST_ADDRESSES = 10_000
MOST_TOKENS = 1_000


class FailedLogins:
    """How many wrong tokens came from where; used by one event loop.

    Args:
        most: So many are allowed within a minute.
        clock: Seconds that only grow.
    """

    def __init__(self, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._clock = clock
        self._wrong: OrderedDict[str, tuple[float, int]] = OrderedDict()
        self._right: OrderedDict[bytes, None] = OrderedDict()

    def refused_for(self, address: str, token: str) -> float:
        """How many seconds an address is still refused, 0 where it is not.

        A token that was right before is looked at all the same: whoever shares an address with a broken program is not
        locked out by it.
        """
        began, wrong = self._wrong.get(_network(address), (0.0, 0))
        left = began + WINDOW_SECONDS - self._clock()
        return left if wrong >= self._most and left > 0 and _digest(token) not in self._right else 0.0

    def was_wrong(self, address: str) -> bool:
        """Count a wrong token, and return whether it was the one too many."""
        network, now = _network(address), self._clock()
        began, wrong = self._wrong.pop(network, (now, 0))
        if began + WINDOW_SECONDS <= now:
            began, wrong = now, 0
        self._wrong[network] = (began, wrong + 1)
        _bound(self._wrong, MOST_ADDRESSES)
        return wrong + 1 == self._most

    def was_right(self, token: str) -> None:
        """Remember a token that was right."""
        digest = _digest(token)
        self._right[digest] = None
        self._right.move_to_end(digest)
        _bound(self._right, MOST_TOKENS)


def _network(address: str) -> str:
    """An address; of IPv6 the network of one customer, who has all of its addresses."""
    try:
        known = ip_address(address)
    except ValueError:
        return address[:64]
    return str(ip_network((known, 64), strict=False)) if known.version == 6 else str(known)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


def _bound(kept: OrderedDict[str, tuple[float, int]] | OrderedDict[bytes, None], most: int) -> None:
    while len(kept) > most:
        kept.popitem(last=False)
