"""Keeps children alive: starts them in order, starts again what dies, ends them in reverse order."""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING

from schemas.errors import SerenoError

if TYPE_CHECKING:
    from infra.service.child import ChildProcess

LOOK_SECONDS = 0.5
PAUSES = (0.0, 1.0, 2.0, 5.0, 15.0, 60.0)
"""Before the first, second, ... start after a death."""
STEADY_SECONDS = 300.0
"""Whoever lived so long is started at once when it dies."""

NO_ROOM = (OSError, RuntimeError)
"""What a machine says that has no room for another process (`OSError`) or thread (`RuntimeError`)."""

logger = logging.getLogger("sereno.up")


@dataclass(frozen=True)
class Post:
    """A child that is to be kept alive.

    Args:
        name: For messages.
        begin: Starts it, with its output in a pipe.
        ready_seconds: So long it may take until it is ready.
        stop_seconds: So long it may take to end.
    """

    name: str
    begin: Callable[[], ChildProcess]
    ready_seconds: float = 120.0
    stop_seconds: float = 10.0


@dataclass
class Held:
    """A child at its post.

    Args:
        post: Which one.
        child: Its process; None between two of them.
        since: When it was started, by the monotonic clock.
        deaths: How often in a row it died young.
        restarts: How often it was started again.
        due: When it is started again, by the monotonic clock.
    """

    post: Post
    child: ChildProcess | None = None
    since: float = 0.0
    deaths: int = 0
    restarts: int = 0
    due: float = field(default=0.0)


class Supervisor:
    """Holds posts until told to stop.

    Args:
        posts: In the order in which they start; each waits for the one before.
        died: Called with the child's name and how it ended, each time that one dies.
        changed: Called each time that a child was started or died.
    """

    def __init__(
        self, posts: Sequence[Post], died: Callable[[str, str], None], changed: Callable[[Sequence[Held]], None]
    ) -> None:
        self._held = [Held(post) for post in posts]
        self._died = died
        self._changed = changed

    def run(self, stop: threading.Event, up: Callable[[], None]) -> None:
        """Start everything, say so, and keep it alive until told to stop.

        Raises:
            SerenoError: A child cannot be started in the first place.
        """
        try:
            for held in self._held:
                self._start_first(held)
                self._wait_for(held, stop)
            if not stop.is_set():
                up()
            while not stop.wait(LOOK_SECONDS):
                for held in self._held:
                    self._look_after(held)
        finally:
            self._end()

    def _start_first(self, held: Held) -> None:
        try:
            self._start(held)
        except NO_ROOM as error:
            raise SerenoError(
                f"{held.post.name} could not be started: {error}.",
                hint="Look for memory and for the number of processes (`ulimit -u`), and start the service again.",
            ) from error

    def _start(self, held: Held) -> None:
        held.since = time.monotonic()
        child = held.post.begin()
        try:
            _hear(held.post.name, child)
        except RuntimeError:
            child.stop(0)
            raise
        held.child = child
        logger.info("%s started as process %d", held.post.name, child.pid)
        self._changed(self._held)

    def _start_again(self, held: Held) -> None:
        held.restarts += 1
        try:
            self._start(held)
        except NO_ROOM as error:
            self._bury(held, f"could not be started: {error}")

    def _wait_for(self, held: Held, stop: threading.Event) -> None:
        child = held.child
        while child is not None and not stop.is_set():
            if child.is_ready(LOOK_SECONDS):
                return
            if child.closed_early or child.ended() is not None:
                raise SerenoError(f"{held.post.name} ended while it started.", hint="Its words stand above.")
            if time.monotonic() - held.since > held.post.ready_seconds:
                raise SerenoError(f"{held.post.name} was not ready within {held.post.ready_seconds:.0f} s.")

    def _look_after(self, held: Held) -> None:
        now = time.monotonic()
        if held.child is None:
            if now >= held.due:
                self._start_again(held)
            return
        ended = held.child.ended()
        if ended is None and not held.child.is_ready() and now - held.since > held.post.ready_seconds:
            held.child.stop(0)
            self._bury(held, f"was not ready within {held.post.ready_seconds:.0f} s")
        elif ended is not None:
            held.child.release()
            self._bury(held, _how(ended))

    def _bury(self, held: Held, how: str) -> None:
        now = time.monotonic()
        held.deaths = 1 if now - held.since > STEADY_SECONDS else held.deaths + 1
        pause = PAUSES[min(held.deaths - 1, len(PAUSES) - 1)]
        held.child, held.due = None, now + pause
        logger.warning("%s %s; started again%s", held.post.name, how, f" in {pause:.0f} s" if pause else "")
        self._changed(self._held)
        self._died(held.post.name, how)

    def _end(self) -> None:
        for held in reversed(self._held):
            if held.child is not None:
                held.child.stop(held.post.stop_seconds)
                logger.info("%s ended", held.post.name)


def _hear(name: str, child: ChildProcess) -> None:
    if child.output is not None:
        threading.Thread(target=_pass_on, args=(name, child.output), daemon=True, name=f"log-{name}").start()


def _how(status: int) -> str:
    if status >= 0:
        return f"ended with status {status}"
    try:
        return f"was killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"was killed by signal {-status}"


def _pass_on(name: str, output: IO[bytes]) -> None:
    """Write a child's lines into our own log, as words or JSON as that is."""
    log = logging.getLogger(f"sereno.up.{name}")
    with output:
        for line in output:
            if text := line.decode("utf-8", errors="replace").rstrip():
                log.info("%s", text)
