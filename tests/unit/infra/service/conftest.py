"""A project with real stores, and an orchestrator that does what a test says."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any, ClassVar

import pytest
import yaml

from infra.runtime.project import Project
from infra.runtime.requests import Request
from infra.service.clock import Clock
from infra.service.launcher import FlowRunStand, Launcher, attempt_key
from schemas.settings import load_settings
from tasks.services import Services, open_services

DATASET = {"source": {"path": "incoming/NAME-{date}.csv"}, "columns": {"a": {"type": "number"}}}


class Orchestrator(Launcher):
    """Keeps flow runs as Prefect would; what becomes of them is said by the test."""

    def __init__(self) -> None:
        self.stands: dict[str, FlowRunStand] = {}
        self.requests: dict[str, Request] = {}
        self.keys: dict[str, str] = {}
        self.cancelled: list[str] = []
        self.away: Exception | None = None
        self.refused: set[str] = set()
        self._numbers = count(1)

    def start(self, request: Request, project: str) -> str:
        self._answer()
        if request.asked.dataset in self.refused:
            raise LookupError(f"there is no deployment of {request.asked.dataset}")
        key = attempt_key(request)
        if key not in self.keys:
            self.keys[key] = f"run-{next(self._numbers)}"
            self.stands[self.keys[key]] = FlowRunStand("working", "Running", project)
        self.requests[self.keys[key]] = request
        return self.keys[key]

    def look(self, flow_runs: Iterable[str]) -> Mapping[str, FlowRunStand]:
        self._answer()
        return {number: self.stands.get(number, FlowRunStand("gone", message="unknown")) for number in flow_runs}

    def cancel(self, flow_run: str) -> None:
        self.cancelled.append(flow_run)
        self.stands[flow_run] = replace(self.stands[flow_run], stand="cancelling")

    def close(self, flow_run: str, why: str, *, cancelled: bool = False) -> None:
        self.stands[flow_run] = FlowRunStand("cancelled" if cancelled else "crashed", message=why)

    def _answer(self) -> None:
        if self.away is not None:
            raise self.away

    @property
    def at_work(self) -> list[str]:
        return [number for number, stand in self.stands.items() if stand.stand == "working"]


@dataclass
class Vacuum:
    """A process that applies retention; how it ends is said by the test.

    Args:
        day: The day whose retention it is.
        status: How it ended; None while it works.
        released: Whether it was told to end.
    """

    day: date
    status: int | None = None
    released: bool = False

    def ended(self) -> int | None:
        return self.status

    def release(self) -> None:
        self.released = True


@dataclass
class House:
    """A project, its service's clock, and the time, which the test moves.

    Args:
        project: The folder.
        services: Its stores.
        orchestrator: Does flow runs.
        now: The time.
        vacuums: Processes that applied retention, oldest first.
    """

    project: Project
    services: Services
    now: datetime
    orchestrator: Orchestrator = field(default_factory=Orchestrator)
    runs: int = 1
    vacuums: list[Vacuum] = field(default_factory=list)

    BERLIN: ClassVar = {"timezone": "Europe/Berlin", "at": "02:30"}

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Begin the clock anew, as after its process died."""
        self.clock = Clock(
            self.services,
            self.orchestrator,
            runs=self.runs,
            retention=self._vacuum,
            now=lambda: self.now,
            seconds=self.seconds,
        )

    def _vacuum(self, day: date) -> Vacuum:
        self.vacuums.append(Vacuum(day))
        return self.vacuums[-1]

    def seconds(self) -> float:
        """The time in seconds."""
        return self.now.timestamp()

    def dataset(self, name: str, **values: Any) -> None:
        """Write a dataset file."""
        source = {"path": f"incoming/{name}-{{date}}.csv"}
        self.project.datasets.mkdir(exist_ok=True)
        self.project.dataset_file(name).write_text(
            yaml.safe_dump({**DATASET, "name": name, "source": source, **values}), encoding="utf-8"
        )

    def on(self, name: str = "flows", since: date = date(2026, 9, 20), **schedule: Any) -> None:
        """Write a dataset file with a schedule, and turn that on."""
        self.dataset(name, schedule={**self.BERLIN, **schedule})
        self.services.state.switch(name, enabled=True, since=since, actor="ana")

    def arrive(self, name: str, night: date, text: str = "a\n1\n", *, age: float = 3_600) -> Path:
        """Have a night's file there for a while."""
        import os
        import time

        path = self.project.root / "incoming" / f"{name}-{night}.csv"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        os.utime(path, (time.time() - age,) * 2)
        return path

    def turn(self, **later: float) -> None:
        """Move the time on and have the clock look once."""
        self.now += timedelta(**later)
        self.clock.turn()

    def do(self, status: str = "done", reason: str = "") -> None:
        """Have every flow run at work end like this, with its night's row."""
        names = {"done": "Completed", "failed": "Failed", "blocked": "Blocked", "missing": "NoInput"}
        for number in self.orchestrator.at_work:
            asked = self.orchestrator.requests[number].asked
            assert asked.night is not None
            run = self.services.state.start_run(asked.dataset, asked.night, "run", "print")
            result = {"dataset": asked.dataset, "date": asked.night.isoformat(), "status": status, "reason": reason}
            self.services.state.finish_run(run.id, status, result=result)
            self.orchestrator.stands[number] = FlowRunStand("ended", names[status], reason)

    def write_failure(self, reason: str) -> Request:
        """Have the run of the one open request write down that it failed; return the request."""
        (request,) = self.services.state.open_requests()
        assert request.asked.night is not None
        run = self.services.state.start_run(request.asked.dataset, request.asked.night, "run", "print")
        self.services.state.finish_run(run.id, "failed", result={"status": "failed", "reason": reason})
        self.services.state.change_request(request, "started", now=run.started_at)
        return request

    def requests(self, name: str | None = None) -> list[tuple[str, str]]:
        """Night and status of each request, oldest first."""
        return [(str(one.asked.night), one.status) for one in self.services.state.requests(name)[::-1]]

    def told(self, *kinds: str) -> list[str]:
        """What was told, oldest first."""
        return [event.text for event in self.services.state.events(kinds=kinds or None)[::-1]]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    (tmp_path / "sereno.yaml").write_text("{}", encoding="utf-8")
    project = Project(tmp_path)
    with ExitStack() as stack:
        services = stack.enter_context(open_services(project, load_settings(tmp_path, environ={}).settings))
        yield House(project, services, datetime(2026, 9, 21, 0, 0, tzinfo=UTC))
