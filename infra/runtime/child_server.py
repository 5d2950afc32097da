"""A server in a child process: it takes a listening socket, says when it answers, and ends with its parent.

``python -P -m MODULE SOCKET READY PARENT``: SOCKET is the listening socket, READY the pipe to say on that it answers,
PARENT the process to die with (0: the pipe on standard input alone says so).
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import Protocol

from infra.runtime.child_side import end_with_input
from infra.runtime.signals import die_with_parent


class Stoppable(Protocol):
    """What the watcher needs of a uvicorn server."""

    should_exit: bool


def taken_over(arguments: Sequence[str]) -> tuple[socket.socket, int]:
    """Take the socket and the parent from the command line.

    Returns:
        The listening socket, and the pipe to say on that it answers.
    """
    number, ready, parent = (int(argument) for argument in arguments)
    if parent:
        die_with_parent(parent)
    return socket.socket(fileno=number), ready


def end_with_parent(server: Stoppable) -> None:
    """Have a server end when standard input does: soon by itself, else at once."""

    def end() -> None:
        server.should_exit = True

    end_with_input(end)
