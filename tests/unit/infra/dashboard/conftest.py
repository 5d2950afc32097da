"""A project with nights, made through the stores, and its HTTP side: uvicorn on a free port, in a thread."""

from __future__ import annotations

import dataclasses
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from email.message import Message
from pathlib import Path
from typing import Any

import pytest

from infra.dashboard.address import listen, url_of
from infra.dashboard.app import make_app
from infra.dashboard.serve import make_server
from infra.runtime.lake import Lake
from infra.runtime.project import Project
from infra.runtime.state import State
from schemas.results import (
    ColumnDrift,
    DetectorDrift,
    Drift,
    ModelOutcome,
    NightReport,
    NightResult,
    RowCounts,
)
from schemas.service import ServiceSettings
from schemas.settings import Settings
from tasks.report import write_report
from tasks.services import Services

FIRST = date(2026, 9, 18)
NIGHTS = 3
HOSTILE = "<script>alert(1)</script>\u202e"
DATASET = """
name: flows
source: {path: "in/{date}.csv"}
key: [flow_id]
columns:
  flow_id: {type: integer}
  sent: {type: number}
schedule: {timezone: Europe/Berlin, at: "02:30"}
"""


class NoRegistry:
    """The HTTP side reads no version: any use is an error."""


@dataclass(frozen=True)
class Answer:
    """What a server answered."""

    status: int
    headers: Message
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Served:
    """A project whose HTTP side is up.

    Args:
        services: Its stores.
        url: Where it is called.
        tokens: A token's text by role.
    """

    services: Services
    url: str
    tokens: dict[str, str] = field(repr=False)

    def ask(
        self,
        path: str,
        *,
        method: str = "GET",
        role: str | None = "read",
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send one request, with the token of a role."""
        sent = dict(headers or {})
        if role is not None:
            sent.setdefault("Authorization", f"Bearer {self.tokens[role]}")
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        if data is not None:
            sent.setdefault("Content-Type", "application/json")
        asked = urllib.request.Request(f"{self.url}{path}", data=data, headers=sent, method=method)  # noqa: S310 -- ours
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(asked, timeout=20) as reply:
                return Answer(reply.status, reply.headers, reply.read())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, error.headers, error.read())

    def post(self, path: str, body: Any, role: str | None = "operate", **headers: str) -> Answer:
        """Post JSON."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.ask(path, method="POST", role=role, body=body, headers=sent)


@contextmanager
def serving(services: Services) -> Iterator[str]:
    """Serve a project on loopback until the block's end, and yield its address."""
    settings = services.settings.service
    ready = threading.Event()
    with listen(settings) as listening:
        server = make_server(make_app(services), settings, services.project.root, ready.set)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            assert ready.wait(20)
            yield url_of(settings, listening)
        finally:
            server.should_exit = True
            thread.join(20)


def finish_night(services: Services, night: date, status: Any = "done", *, name: str = "flows", **changes: Any) -> str:
    """Write a night's run into the state, as a night does that is over."""
    given = {
        "rows": RowCounts(read=100, accepted=90, quarantined=10),
        "model": ModelOutcome(version="1", champion="1"),
        "threshold": 2.0,
        "alerts": 3,
        "above_usual": 0.5,
        "seconds": {"ingest": 0.5, "train": 8.0},
        "report": str(services.project.report_file(name, night.isoformat())),
        **changes,
    }
    result = NightResult(dataset=name, date=night.isoformat(), status=status, **given)
    run = services.state.start_run(name, night, "run", f"print {night}")
    services.state.finish_run(run.id, status, result=result.model_dump(mode="json"), versions={"accepted": 1})
    return run.id


def made_report(services: Services, night: date) -> NightReport:
    """A report with drift in it, of a night that is over."""
    (run,) = services.state.recent("flows", night=night)
    moved = ColumnDrift(column="sent", measure="psi", value=0.4, usual=0.1, verdict="moved far", message=HOSTILE)
    steady = moved.model_copy(update={"column": "flow_id", "verdict": "steady"})
    seen = DetectorDrift(verdict="relations moved", message=HOSTILE, nights=2)
    return NightReport(
        result=NightResult.model_validate(run.result),
        generated_at="2026-09-21T02:40:00+00:00",
        alert_budget=5,
        drift=Drift(columns=(moved, steady), verdict="moved far", detector=seen, nights=2),
        key=("flow_id",),
    )


@pytest.fixture(scope="session")
def finish():
    """Write the run of a night that is over: `finish_night`."""
    return finish_night


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Services]:
    """Stores with three nights of one dataset, the last one with a report."""
    project = Project(tmp_path / "watched")
    project.create_state()
    project.datasets.mkdir()
    project.settings_file.touch()
    project.dataset_file("flows").write_text(DATASET, encoding="utf-8")
    with State(project.database_url) as state:
        made = Services(project, Settings(), Lake(project.lake), state, NoRegistry())
        for number in range(NIGHTS):
            finish_night(made, FIRST + timedelta(days=number))
        last = FIRST + timedelta(days=NIGHTS - 1)
        write_report(made_report(made, last), project.reports / "flows")
        state.record("flows", "1", "aa" * 32, "promoted", reason="first", actor="run x")
        yield made


@pytest.fixture
def serve(services: Services) -> Iterator[Callable[..., Served]]:
    """Serve the project with some settings of the service changed, until the test's end."""
    add = services.state.add_token
    tokens = {role: add(f"{role}er", role, actor="ana")[1] for role in ("read", "operate", "admin")}
    with ExitStack() as stack:

        def start(**changes: Any) -> Served:
            service = ServiceSettings(**{"port": 0, "failed_logins": 100_000, **changes})
            settings = services.settings.model_copy(update={"service": service})
            url = stack.enter_context(serving(dataclasses.replace(services, settings=settings)))
            return Served(services, url, tokens)

        yield start


@pytest.fixture
def served(serve: Callable[..., Served]) -> Served:
    return serve()
