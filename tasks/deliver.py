"""One message to one address, through Apprise: what the sending process does (`tasks.courier` is its other side).

The address comes in on standard input and stays in this process: what libraries print or log of it goes nowhere, and a
reason that goes back is cleared of it.
"""

from __future__ import annotations

import base64
import json
import logging
import os
import re
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO
from urllib.parse import parse_qsl, unquote, urlsplit

from schemas.notify_address import MAIL, SERVICES, WEBHOOKS, check_address
from tasks.deliver_reason import described

if TYPE_CHECKING:
    from apprise import AppriseAsset, AppriseAttachment, NotifyBase

TYPES = {"low": "info", "medium": "warning", "high": "failure", "critical": "failure"}
"""How Apprise calls what matters so much."""

SLACK_SECONDS = 10.0
"""So much later than it should the process ends by itself, where its parent is gone."""

MOST_PAUSE_SECONDS = 1.0
"""Between two messages: Apprise's own pauses of over 5 s are for those who send many."""


class Unusable(Exception):
    """An address that Apprise can make nothing of."""


class Receiver:
    """Where messages go.

    Args:
        plugin: Apprise's.
        address: The address, to clear reasons of it.
    """

    def __init__(self, plugin: NotifyBase, address: str) -> None:
        self.plugin = plugin
        self._address = address
        self._reads_pages = not plugin.schemas().isdisjoint(MAIL)
        self._is_webhook = not plugin.schemas().isdisjoint(WEBHOOKS)
        self._own_fields = dict(getattr(plugin, "payload_extras", {}))

    def take(self, letter: Mapping[str, Any]) -> str | None:
        """Send one message, and return why it was not taken; None where it was.

        Args:
            letter: `subject`, `text`, `html`, `severity`; `fields` for webhooks; `attachment`: `name` and `content`, or
                nothing.
        """
        with _heard() as heard:
            try:
                taken = self._is_taken(letter)
            except Exception as error:  # noqa: BLE001 -- whatever a plugin raises, the message was not taken
                heard.append(("WARNING", f"{type(error).__name__}: {error}"))
                taken = False
        return None if taken else described(heard, self._address) or "it was not taken, and no reason was given"

    def _is_taken(self, letter: Mapping[str, Any]) -> bool:
        from apprise import NotifyFormat, NotifyType

        if self._is_webhook:
            vars(self.plugin)["payload_extras"] = {**letter["fields"], **self._own_fields}
        plain = letter["text"] if self._is_webhook else _calling_nobody(letter["text"])
        return self.plugin.notify(
            body=letter["html"] if self._reads_pages else plain,
            title=letter["subject"],
            notify_type=NotifyType(TYPES[letter["severity"]]),
            body_format=NotifyFormat.HTML if self._reads_pages else NotifyFormat.TEXT,
            attach=_attached(letter["attachment"]) if self.plugin.attachment_support else None,
        )


def _calling_nobody(text: str) -> str:
    """A text for a chat, in which a value such as `@everyone` wakes nobody: a sign without width parts it."""
    return re.sub(r"@(?=\S)", "@\N{WORD JOINER}", text)


def open_receiver(address: str, *, insecure: bool = False, seconds: float = 20.0) -> Receiver:
    """Return the receiver of an address; `http` and `https` that lead to no known service take JSON.

    Args:
        address: The address.
        insecure: Whether the way there may be open to others.
        seconds: How long it may take to answer.

    Raises:
        Unusable: The address names no service that is allowed, or is incomplete; no part of it is in the error.
    """
    with _heard() as heard:
        try:
            name = check_address(address, insecure=insecure)
            plugin = _plugin(name, address)
        except Exception as error:  # noqa: BLE001 -- plugins refuse an address with errors of many kinds
            heard.append(("WARNING", str(error)))
            raise Unusable(described(heard, address)) from None
    from apprise import OverflowMode

    if plugin.schemas().isdisjoint((*MAIL, *WEBHOOKS)):
        plugin.overflow_mode = OverflowMode.SPLIT  # a chat refuses what is longer than it takes
    plugin.redirects = False  # a message that went elsewhere, perhaps without its body, was not taken
    plugin.request_rate_per_sec = min(plugin.request_rate_per_sec, MOST_PAUSE_SECONDS)
    plugin.socket_connect_timeout = plugin.socket_read_timeout = max(1.0, seconds - 1)
    return Receiver(plugin, address)


