"""Begins what is due: in order, not too much at once, not before its files are there."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING

from infra.runtime.events import Event
from infra.runtime.run_row import COUNTING
from infra.service.faults import each_by_itself
from tasks.arrivals import has_arrived
from tasks.due_nights import blackout_ends

if TYPE_CHECKING:
    from infra.runtime.requests import Request
    from infra.service.launcher import Launcher
    from infra.service.watched import Watched
    from tasks.services import Services

WITHOUT_DATASET = "waits: its dataset file is missing or wrong"


class Beginning:
    """Starts flow runs of requests.

    Args:
        services: The stores.
        launcher: Starts them.
        watched: The datasets.
        runs: So many at once, of all datasets; of one dataset one at a time, as its nights build on each other.
    """

    def __init__(self, services: Services, launcher: Launcher, watched: Watched, runs: int) -> None:
        self._services = services
        self._launcher = launcher
        self._watched = watched
        self._runs = runs

    def begin(self, now: datetime) -> None:
        """Start what is due and may be started; remind of what is late."""
        requests = self._services.state.open_requests()
        busy = Counter(request.asked.dataset for request in requests if request.status != "waiting")
        held: set[str] = set()
        starting: list[Request] = []
        for request in sorted((one for one in requests if one.status == "waiting"), key=_order):
            remind(self._services, request, now)
            dataset, by_itself = request.asked.dataset, request.asked.origin in ("schedule", "file")
            if busy.total() >= self._runs:
                self._say(request, "waits for a free place")
            elif busy[dataset]:
                self._say(request, "waits for the dataset's run before it")
            elif by_itself and dataset in held:
                self._say(request, "waits for the night before it")
            elif request.not_before > now:
                held.add(dataset)
            elif (why := self._waits_for(request, now)) is not None:
                # Nights build on each other: a later one does not pass one that waits; what a person asks for does.
                held.add(dataset)
                self._say(request, why)
            else:
                starting.append(request)
                busy[dataset] += 1
        each_by_itself(starting, lambda request: self._start(request, now))

    def _waits_for(self, request: Request, now: datetime) -> str | None:
        asked = request.asked
        dataset = self._watched.datasets.get(asked.dataset)
        if dataset is None:
            return WITHOUT_DATASET
        schedule = dataset.schedule
        if schedule is None or asked.origin not in ("schedule", "file"):
            return None
        if (ends := blackout_ends(schedule, now)) is not None:
            return f"waits for the end of the blackout at {ends.astimezone(schedule.zone):%H:%M}"
        late = asked.deadline is not None and now >= asked.deadline
        if asked.origin != "schedule" or asked.night is None or not schedule.wait or late:
            return None
        arrived = has_arrived(self._services, dataset, asked.night, schedule.settle)
        return None if arrived else "waits for its files"

    def _say(self, request: Request, why: str) -> None:
        if request.reason != why:
            self._services.state.change_request(request, "waiting", reason=why)

    def _start(self, request: Request, now: datetime) -> None:
        begun = self._services.state.change_request(
            request, "started", now=now, attempts=request.attempts + 1, reason="", flow_run=None
        )
        if begun is not None:
            launch(self._services, self._launcher, begun, now)


def launch(services: Services, launcher: Launcher, request: Request, now: datetime) -> None:
    """Start the flow run of a request that is `started`; done twice it is one flow run."""
    flow_run = launcher.start(request, str(services.project.root))
    services.state.change_request(request, "started", now=now, flow_run=flow_run)


def remind(services: Services, request: Request, now: datetime) -> None:
    """Tell once that no report came by the deadline."""
    asked = request.asked
    if asked.deadline is None or now < asked.deadline or asked.night is None:
        return
    if services.state.events(asked.dataset, night=asked.night, kinds=["no_report"], limit=1):
        return
    # A request is over some seconds after its run.
    if (run := services.state.latest_final(asked.dataset, asked.night, kinds=["run"])) and run.status in COUNTING:
        return
    text = (
        f"{asked.dataset} {asked.night}: no report by {asked.deadline:%Y-%m-%d %H:%M} UTC; the request "
        f"{request.reason or 'is ' + request.status}. Look at it: sereno status {asked.dataset}"
    )
    detail = {"due": asked.deadline.isoformat(), "reason": f"The request {request.reason or 'is ' + request.status}."}
    services.state.tell(Event("no_report", text, "error", asked.dataset, asked.night, detail=detail))


def _order(request: Request) -> tuple[object, ...]:
    """Nights of a dataset in the order of their dates, and everything in the order in which it is due."""
    return (request.asked.due_at, request.asked.night or request.asked_at.date(), request.id)
