"""Real servers in real processes; each start costs seconds, so one home with its database is made once and copied."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from infra.runtime.project import Project
from infra.service import child, prefect_known
from infra.service.prefect_known import answers, known_servers, publish
from infra.service.prefect_private import PrivateServer
from schemas.errors import SerenoError
from schemas.settings import Settings

# Holds a server the way a run does; says what it holds, then ends as it is told to.
HOLDER = """
import json, os, sys, time
from pathlib import Path
from infra.service.prefect_server import begin, private_or_known_server
from infra.runtime.project import Project
from infra.runtime.signals import sigterm_exits
from schemas.settings import Settings

project, how = Project(Path(sys.argv[1])), sys.argv[2]

def say(**what):
    print(json.dumps(what), flush=True)

if how.startswith("begun"):
    with sigterm_exits(), begin(project, Settings()) as api:
        say(url=api.url, pid=api._child.pid)
        if how == "begun, exception":
            raise RuntimeError("planted")
        time.sleep(120)
with private_or_known_server(project, Settings()) as url:
    from prefect import flow, get_run_logger

    @flow(name="night")
    def night():
        get_run_logger().info("the last line")
        if how == "wait":
            say(url=url, flow="runs")
            time.sleep(120)

    say(url=url, env=os.environ["PREFECT_API_URL"], home=os.environ["PREFECT_HOME"])
    night()
"""


def children_of(pid: int) -> list[psutil.Process]:
    return psutil.Process(pid).children(recursive=True)


def gone(processes: list[psutil.Process], seconds: float = 20.0) -> bool:
    _, left = psutil.wait_procs(processes, timeout=seconds)
    return not left


@pytest.fixture(scope="module")
def started_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project folder on whose Prefect home a server has started once."""
    root = tmp_path_factory.mktemp("started")
    server = PrivateServer.begin(Project(root))
    try:
        server.wait_ready(400)
        assert answers(server.url)
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(f"{server.url}/admin/version", timeout=10)  # noqa: S310 -- ours
        password = server.auth.partition(":")[2]
        assert password not in " ".join(psutil.Process(server.pid).cmdline())
        connections = psutil.Process(server.pid).net_connections(kind="inet")
        assert {c.laddr.ip for c in connections if c.status == psutil.CONN_LISTEN} == {"127.0.0.1"}
    finally:
        server.stop()
    assert not psutil.pid_exists(server.pid)
    for file in root.rglob("*"):
        assert not file.is_file() or password.encode() not in file.read_bytes()
    return root


@pytest.fixture
def project(started_home: Path, tmp_path: Path) -> Project:
    shutil.copytree(started_home, tmp_path / "project")
    return Project(tmp_path / "project")


@pytest.fixture
def holder(project: Project, tmp_path: Path) -> Iterator[HolderStart]:
    started = HolderStart(project, tmp_path)
    yield started
    started.end()