def _plugin(name: str, address: str) -> NotifyBase:
    found = None if name == "http" else _instance(address)
    if name in ("http", "https") and (found is None or SERVICES.isdisjoint(found.schemas())):
        found = _instance(_json_webhook(address))
    if found is None:
        raise Unusable("something is missing in it")
    return found


def _instance(wanted: str | dict[str, Any]) -> NotifyBase | None:
    from apprise import Apprise

    return Apprise.instantiate(wanted, asset=_asset(), suppress_exceptions=False)


def _json_webhook(address: str) -> dict[str, Any]:
    """What makes Apprise's webhook of an address as it stands: its own form would drop the options behind `?`."""
    parts = urlsplit(address)
    host = parts.hostname or ""
    is_secure = parts.scheme.lower() == "https"
    return {
        "schema": "jsons" if is_secure else "json",
        "secure": is_secure,
        "host": f"[{host}]" if ":" in host else host,
        "port": parts.port,
        "user": unquote(parts.username) if parts.username else None,
        "password": unquote(parts.password) if parts.password else None,
        "fullpath": parts.path or "/",
        "params": dict(parse_qsl(parts.query, keep_blank_values=True)),
    }


def _asset() -> AppriseAsset:
    from apprise import AppriseAsset

    return AppriseAsset(
        app_id="Sereno", app_desc="Sereno", app_url="", image_url_mask="", image_url_logo="", http_redirects=False
    )


def _attached(attachment: Mapping[str, str] | None) -> AppriseAttachment | None:
    if attachment is None:
        return None
    from apprise import AppriseAttachment
    from apprise.attachment.memory import AttachMemory

    content = base64.b64decode(attachment["content"])
    found = AppriseAttachment()
    found.add(AttachMemory(content=content, name=attachment["name"], mimetype="text/html"))
    return found


class _Listener(logging.Handler):
    """Keeps level and text of every record."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[tuple[str, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.heard.append((record.levelname, record.getMessage()))


@contextmanager
def _heard() -> Iterator[list[tuple[str, str]]]:
    """Collect what Apprise logs within the block, and keep it from every other logger."""
    logger, listener = logging.getLogger("apprise"), _Listener()
    before = logger.propagate, logger.level
    logger.addHandler(listener)
    logger.propagate = False
    logger.setLevel(logging.DEBUG)
    try:
        yield listener.heard
    finally:
        logger.removeHandler(listener)
        logger.propagate = before[0]
        logger.setLevel(before[1])


def main() -> int:
    """Open the address of the first line, then send the message of each line that follows; answer each with one."""
    answers = _answers_alone()
    opening = json.loads(sys.stdin.readline())
    seconds = float(opening["seconds"])
    try:
        receiver = open_receiver(opening["address"], insecure=opening["insecure"], seconds=seconds)
    except Unusable as error:
        _answer(answers, str(error))
        return 1
    _answer(answers, None)
    for line in sys.stdin:
        signal.alarm(int(seconds + SLACK_SECONDS))
        reason = receiver.take(json.loads(line))
        signal.alarm(0)
        _answer(answers, reason)
    return 0


def _answers_alone() -> TextIO:
    """Standard output for answers only: what a library prints must neither be taken for one nor be seen."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    return answers


def _answer(to: TextIO, reason: str | None) -> None:
    to.write(json.dumps({"reason": reason}) + "\n")
    to.flush()


if __name__ == "__main__":
    sys.exit(main())
