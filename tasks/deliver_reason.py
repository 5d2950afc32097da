"""Why a message was not taken, in words, out of what Apprise logged; no part of the address is left in them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from http import HTTPStatus

from schemas.notify_address import without_address

MOST_CHARACTERS = 300
_STATUS = re.compile(r"error=(\d{3})\b")
_MAIL = re.compile(r"\(?(\d{3}),? b?['\"](.+?)['\"]\)")
_KNOWN: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), words)
    for pattern, words in (
        (r"certificate.verify.failed", "the certificate of the receiver is not accepted"),
        (r"STARTTLS.*not supported|wrong.version.number|ssl", "no encrypted connection could be made"),
        (
            r"name.?resolution|getaddrinfo|name or service not known|nodename nor servname|no address",
            "the name of the host is not known",
        ),
        (r"connection refused|errno 111", "nobody answers at host and port: connection refused"),
        (r"timed out|timeout", "the receiver did not answer in time"),
        (r"unreachable|no route to host", "the network does not lead to the host"),
        (
            r"connection reset|connection aborted|remote end closed|unexpectedly closed|disconnected",
            "the receiver closed the connection without an answer",
        ),
        (r"too many redirects", "the address leads elsewhere, again and again"),
    )
)


def described(heard: Iterable[tuple[str, str]], address: str) -> str:
    """Return the reason in one sentence; empty where nothing was said.

    Args:
        heard: Level and text of what was logged, in order.
        address: The address, to clear the reason of it.
    """
    said = list(heard)
    everything = "\n".join(text for _, text in said)
    return _shown(_answered(everything) or _known(everything) or _warned(said), address)


def _answered(text: str) -> str:
    """What the receiver itself said: an HTTP status, or a reply of a mail server."""
    if statuses := _STATUS.findall(text):
        code = int(statuses[-1])
        phrase = HTTPStatus(code).phrase if code in set(HTTPStatus) else "an unknown status"
        hint = "; redirects are not followed" if 300 <= code < 400 else ""
        return f"the receiver answered {code} {phrase}{hint}"
    if replies := _MAIL.findall(text):
        code, said = replies[-1]
        return f"the mail server answered {code}: {said}"
    return ""


def _known(text: str) -> str:
    return next((words for pattern, words in _KNOWN if pattern.search(text)), "")


def _warned(said: list[tuple[str, str]]) -> str:
    return "; ".join(dict.fromkeys(text.strip() for level, text in said if level in ("WARNING", "ERROR", "CRITICAL")))


def _shown(text: str, address: str) -> str:
    from tasks.report_text import shortened

    shown, cut = shortened(without_address(" ".join(text.split()), address), MOST_CHARACTERS)
    return shown + ("…" if cut else "")
