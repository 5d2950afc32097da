"""`sereno up` as a person starts it: what it does by itself, what one may ask of it, and what it survives."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import psutil
import pytest
import yaml

from infra.runtime.project import Project
from infra.runtime.shared_cluster import read_cluster_note

pytestmark = pytest.mark.e2e

NIGHTS = 4
FIRST = datetime.now(UTC).date() - timedelta(days=NIGHTS + 1)
"""The nights are the last ones: older ones than the schedule catches up would be left out."""
PARTS = ("prefect", "mlflow", "http", "cluster", "clock", "worker")
WAIT_S = 300.0


@dataclass
class Up:
    """The service of a project, at work.

    Args:
        folder: The project.
        process: The service itself.
        lines: What it said so far.
    """

    folder: Path
    process: subprocess.Popen[str]
    lines: list[str] = field(default_factory=list)

    @property
    def note(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / "state" / "service" / "up.json").read_text(encoding="utf-8"))
        return found

    def number(self, part: str) -> int | None:
        found: int | None = self.note["children"][part]["process"]
        return found

    def said(self) -> str:
        return "\n".join(self.lines[-40:])


def until(happens: Callable[[], Any], up: Up, limit: float = WAIT_S) -> Any:
    """Wait for something that must come; what the service said stands in the failure."""
    ends = time.monotonic() + limit
    while not (found := happens()):
        assert time.monotonic() < ends, up.said()
        time.sleep(0.2)
    return found


def small_project(root: Path, run) -> Path:
    """A dataset of small nights, and a schedule that is off."""
    draw = np.random.default_rng(5)
    (root / "in").mkdir(parents=True)
    for day in range(NIGHTS):
        rows = draw.normal(size=(200, 3)).round(3)
        lines = [f"{number},{','.join(map(str, row))}" for number, row in enumerate(rows)]
        path = root / "in" / f"{FIRST + timedelta(days=day)}.csv"
        path.write_text("\n".join(["id,a,b,c", *lines, ""]), encoding="utf-8")
        os.utime(path, (time.time() - 3_600,) * 2)
    done = run("init", root, "--from", root / "in" / "*.csv", "--name", "flows", "--key", "id", "--budget", "3")
    assert done.code == 0, done.err
    dataset = root / "datasets" / "flows.yaml"
    values = yaml.safe_load(dataset.read_text(encoding="utf-8"))
    values["detector"] = {"alert_budget": 3, "family": "denoising", "epochs": 3}
    values["schedule"] = {"timezone": "Europe/Berlin", "at": "02:30"}
    dataset.write_text(yaml.safe_dump(values), encoding="utf-8")
    service = {"port": 0, "prefect_port": 0, "mlflow_port": 0}
    # Small as they are, nights are done by worker processes.
    settings = {"service": service, "cluster": {"process_bytes": 1}}
    (root / "sereno.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    return root


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory, sereno) -> Iterator[Up]:
    root = small_project(tmp_path_factory.mktemp("service") / "project", sereno)
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "infra.cli.main", "--project", str(root), "up"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    service = Up(root, process)

    reader = threading.Thread(target=_keep, args=(process, service.lines), daemon=True)
    reader.start()
    until(lambda: "up" in service.lines or process.poll() is not None, service, 400)
    assert process.poll() is None, service.said()
    yield service
    if process.poll() is None:
        process.kill()
        process.wait()
    reader.join(30)


def _keep(process: subprocess.Popen[str], lines: list[str]) -> None:
    assert process.stdout is not None
    with process.stdout:
        lines.extend(line.rstrip() for line in process.stdout)


def prefect(up: Up, *words: str) -> str:
    """Prefect's own command line, as on any machine that knows address and password."""
    password = (up.folder / "state" / "service" / "password").read_text(encoding="ascii").strip()
    environ = {
        **os.environ,
        "PREFECT_API_URL": f"{up.note['addresses']['prefect']}/api",
        "PREFECT_API_AUTH_STRING": f"sereno:{password}",
        "PREFECT_HOME": str(up.folder.parent / "client"),
        "COLUMNS": "200",
    }
    program = str(Path(sys.executable).with_name("prefect"))
    done = subprocess.run([program, *words], env=environ, capture_output=True, text=True, timeout=WAIT_S, check=False)
    assert done.returncode == 0, done.stdout + done.stderr + up.said()
    return done.stdout


def calls_made(up: Up) -> int:
    """How much the service's workers did so far."""
    from distributed import Client

    note = read_cluster_note(Project(up.folder))
    assert note is not None, up.said()
    with Client(note.address, security=note.security(), timeout=30, set_as_default=False) as client:
        return int(client.run_on_scheduler(lambda dask_scheduler: dask_scheduler.transition_counter))


def statuses(up: Up, sereno) -> dict[str, str]:
    return {row["date"]: row["status"] for row in sereno("--project", up.folder, "status", "--json").json}


def service_of(up: Up, sereno) -> dict[str, Any]:
    found: dict[str, Any] = sereno("--project", up.folder, "status", "--service", "--json").json
    return found


@pytest.mark.parametrize("part", ["prefect", "mlflow", "http"])
def test_nothing_answers_to_the_unknown(up, part):
    paths = {"prefect": "/api/flows/filter", "mlflow": "/api/2.0/mlflow/experiments/search", "http": "/api/v1/datasets"}
    address = urlsplit(up.note["addresses"][part])
    assert address.hostname == "127.0.0.1"
    with closing(HTTPConnection(address.hostname, address.port, timeout=30)) as connection:
        connection.request("GET", paths[part])
        assert connection.getresponse().status == 401


