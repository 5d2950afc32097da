"""Retention by itself: once a day, at a quiet moment, in a process of its own, which gives way to nights."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from schemas.errors import Exit
from tasks.due_nights import next_due
from tasks.retention_daily import due_day, failed, is_over, left_out

if TYPE_CHECKING:
    from infra.service.faults import Faults
    from infra.service.watched import Watched
    from tasks.services import Services

QUIET = timedelta(minutes=5)
"""So long nothing was at work before retention begins: one night often follows another."""
AHEAD = timedelta(minutes=10)
"""It does not begin where a night is due so soon."""
PATIENCE = timedelta(hours=20)
"""After so long without a quiet moment the day's retention is left out, and told."""


class Child(Protocol):
    """A process that applies retention."""

    def ended(self) -> int | None:
        """Its exit status, minus the signal's number where one killed it; None while it works."""
        ...

    def release(self) -> None:
        """Tell it that it may end; the second call does nothing."""
        ...


class Retention:
    """Begins retention when it is due and nothing is at work, and has it give way to nights.

    Args:
        services: The stores.
        watched: The datasets.
        faults: Where its failure is told.
        begin: Starts the process for a day; it writes down how it ended.
    """

    def __init__(
        self, services: Services, watched: Watched, faults: Faults, begin: Callable[[date], Child] | None
    ) -> None:
        self._services = services
        self._watched = watched
        self._faults = faults
        self._begin = begin
        self._child: Child | None = None
        self._day: date | None = None
        self._gives_way = False
        self._over: date | None = None
        self._quiet_since: datetime | None = None
        self._due_since: dict[date, datetime] = {}

    def look(self, now: datetime) -> None:
        """Begin, give way, or see how it ended."""
        if self._begin is None:
            return
        if self._child is not None:
            self._look_after(self._child)
            return
        day = due_day(self._services.settings.retention, now)
        if day is None or self._is_over(day):
            self._quiet_since = None
        elif self._is_quiet(now):
            self._child, self._day, self._gives_way = self._begin(day), day, False
        elif now - self._due_since.setdefault(day, now) >= PATIENCE:
            self._faults.tell(left_out(day))
            self._over = day

    def _look_after(self, child: Child) -> None:
        status = child.ended()
        if status is None:
            if not self._gives_way and self._is_busy():
                self._gives_way = True
                child.release()
            return
        child.release()
        self._child, self._quiet_since = None, None
        # One that gave way, or found somebody's `sereno vacuum` at work, begins again at the next quiet moment.
        if self._day is not None and status != Exit.LOCKED and not self._gives_way and not self._is_over(self._day):
            self._faults.tell(failed(self._day, f"its process {_how(status)}"))
            self._over = self._day

    def _is_over(self, day: date) -> bool:
        if (self._over is None or self._over < day) and is_over(self._services.state, day):
            self._over = day
        over = self._over is not None and self._over >= day
        if over:
            self._due_since.clear()
        return over

    def _is_quiet(self, now: datetime) -> bool:
        if self._is_busy():
            self._quiet_since = None
            return False
        self._quiet_since = self._quiet_since or now
        return now - self._quiet_since >= QUIET and not self._is_due_soon(now)

    def _is_busy(self) -> bool:
        """Whether a run is at work, or one was asked for that is being started."""
        state = self._services.state
        return any(run.kind != "vacuum" for run in state.live()) or any(
            request.status != "waiting" for request in state.open_requests()
        )

    def _is_due_soon(self, now: datetime) -> bool:
        switches = self._services.state.switches()
        for name, dataset in self._watched.datasets.items():
            if dataset.schedule is None or name not in switches or not switches[name].enabled:
                continue
            due = next_due(dataset.schedule, now)
            if due is not None and due.due_at - now <= AHEAD:
                return True
        return False


def _how(status: int) -> str:
    return f"ended with status {status}" if status >= 0 else f"was killed by signal {-status}"
