"""The child's side of a process that must not outlive the one that started it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

GRACE_SECONDS = 4.0


def end_with_input(end: Callable[[], None], grace: float = GRACE_SECONDS) -> None:
    """Once standard input ends, as the parent has gone or says so, call a function, and leave for good a moment later.

    Args:
        end: Makes the process end by itself.
        grace: So many seconds it has for it.
    """

    def watch() -> None:
        os.read(0, 1)
        end()
        threading.Event().wait(grace)
        os._exit(0)

    threading.Thread(target=watch, daemon=True, name="parent").start()
