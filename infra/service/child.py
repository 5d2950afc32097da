"""A child process that serves: it says when it is ready, and it does not outlive us, however we end.

It reads a pipe whose other end we hold, and on Linux the kernel kills it, too.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Self

STOP_SECONDS = 5.0


class ChildProcess:
    """A module of ours that runs in a process of its own, from `begin`.

    Args:
        process: The child; its standard input is the pipe whose end says that we ended.
        ready: Where the child says that it works.

    Attributes:
        closed_early: Whether it ended, or gave up, before it was ready; known once `is_ready` was asked.
    """

    def __init__(self, process: subprocess.Popen[bytes], ready: int) -> None:
        self._process = process
        self._ready = ready
        self._open = True
        self._answered = False
        self.closed_early = False

    @classmethod
    def begin(
        cls,
        module: str,
        *,
        listening: int | None = None,
        environment: Mapping[str, str],
        folder: Path,
        output: int | IO[bytes],
    ) -> Self:
        """Start the child and return at once.

        Args:
            module: Its module; called with the numbers of the listening socket (-1 for none), of the pipe to say on
                that it is ready, and of the process to die with (0: the pipe on standard input alone says so).
            listening: The file number of a socket that listens.
            environment: All of its environment.
            folder: Where it works.
            output: Where its output goes.

        Raises:
            OSError: The machine has no room for another process.
        """
        ready, say_ready = os.pipe()
        passed = [say_ready] if listening is None else [listening, say_ready]
        numbers = [-1 if listening is None else listening, say_ready, _parent()]
        try:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", module, *map(str, numbers)],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=passed,
                env=dict(environment),
                cwd=folder,
                # Ctrl-C is for us: a child is needed until the last line is sent.
                start_new_session=True,
            )
        except BaseException:
            os.close(ready)
            raise
        finally:
            os.close(say_ready)
        return cls(process, ready)

    @property
    def pid(self) -> int:
        """The child's process number."""
        return self._process.pid

    @property
    def output(self) -> IO[bytes] | None:
        """What it prints, where `begin` was asked for a pipe."""
        return self._process.stdout

    def ended(self) -> int | None:
        """How it ended: its exit status, minus the signal's number where one killed it; None while it works."""
        return self._process.poll()

    def is_ready(self, timeout: float = 0.0) -> bool:
        """Whether it said so, within so many seconds; not where it ended."""
        if not self._answered and self._open:
            said, _, _ = select.select([self._ready], [], [], timeout)
            self._answered = bool(said) and bool(os.read(self._ready, 1))
            self.closed_early = bool(said) and not self._answered
        return self._answered

    def stop(self, seconds: float = STOP_SECONDS) -> None:
        """Let it end by itself, and kill it where it does not in so many seconds."""
        self.release()
        try:
            # One that is still starting has nothing to finish.
            self._process.wait(seconds if self._answered else 0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def release(self) -> None:
        """Tell it that it may end; the second call does nothing."""
        if self._open and self._process.stdin is not None:
            self._open = False
            with suppress(OSError):
                self._process.stdin.close()
            os.close(self._ready)


def _parent() -> str:
    # The kernel's signal comes when the starting *thread* ends; from another thread the pipe alone must do.
    return str(os.getpid()) if threading.current_thread() is threading.main_thread() else "0"
