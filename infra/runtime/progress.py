"""One line on a terminal that says what is going on; nothing where nobody watches."""

from __future__ import annotations

import sys
import time
from typing import TextIO

_EVERY_SECONDS = 0.1
_WIDTH = 100


class Progress:
    """Overwrites one line of standard error, at most ten times a second.

    Args:
        stream: Standard error where None.
        shown: Whether to show anything; None asks the stream whether it is a terminal.
    """

    def __init__(self, stream: TextIO | None = None, *, shown: bool | None = None) -> None:
        self._stream = stream or sys.stderr
        self._shown = self._stream.isatty() if shown is None else shown
        self._last = 0.0
        self._open = False

    def say(self, text: str) -> None:
        """Show a state, for example ``train  epoch 12 of 60  loss 0.083``."""
        now = time.monotonic()
        if self._shown and now - self._last >= _EVERY_SECONDS:
            self._last = now
            self._open = True
            line = " ".join(text.split())[:_WIDTH]
            self._stream.write(f"\r\x1b[2K{line}")
            self._stream.flush()

    def clear(self) -> None:
        """Wipe the line, before something else is printed."""
        if self._open:
            self._stream.write("\r\x1b[2K")
            self._stream.flush()
            self._open = False
