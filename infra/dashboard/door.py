"""The door in front of all routes: which names it answers to, who is let in, how much is taken, what every answer says.

It refuses the unknown: a path that is not `/health` needs a valid token before anything is looked up or read, whether
there is a route behind it or not.
"""

from __future__ import annotations

import base64
import binascii
import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException

from infra.dashboard.failed_logins import FailedLogins
from infra.dashboard.problems import Refused
from infra.runtime.events import Event
from schemas.errors import StateError

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from infra.runtime.state import State
    from infra.runtime.tokens import Token
    from schemas.service import ServiceSettings

log = logging.getLogger("sereno.http")

OPEN = frozenset({"/health"})
"""The paths that need no token; what they answer says nothing of the project."""
LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
READS = frozenset({"GET", "HEAD"})
FOR_PROGRAMS, FOR_BROWSERS = 'Bearer realm="sereno"', 'Basic realm="sereno", charset="UTF-8"'
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
BY_TLS = {"Strict-Transport-Security": "max-age=31536000"}


class Door:
    """An ASGI application that lets known callers through to another one, which finds the token in its scope.

    Args:
        inner: The application behind the door.
        state: Where the tokens are.
        settings: Names that it answers to, and bounds.
    """

    def __init__(self, inner: ASGIApp, state: State, settings: ServiceSettings) -> None:
        self._inner = inner
        self._state = state
        self._most = settings.max_body
        self._logins = FailedLogins(settings.failed_logins)
        self._hosts = frozenset(name.lower() for name in (*LOOPBACK, _as_host(settings.host), *settings.allowed_hosts))
        self._headers = HEADERS | (BY_TLS if settings.certificate is not None else {})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        sending = self._with_headers(send)
        try:
            scope.setdefault("state", {})["token"] = await self._let_in(scope)
        except Refused as refused:
            await refused.answer()(scope, receive, sending)
        else:
            await self._inner(scope, self._bounded(receive), sending)

    async def _let_in(self, scope: Scope) -> Token | None:
        headers = Headers(scope=scope)
        self._check_host(headers.getlist("host"))
        if int(_digits(headers.get("content-length"))) > self._most:
            raise self._too_large()
        if scope["path"] in OPEN:
            return None
        text = _credentials(headers.getlist("authorization"), basic=scope["method"] in READS)
        # A browser asks its user for what the answer calls for.
        challenge = FOR_BROWSERS if "text/html" in headers.get("accept", "") else FOR_PROGRAMS
        if text is None:
            raise _unknown("This needs a token.", challenge)
        token = await self._token_of(text, scope["client"][0] if scope.get("client") else "")
        if token is None:
            raise _unknown("The token is not valid: wrong, expired or revoked.", challenge)
        return token

    def _check_host(self, hosts: Iterable[str]) -> None:
        """A page of another site that has its name point here (DNS rebinding) still calls us by that name."""
        named = [_without_port(host) for host in hosts]
        if len(named) != 1 or not any(_fits(named[0], known) for known in self._hosts):
            raise Refused(
                400,
                f"This server does not answer to the name {', '.join(named)[:200]!r}.",
                "call it by localhost, or name it in the setting service.allowed_hosts",
            )

    async def _token_of(self, text: str, address: str) -> Token | None:
        wait = self._logins.refused_for(address, text)
        if wait:
            raise Refused(
                429, "Too many wrong tokens came from this address.", "wait", {"Retry-After": str(int(wait) + 1)}
            )
        try:
            token = await run_in_threadpool(self._state.token_of, text)
        except StateError as error:
            log.warning("%s", error)
            raise Refused(503, "The project's stores do not answer.") from None
        if token is not None:
            self._logins.was_right(text)
            return token
        if self._logins.was_wrong(address):
            await run_in_threadpool(self._tell, address)
        return None

    def _tell(self, address: str) -> None:
        words = f"Too many wrong tokens came from {address}: it is refused for the rest of a minute."
        log.warning("%s", words)
        try:
            self._state.tell(Event("login_refused", words, "warning", detail={"address": address}))
        except StateError as error:
            log.warning("%s", error)

    def _bounded(self, receive: Receive) -> Receive:
        """The length that a request states may be missing or a lie: what comes is counted."""
        left = self._most

        async def bounded() -> Message:
            nonlocal left
            message = await receive()
            if message["type"] == "http.request":
                left -= len(message.get("body", b""))
                if left < 0:
                    raise HTTPException(413, self._too_large().problem.error)
            return message

        return bounded

    def _too_large(self) -> Refused:
        return Refused(413, f"The body is larger than {self._most:,} bytes.", "send less at once")

    def _with_headers(self, send: Send) -> Send:
        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
            await send(message)

        return sending


def _unknown(error: str, challenge: str) -> Refused:
    hint = "send `Authorization: Bearer TOKEN`; make a token with: sereno tokens add NAME --role read"
    return Refused(401, error, hint, {"WWW-Authenticate": challenge})


def _credentials(values: list[str], *, basic: bool) -> str | None:
    """The token of an Authorization header; a browser, which only reads, sends it as the password of any user.

    A browser also sends it with a form that another site has it post, so that way changes nothing.
    """
    if len(values) != 1:
        return None
    scheme, _, rest = values[0].partition(" ")
    if scheme.lower() == "bearer":
        return rest.strip()
    if scheme.lower() != "basic" or not basic:
        return None
    try:
        return base64.b64decode(rest.strip(), validate=True).decode().partition(":")[2]
    except (binascii.Error, UnicodeDecodeError):
        return None


def _digits(length: str | None) -> str:
    return length if length and length.isascii() and length.isdigit() and len(length) < 20 else "0"


def _as_host(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _without_port(host: str) -> str:
    name, colon, port = host.lower().rpartition(":")
    return name if colon and port.isdigit() else host.lower()


def _fits(host: str, known: str) -> bool:
    return host == known or (known.startswith("*.") and host.endswith(known[1:]))
