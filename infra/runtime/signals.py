"""SIGTERM as an exception, so that `finally` runs, and death with one's parent."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from types import FrameType
from typing import TypeVar

Held = TypeVar("Held")

SIGTERM_EXIT = 128 + signal.SIGTERM
_STOPPING = (signal.SIGTERM, signal.SIGINT)
_PR_SET_PDEATHSIG = 1


@contextmanager
def sigterm_exits() -> Iterator[None]:
    """Within the block SIGTERM raises SystemExit(143); elsewhere than in the main thread nothing is changed."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before if before is not None else signal.SIG_DFL)


def held(stack: ExitStack, context: AbstractContextManager[Held]) -> Held:
    """Enter what starts processes; SIGTERM and SIGINT wait until the stack will end it: half started it is nobody's."""
    with _signals_wait():
        return stack.enter_context(context)


@contextmanager
def _signals_wait() -> Iterator[None]:
    """Within the block SIGTERM and SIGINT wait for its end, where they do what they did before it.

    Elsewhere than in the main thread nothing is changed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    waiting: list[int] = []
    before = {number: signal.signal(number, lambda number, _frame: waiting.append(number)) for number in _STOPPING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
        for kept in dict.fromkeys(waiting):
            signal.raise_signal(kept)


def die_with_parent(parent_pid: int | None = None) -> None:
    """Ask Linux to kill this process when the thread that started it ends; elsewhere nothing happens.

    Args:
        parent_pid: The parent as it knew itself: when it is gone already, this process ends at once.
    """
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if parent_pid is not None and os.getppid() != parent_pid:
        os._exit(SIGTERM_EXIT)


def _leave(_number: int, _frame: FrameType | None) -> None:
    sys.exit(SIGTERM_EXIT)