def test_prefects_own_client_lists_starts_and_watches_a_night(up, sereno):
    until(lambda: "nightly/flows" in prefect(up, "deployment", "ls"), up)
    said = prefect(up, "deployment", "run", "nightly/flows", "-p", f"date={FIRST}", "--watch")
    assert "finished successfully" in said
    assert "sereno: a flow run that says nothing any more" in prefect(up, "automation", "ls")
    assert statuses(up, sereno) == {str(FIRST): "done"}
    assert calls_made(up) > 0, up.said()


@pytest.mark.slow  # a minute and a half: three nights, one of them twice
def test_a_schedule_does_the_nights_that_are_due_though_the_worker_is_killed(up, sereno):
    second = FIRST + timedelta(days=1)
    enabled = sereno("--project", up.folder, "schedule", "enable", "flows", "--from", second, "--json").json
    assert (enabled["enabled"], enabled["service"]) == (True, "up")
    until(lambda: statuses(up, sereno).get(str(second)) == "running", up)
    os.kill(up.number("worker") or 0, signal.SIGKILL)
    wanted = {str(FIRST + timedelta(days=day)): "done" for day in range(1, NIGHTS)}
    until(lambda: wanted.items() <= statuses(up, sereno).items(), up)
    told = [fault["kind"] for fault in service_of(up, sereno)["faults"]]
    assert {"child_died", "run_died"} <= set(told)
    disabled = sereno("--project", up.folder, "schedule", "disable", "flows", "--json").json
    assert disabled["enabled"] is False


@pytest.mark.slow  # more than a minute: a night, one that is called off, and that once more
def test_a_run_is_watched_and_one_in_training_is_called_off(up, sereno, begin):
    watched = sereno("--project", up.folder, "run", "flows", "--date", FIRST, "--watch", "--json")
    assert (watched.code, watched.json["status"] in ("done", "skipped")) == (0, True)
    values = yaml.safe_load((up.folder / "datasets" / "flows.yaml").read_text(encoding="utf-8"))
    long = {**values["detector"], "epochs": 100_000, "patience": 100_000}
    (up.folder / "datasets" / "flows.yaml").write_text(yaml.safe_dump({**values, "detector": long}), encoding="utf-8")
    waits = begin("--project", up.folder, "run", "flows", "--date", FIRST, "--force", "--watch")
    live = until(lambda: [r for r in _rows(up, sereno) if r["status"] == "running" and r["stage"] == "train"], up)
    below = {child.pid for child in psutil.Process(up.number("worker")).children(recursive=True)}
    called_off = sereno("--project", up.folder, "cancel", "flows", "--date", FIRST, "--json").json
    assert called_off["runs"] == {live[0]["run"]: "ended"}
    assert not {number for number in below if psutil.pid_exists(number)}
    done = waits.end(60)
    assert (done.code, "cancelled" in done.err) == (1, True), done
    short = {**values["detector"], "epochs": 2}
    (up.folder / "datasets" / "flows.yaml").write_text(yaml.safe_dump({**values, "detector": short}), encoding="utf-8")
    free = sereno("--project", up.folder, "retry", "flows", "--date", FIRST, "--watch", "--json")
    assert (free.code, free.json["status"]) == (0, "done")


def _rows(up: Up, sereno) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = sereno("--project", up.folder, "status", "flows", "--json").json
    return found


@pytest.mark.slow  # a minute: servers that start again, and two nights
def test_every_part_that_is_killed_comes_back(up, sereno):
    before = {part: up.number(part) for part in PARTS}
    for part in PARTS:
        os.kill(before[part] or 0, signal.SIGKILL)
    until(lambda: all(up.number(part) not in (None, before[part]) for part in PARTS), up)
    until(lambda: "nightly/flows" in prefect(up, "deployment", "ls"), up)
    done = sereno("--project", up.folder, "run", "flows", "--date", FIRST, "--watch", "--json")
    assert (done.code, done.json["status"] in ("done", "skipped")) == (0, True), up.said()
    until(lambda: read_cluster_note(Project(up.folder)), up)
    made = calls_made(up)
    again = sereno("--project", up.folder, "run", "flows", "--date", FIRST, "--force", "--watch", "--json")
    assert (again.code, again.json["status"]) == (0, "done"), up.said()
    assert calls_made(up) > made


def test_a_second_service_of_the_project_is_refused(up, sereno):
    done = sereno("--project", up.folder, "up")
    assert (done.code, "up already" in done.err) == (6, True)


def test_it_stops_in_good_order(up):
    key = read_cluster_note(Project(up.folder)).key.splitlines()[1]
    below = psutil.Process(up.process.pid).children(recursive=True)
    up.process.send_signal(signal.SIGTERM)
    assert up.process.wait(60) == 0, up.said()
    _, left = psutil.wait_procs(below, 10)
    assert not left
    assert not (up.folder / "state" / "service" / "up.json").exists()
    password = (up.folder / "state" / "service" / "password").read_text(encoding="ascii").strip()
    assert not [line for line in up.lines if password in line or key in line]
    assert not (up.folder / "state" / "service" / "cluster.json").exists()
