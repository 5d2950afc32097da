"""Who holds a lease or a scratch folder: a process, told so that another process can see whether it still lives."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Holder:
    """One process.

    Args:
        host: The machine's name.
        pid: The process' number on it.
        start: When it started: boot, PID namespace and clock ticks, so that a reused number is another process.
    """

    host: str
    pid: int
    start: str

    @classmethod
    def this_process(cls) -> Holder:
        """Return the calling process."""
        return cls(socket.gethostname(), os.getpid(), f"{_machine()}-{_ticks(os.getpid())}")

    @classmethod
    def parse(cls, text: str) -> Holder:
        """Read what `str` wrote; a text that is none gives a holder of which nothing is known."""
        host, _, rest = text.rpartition(":")
        host, _, pid = host.rpartition(":")
        return cls(host, int(pid), rest) if pid.isdigit() else cls(text, 0, "")

    def __str__(self) -> str:
        return f"{self.host}:{self.pid}:{self.start}"

    def alive(self) -> bool | None:
        """Return whether the process lives, None where this process cannot see it (another machine or container)."""
        machine, _, ticks = self.start.rpartition("-")
        if self.pid == 0 or self.host != socket.gethostname() or machine != _machine():
            return None
        # Where there is no /proc all are alike, and the lease alone decides.
        return _ticks(self.pid) == ticks


def _machine() -> str:
    """Name this boot and PID namespace: two containers may share a host's name and see other processes."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()[:8]
        namespace = os.stat("/proc/self/ns/pid").st_ino  # noqa: PTH116 -- a link that must not be resolved as a path
    except OSError:
        return "unknown"
    return f"{boot}-{namespace}"


def _ticks(pid: int) -> str:
    """Return a process' start in clock ticks since boot, empty where it does not run."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    # The command's name stands in brackets and may hold blanks and brackets itself.
    state, *rest = stat.rpartition(")")[2].split()
    return "" if state in {"Z", "X"} else rest[18]
