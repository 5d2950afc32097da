"""Notification addresses: which services may be named, and what must never be read of one."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from urllib.parse import parse_qsl, unquote, urlsplit

from schemas.yaml_source import nearest

WEBHOOKS = ("https", "http", "jsons", "json", "xmls", "xml", "forms", "form")
MAIL = (
    "mailtos",
    "mailto",
    "brevo",
    "mailgun",
    "o365",
    "postmark",
    "resend",
    "sendgrid",
    "ses",
    "smtp2go",
    "sparkpost",
)
CHAT = ("slack", "workflows", "discord", "gchat", "webex", "wxteams", "zulip", "tgram", "twist")
OWN_CHAT = ("mmosts", "mmost", "rockets", "rocket", "matrixs", "matrix", "nctalks", "nctalk", "signals", "signal")
ON_CALL = ("pagerduty", "opsgenie", "jira", "pagertree", "splunk", "victorops", "signl4")
PUSH = ("ntfys", "ntfy", "gotifys", "gotify", "pover", "pbul", "twilio", "vonage", "sns")
SERVICES = frozenset((*WEBHOOKS, *MAIL, *CHAT, *OWN_CHAT, *ON_CALL, *PUSH))
"""Services that answer whether they took a message; none runs a program, writes a file, or sends into the blue."""

PLAIN = frozenset(name for name in SERVICES if f"{name}s" in SERVICES)
"""Those whose way is not encrypted: each has a brother that is, with an `s` behind its name."""

MASK = "***"
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]{0,19})://", re.IGNORECASE)
_ENCRYPTED_MODES = ("ssl", "starttls")
_TELLS_NOTHING = frozenset({"yes", "true", "html", "text", "markdown", "localhost", "127.0.0.1", *_ENCRYPTED_MODES})
_LEAST_CHARACTERS = 3
_LONG = 8


def check_address(address: str, *, insecure: bool = False) -> str:
    """Return the service that an address names, in small letters.

    Args:
        address: As it stands in the settings, a variable or a file; no part of it is in any error.
        insecure: Whether the way there may be one that others on the network can read.

    Raises:
        ValueError: It is none, its service is not allowed, or the way there is open to others.
    """
    found = _SCHEME.match(address)
    if found is None:
        raise ValueError("it is no address; write it as SERVICE://..., for example mailtos://, slack:// or https://")
    name = found.group(1).lower()
    if name == "msteams":
        raise ValueError("Microsoft retired the connectors of `msteams`; use the address of a Teams workflow")
    if name not in SERVICES:
        raise ValueError(f"`{name}` is not allowed{nearest(name, SERVICES)}; allowed: {', '.join(sorted(SERVICES))}")
    if not insecure:
        _check_way(name, address)
    return name


def _check_way(name: str, address: str) -> None:
    options = {key.lower(): value for key, value in parse_qsl(address.partition("?")[2])}
    # Behind an address of the web all options are the receiver's own.
    if name not in ("http", "https") and options.get("verify", "yes").lower() in ("no", "false", "off", "0"):
        raise ValueError("`verify=no` lets anybody stand in for the receiver; say `insecure: true` if you mean it")
    is_mail = name in ("mailto", "mailtos")
    if not is_mail and name not in (*PLAIN, *WEBHOOKS):  # what stands there are tokens, the host is the service's own
        return
    mode = options.get("mode", "").lower() if is_mail else ""
    is_plain = mode not in _ENCRYPTED_MODES if mode else name in PLAIN
    host = (options.get("smtp") if is_mail else None) or _host(address)
    if is_plain and not _is_this_machine(host):
        raise ValueError(
            f"the way by `{name}` to another machine is not encrypted; use `{name.rstrip('s')}s`, "
            "or say `insecure: true` if nobody else can read along"
        )


def _host(address: str) -> str:
    try:
        parts = urlsplit(address)
        host, _port = parts.hostname, parts.port
    except ValueError:
        raise ValueError("host or port of the address cannot be read") from None
    return host or ""


def _is_this_machine(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def without_address(text: str, address: str) -> str:
    """Return a text in which no part of an address is left: host, names, passwords, path, values of options."""
    parts = {part for part in _parts(address.strip()) if part.lower() not in _TELLS_NOTHING}
    for part in sorted(parts, key=len, reverse=True):
        # A short one is left within other words: `tok` in `Token`.
        form = re.escape(part) if len(part) >= _LONG else rf"(?<!\w){re.escape(part)}(?!\w)"
        text = re.sub(form, MASK, text, flags=re.IGNORECASE)
    return text


def _parts(address: str) -> Iterator[str]:
    before, _, query = address.partition("?")
    values = [value for pair in re.split("[&;]", query) for value in pair.partition("=")[2:]]
    yield address
    for piece in (*re.split("[/#]", before.partition("://")[2]), *values):
        for written in (piece, unquote(piece)):
            for part in (written, *re.split("[/#@:,<> ]", written)):
                if len(part) >= _LEAST_CHARACTERS:
                    yield part
