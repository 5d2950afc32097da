"""The process that sends: one for each address, ended at the latest when its time is over.

A library that hangs, or a receiver that answers a byte a minute, would otherwise hold the command for ever; and what a
library logs of an address stays in there.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

START_SECONDS = 60.0
"""Python and Apprise are imported in well under a second, but not on a machine that is busy."""


class Unsendable(Exception):
    """Why nothing can be sent to an address at present; no part of it is in the text."""


class Courier:
    """Sends messages to one address; use it as a context.

    Args:
        address: The address.
        insecure: Whether the way there may be open to others.
        seconds: How long one message may take.

    Attributes:
        is_gone: Whether the process ended: nothing more can be sent with it.
    """

    def __init__(self, address: str, *, insecure: bool = False, seconds: float = 20.0) -> None:
        self._opening = {"address": address, "insecure": insecure, "seconds": seconds}
        self._seconds = seconds
        self.is_gone = False

    def __enter__(self) -> Self:
        """Start the process and let it open the address.

        Raises:
            Unsendable: Nothing can be sent there.
        """
        # Not from the current folder (-P): a user's own `tasks` may stand there.
        command = [sys.executable, "-P", "-m", "tasks.deliver"]
        pipe = subprocess.PIPE
        self._child = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL)
        try:
            refused = self._asked(self._opening, START_SECONDS, "the process that sends did not start")
        except BaseException:
            self._end()
            raise
        if refused is not None:
            self._end()
            raise Unsendable(refused)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def send(self, letter: Mapping[str, Any]) -> str | None:
        """Send one message, and return why it was not taken; None where it was.

        Args:
            letter: See `tasks.deliver.Receiver.take`.
        """
        return self._asked(letter, self._seconds, f"the receiver did not take it within {self._seconds:.0f} s")

    def _asked(self, question: Mapping[str, Any], seconds: float, otherwise: str) -> str | None:
        """The reason that a line is answered with; `otherwise` where the process ends without an answer.

        It does when the time is over.
        """
        over = threading.Timer(seconds, self._child.kill)
        over.daemon = True
        over.start()
        try:
            line = self._exchanged(json.dumps(question).encode() + b"\n")
        finally:
            over.cancel()
        if not line.endswith(b"\n"):
            self.is_gone = True
            return otherwise
        reason = json.loads(line)["reason"]
        return None if reason is None else str(reason)

    def _exchanged(self, line: bytes) -> bytes:
        to, back = self._child.stdin, self._child.stdout
        if to is None or back is None:
            raise RuntimeError("the sending process was started without pipes")
        try:
            to.write(line)
            to.flush()
            return back.readline()
        except BrokenPipeError:
            return b""

    def _end(self) -> None:
        self._child.kill()
        for pipe in (self._child.stdin, self._child.stdout):
            with suppress(BrokenPipeError):
                if pipe is not None:
                    pipe.close()
        self._child.wait()