class HolderStart:
    def __init__(self, project: Project, folder: Path) -> None:
        self.project = project
        self.folder = folder
        self.process: subprocess.Popen[str] | None = None

    def start(self, how: str) -> subprocess.Popen[str]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
        foreign = self.folder / "foreign"
        foreign.mkdir()
        (foreign / "profiles.toml").write_text(
            'active = "mine"\n[profiles.mine]\nPREFECT_API_URL = "http://192.0.2.1:4200/api"\n', encoding="utf-8"
        )
        with (self.folder / "stderr").open("w") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-c", HOLDER, str(self.project.root), how],
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
                cwd=self.folder,
                env={**environment, "PREFECT_HOME": str(foreign)},
            )
        return self.process

    def said(self) -> dict[str, str]:
        assert self.process is not None
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.stderr()
        told: dict[str, str] = json.loads(line)
        return told

    def stderr(self) -> str:
        return (self.folder / "stderr").read_text(encoding="utf-8")

    def end(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            if self.process.stdout is not None:
                self.process.stdout.close()


def test_flow_runs_on_private_server_and_nothing_is_left(holder: HolderStart) -> None:
    process = holder.start("success")
    said = holder.said()
    children = children_of(process.pid)
    assert process.wait(300) == 0, holder.stderr()
    assert said["env"] == said["url"]
    assert said["home"] == str(holder.project.prefect_home)
    assert gone(children, 1.0)
    assert not answers(said["url"], timeout=1.0)
    assert "the last line" in holder.stderr()
    assert "Error" not in holder.stderr()
    assert logged_lines(holder.project) == ["the last line"]


def logged_lines(project: Project) -> list[str]:
    import sqlite3

    with sqlite3.connect(project.prefect_home / "prefect.db") as database:
        found = database.execute("SELECT message FROM log WHERE message LIKE '%last line%'").fetchall()
    database.close()
    return [message for (message,) in found]


def test_server_goes_with_a_run_that_is_killed(holder: HolderStart) -> None:
    process = holder.start("wait")
    while "flow" not in holder.said():
        pass
    children = children_of(process.pid)
    assert children
    process.kill()
    process.wait()
    assert gone(children)


@pytest.mark.parametrize(
    ("how", "number", "code"),
    [
        ("begun", signal.SIGTERM, 143),
        ("begun", signal.SIGKILL, -9),
        ("begun", signal.SIGINT, -2),
        ("begun, exception", None, 1),
    ],
    ids=["SIGTERM", "kill -9", "Ctrl-C", "exception"],
)
def test_server_that_is_still_starting_goes_too(holder: HolderStart, how: str, number: int | None, code: int) -> None:
    process = holder.start(how)
    try:
        children = [psutil.Process(int(holder.said()["pid"]))]
    except psutil.NoSuchProcess:  # gone already, which is what is asked
        children = []
    if number is not None:
        process.send_signal(number)
    assert process.wait(30) == code
    assert gone(children)


def test_server_goes_when_the_pipe_ends_alone(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "_parent", lambda: "0")
    server = PrivateServer.begin(project)
    process = psutil.Process(server.pid)
    server._child.release()
    assert gone([process])
    server.stop()


def test_server_that_cannot_start_says_where_to_look(tmp_path: Path) -> None:
    project = Project(tmp_path)
    (project.prefect_home / "first-start.lock").mkdir(parents=True)
    server = PrivateServer.begin(project)
    with pytest.raises(SerenoError, match="ended while it started") as caught:
        server.wait_ready(120)
    assert str(project.logs) in (caught.value.hint or "")
    assert not psutil.pid_exists(server.pid)


def test_known_servers_are_tried_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = Project(tmp_path)
    publish(project, "http://127.0.0.1:3/api", "sereno:secret")
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:1/api")
    settings = Settings.model_validate({"prefect": {"api_url": "http://127.0.0.1:2/api", "api_key": "me:pass"}})
    found = known_servers(project, settings)
    assert [server.url for server in found] == [f"http://127.0.0.1:{port}/api" for port in (1, 2, 3)]
    assert [server.auth for server in found] == ["", "me:pass", "sereno:secret"]
    assert "secret" not in repr(found)
    assert (project.prefect_home / prefect_known.SERVER_FILE).stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("content", ["", "{}", "[]", "null", '{"url": 1, "auth": 2, "holder": 3}'])
def test_broken_server_file_is_as_none(tmp_path: Path, content: str) -> None:
    project = Project(tmp_path)
    project.prefect_home.mkdir(parents=True)
    (project.prefect_home / prefect_known.SERVER_FILE).write_text(content, encoding="utf-8")
    assert [server for server in known_servers(project, Settings()) if answers(server.url)] == []


def test_server_of_a_dead_process_is_not_tried(tmp_path: Path) -> None:
    project = Project(tmp_path)
    path = publish(project, "http://127.0.0.1:3/api", "sereno:secret")
    told = json.loads(path.read_text(encoding="utf-8"))
    host, _, rest = told["holder"].partition(":")
    machine, _, _ = rest.rpartition("-")
    path.write_text(json.dumps({**told, "holder": f"{host}:{machine}-1"}), encoding="utf-8")
    assert known_servers(project, Settings()) == []


def test_address_that_does_not_answer_costs_little_time() -> None:
    began = time.monotonic()
    assert not answers("http://127.0.0.1:1/api")
    assert not answers("file:///etc/passwd")
    assert time.monotonic() - began < 1.0
