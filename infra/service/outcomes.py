"""What became of flow runs: a request is over when its outcome is recorded, and is tried again when its run died."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from flows.at_work import STOPPED
from infra.runtime.events import Event
from infra.service.beginning import WITHOUT_DATASET, launch, remind
from infra.service.faults import each_by_itself

if TYPE_CHECKING:
    from infra.runtime.requests import Request, RequestStatus
    from infra.runtime.run_row import Run
    from infra.service.launcher import FlowRunStand, Launcher
    from infra.service.watched import Watched
    from tasks.services import Services

PAUSES = (timedelta(seconds=30), timedelta(minutes=5), timedelta(minutes=15))
"""Before the second, third and each later attempt."""
TAKEN_SECONDS = 180
"""A flow run that a worker took begins within this time, or the worker died with it."""
ATTEMPTS = 3
"""For requests of datasets without a schedule."""


class Outcomes:
    """Looks after what was started.

    Args:
        services: The stores.
        launcher: Says how flow runs stand.
        watched: The datasets.
        seconds: Counts seconds; another one in tests.
    """

    def __init__(
        self,
        services: Services,
        launcher: Launcher,
        watched: Watched,
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self._services = services
        self._launcher = launcher
        self._watched = watched
        self._seconds = seconds
        self._taken: dict[str, float] = {}

    def look(self, now: datetime) -> None:
        """Move every request on that was started."""
        open_requests = self._services.state.open_requests()
        started = [request for request in open_requests if request.status != "waiting"]
        stands = self._launcher.look([request.flow_run for request in started if request.flow_run])

        def look_at(request: Request) -> None:
            remind(self._services, request, now)
            if request.flow_run is None:
                self._without_flow_run(request, now)
            else:
                self._move(request, stands[request.flow_run], now)

        each_by_itself(started, look_at)

    def _without_flow_run(self, request: Request, now: datetime) -> None:
        """The service ended between two writes, or the server was away."""
        if request.status == "cancelling":
            self._over(request, "cancelled", "cancelled before it began", now)
        elif request.asked.dataset not in self._watched.datasets:
            self._uncounted(request, WITHOUT_DATASET, now)
        else:
            launch(self._services, self._launcher, request, now)

    def _move(self, request: Request, stand: FlowRunStand, now: datetime) -> None:
        flow_run = str(request.flow_run)
        if stand.stand == "ended":
            self._ended(request, stand, now)
        elif stand.stand == "cancelled":
            self._over(request, "cancelled", stand.message or "cancelled", now)
        elif stand.stand in ("crashed", "gone"):
            self._died(request, stand.message, now)
        elif stand.is_dead or self._is_stuck(flow_run, stand):
            why = "its process ended without a word"
            self._launcher.close(flow_run, f"{why}.", cancelled=request.status == "cancelling")
            self._died(request, why, now)
        elif request.status == "cancelling" and stand.stand != "cancelling":
            self._cancel(request, stand, now)

    def _is_stuck(self, flow_run: str, stand: FlowRunStand) -> bool:
        if stand.stand != "taken":
            self._taken.pop(flow_run, None)
            return False
        return self._seconds() - self._taken.setdefault(flow_run, self._seconds()) > TAKEN_SECONDS

    def _cancel(self, request: Request, stand: FlowRunStand, now: datetime) -> None:
        if stand.stand == "waiting":
            self._launcher.close(str(request.flow_run), "Cancelled before it began.", cancelled=True)
            self._over(request, "cancelled", "cancelled before it began", now)
        else:
            self._launcher.cancel(str(request.flow_run))

    def _ended(self, request: Request, stand: FlowRunStand, now: datetime) -> None:
        if request.status == "cancelling" and stand.name == "Failed":
            self._over(request, "cancelled", stand.message, now)
        elif stand.name in ("Failed", "Crashed"):
            self._failed(request, stand.message, now)
        elif stand.name in ("Blocked", "NoInput"):
            self._over(request, "failed", stand.message, now)
        elif self._is_unrecorded(request):
            self._again(request, "Prefect says that it ended well, but no outcome is recorded", now)
        else:
            self._over(request, "done", stand.message, now)

    def _is_unrecorded(self, request: Request) -> bool:
        """Whether a night that is said to be done has no final row: expected and recorded must agree."""
        asked = request.asked
        if asked.kind != "nightly" or asked.night is None:
            return False
        return self._services.state.latest_final(asked.dataset, asked.night, kinds=["run"]) is None

    def _failed(self, request: Request, why: str, now: datetime) -> None:
        """Try it again; where it could not even write down how it ended, that is told here."""
        if self._last_row(request) is None:
            asked = request.asked
            text = f"{asked.dataset} {asked.night or asked.kind}: the run failed ({why})"
            self._services.state.tell(Event("run_failed", text, "warning", asked.dataset, asked.night))
        self._again(request, why, now)

    def _last_row(self, request: Request) -> Run | None:
        """What the attempt wrote of its night's end, where it wrote something."""
        if request.asked.night is None:
            return None
        run = self._services.state.latest_final(request.asked.dataset, request.asked.night)
        return run if run is not None and run.started_at >= request.changed_at else None

    def _died(self, request: Request, why: str, now: datetime) -> None:
        if request.status == "cancelling":
            self._over(request, "cancelled", "cancelled", now)
            return
        if self._was_stopped(request):
            self._uncounted(request, "the service was stopped", now)
            return
        asked = request.asked
        text = f"{asked.dataset} {asked.night or asked.kind}: the run died ({why or 'without a word'})"
        self._services.state.tell(Event("run_died", text, "warning", asked.dataset, asked.night))
        self._again(request, why, now, at_once=request.attempts == 1)

    def _uncounted(self, request: Request, why: str, now: datetime) -> None:
        """Begin it again as if this attempt had not been."""
        attempts = request.attempts - 1
        self._services.state.change_request(request, "waiting", now=now, attempts=attempts, reason=why, flow_run=None)

    def _was_stopped(self, request: Request) -> bool:
        """Whether the run gave its night up in good order, as the service was stopped; that is nobody's fault."""
        run = self._last_row(request)
        return run is not None and run.result.get("reason") == STOPPED

    def _again(self, request: Request, why: str, now: datetime, *, at_once: bool = False) -> None:
        dataset = self._watched.datasets.get(request.asked.dataset)
        attempts = dataset.schedule.attempts if dataset is not None and dataset.schedule is not None else ATTEMPTS
        if request.attempts >= attempts:
            self._give_up(request, why, now)
            return
        pause = timedelta(0) if at_once else PAUSES[min(request.attempts, len(PAUSES)) - 1]
        self._services.state.change_request(
            request, "waiting", now=now, not_before=now + pause, reason=f"tried again after: {why}", flow_run=None
        )

    def _give_up(self, request: Request, why: str, now: datetime) -> None:
        asked = request.asked
        what = f"{asked.dataset} {asked.night or asked.kind}"
        text = f"{what}: given up after {request.attempts} attempts; the last ended with: {why}"
        self._services.state.tell(Event("given_up", text, "error", asked.dataset, asked.night))
        self._over(request, "failed", why, now)

    def _over(self, request: Request, status: RequestStatus, why: str, now: datetime) -> None:
        self._services.state.change_request(request, status, now=now, reason=why.split("\n", maxsplit=1)[0][:500])
