"""Whether the HTTP side stands what it is sent: thousands of requests made from its own description, and none let in.

The server is the child process that `sereno up` starts, on a project whose nights the command line did.
"""

from __future__ import annotations

import http.client
import json
import os
import secrets
import select
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from harness import Measure, NotMeasured
from project_setup import NAME, Project, must, project, read_rows, simulated_nights

if TYPE_CHECKING:
    from infra.runtime.state import State

SCHEMATHESIS = Path(sys.executable).parent / "schemathesis"
SEED = 20_260_921
EXAMPLES = 80
LIMIT_S = 1_800
START_S = 60
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
OPEN = "/health"
REVOKES = "revoke_token"


def measure() -> Iterator[Measure]:
    """Requests made from the API's description against a real server: cases, server errors, checks, open routes."""
    with (
        tempfile.TemporaryDirectory(prefix="sereno-fuzz-") as folder,
        project(simulated_nights(Path(folder))) as watched,
    ):
        first, second, third = list(watched.nights.files)[:3]
        for date in (first, second):
            must(*watched.command("validate", date))
        watched.run(third)
        with opened_state(watched) as state, served(watched) as url:
            run = state.recent(NAME)[0].id
            keys = [row[watched.nights.key] for row in read_rows(watched.incoming(third))[:5]]
            dictionaries = write_dictionaries(Path(folder), [first, second, third], run, keys)
            description = described(url, add_token(state))
            found = [
                fuzz(url, add_token(state), dictionaries, Path(folder) / "all", "--exclude-operation-id", REVOKES),
                # One that may revoke tokens finds its own in the list, and nothing after it is let in.
                fuzz(url, add_token(state), dictionaries, Path(folder) / "revoking", "--include-operation-id", REVOKES),
            ]
            opened = list(open_routes(url, description, state))
    statuses = [entry["response"]["status"] for report in found for entry in report["har"]["log"]["entries"]]
    cases = sum(report["json"]["test_cases"]["generated"] for report in found)
    yield Measure("cases", [float(cases)], "requests", (">=", 2_000))
    yield Measure("server_errors", [float(sum(status >= 500 for status in statuses))], "answers", ("==", 0))
    yield Measure("open_routes", [float(len(opened))], "routes", ("==", 0))
    failed = sum(report["json"]["test_cases"]["unique_failures"] for report in found)
    yield Measure("checks_failed", [float(failed)], "checks", ("==", 0))
    operations = sum(report["json"]["operations"]["tested"] for report in found)
    untested = sum(len(methods) for methods in description["paths"].values()) - operations
    yield Measure("operations_untested", [float(untested)], "operations", ("==", 0))
    yield Measure("accepted", [float(sum(200 <= status < 300 for status in statuses))], "answers", (">=", 200))


@contextmanager
def opened_state(watched: Project) -> Iterator[State]:
    """Open the state that the server works on."""
    from infra.runtime.project import find_project
    from infra.runtime.state import State

    with State(find_project(watched.folder).database_url) as state:
        yield state


def add_token(state: State, **how: Any) -> str:
    """Return the text of a new token that may do everything."""
    return state.add_token(f"fuzz-{secrets.token_hex(4)}", "admin", actor="bench", **how)[1]


@contextmanager
def served(watched: Project) -> Iterator[str]:
    """Start the server as a supervisor does, and yield its address; wrong tokens are not what is measured."""
    from infra.dashboard.address import listen, url_of
    from schemas.service import ServiceSettings

    settings = ServiceSettings(port=0)
    ready, say_ready = os.pipe()
    with listen(settings) as listening, (watched.folder / "server.log").open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-P", "-m", "infra.dashboard", str(listening.fileno()), str(say_ready), str(os.getpid())],
            stdin=subprocess.PIPE,
            stderr=log,
            pass_fds=[listening.fileno(), say_ready],
            env={**os.environ, "SERENO_SERVICE__FAILED_LOGINS": "1000000"},
            cwd=watched.folder,
        )
        url = url_of(settings, listening)
    os.close(say_ready)
    try:
        if not select.select([ready], [], [], START_S)[0] or os.read(ready, 1) != b"1":
            raise NotMeasured(f"the server did not start:\n{(watched.folder / 'server.log').read_text()[-2000:]}")
        yield url
    finally:
        os.close(ready)
        if server.stdin is not None:
            server.stdin.close()
        server.wait()


def write_dictionaries(folder: Path, dates: list[str], run: str, keys: list[str]) -> Path:
    """Write what is there, so that most requests reach what lies behind the check of their names."""
    there: dict[str, tuple[list[str] | list[int], float]] = {
        "path.name": ([NAME], 0.8),
        "path.date": (list(dates), 0.8),
        "path.run": ([run], 0.8),
        "path.request": ([1, 2, 3, 4, 5], 0.5),
        "path.version": (["1"], 0.8),
        "path.incident": ([1, 2, 3], 0.7),
        "body.labels[*].key": (keys, 0.9),
        "body.labels[*].date": (dates[-1:], 0.9),
    }
    lines = [f"[dictionaries.d{at}]\nvalues = {json.dumps(values)}" for at, (values, _) in enumerate(there.values())]
    lines.append("[parameters]")
    lines += [
        f'"{parameter}" = {{ dictionary = "d{at}", probability = {chance} }}'
        for at, (parameter, (_, chance)) in enumerate(there.items())
    ]
    path = folder / "schemathesis.toml"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def fuzz(url: str, token: str, config: Path, reports: Path, *which: str) -> dict[str, Any]:
    """Send what schemathesis makes of the description, with all of its checks; return its reports."""
    words = [str(SCHEMATHESIS), "--config-file", str(config), "run", f"{url}/api/v1/openapi.json"]
    words += ["-H", f"Authorization: Bearer {token}", "--checks", "all", "--continue-on-failure", "--no-shrink"]
    words += ["--phases", "examples,coverage,fuzzing", "--max-examples", str(EXAMPLES), "--seed", str(SEED), *which]
    words += ["--report", "json,har", "--report-json-path", f"{reports}.json", "--report-har-path", f"{reports}.har"]
    try:
        done = subprocess.run(words, cwd=config.parent, capture_output=True, text=True, timeout=LIMIT_S, check=False)
        read = {kind: json.loads(Path(f"{reports}.{kind}").read_text(encoding="utf-8")) for kind in ("json", "har")}
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        raise NotMeasured(f"schemathesis: {error}") from error
    if not read["json"]["complete"]:
        raise NotMeasured(f"schemathesis ended with {done.returncode}:\n{done.stdout[-3000:]}")
    if done.returncode:
        sys.stderr.write(done.stdout)
    return read


def described(url: str, token: str) -> dict[str, Any]:
    """The description of the API."""
    status, body = ask(url, "GET", "/api/v1/openapi.json", {"Authorization": f"Bearer {token}"})
    if status != 200:
        raise NotMeasured(f"the description of the API: {status}")
    found: dict[str, Any] = json.loads(body)
    return found


def open_routes(url: str, description: dict[str, Any], state: State) -> Iterator[str]:
    """Yield each route that answers something else than 401 to somebody without a valid token."""
    expired = add_token(state, expires_at=datetime.now(UTC) - timedelta(days=1))
    name = f"gone-{secrets.token_hex(4)}"
    _, revoked = state.add_token(name, "admin", actor="bench")
    state.revoke_token(name, actor="bench")
    bearers = [None, "", "x" * 40, f"sereno_1_{'0' * 64}", expired, revoked]
    fill = {"{name}": NAME, "{date}": "2026-03-02", "{request}": "1", "{run}": "20260302T000000-00000000"}
    paths = [*description["paths"], "/api/v1/openapi.json", "/docs", "/redoc", "/openapi.json", "/nothing"]
    for path in paths:
        filled = path
        for part, value in fill.items():
            filled = filled.replace(part, value)
        for method in METHODS:
            got = {ask(url, method, filled, {} if b is None else {"Authorization": f"Bearer {b}"})[0] for b in bearers}
            if got != {401} and path != OPEN:
                yield f"{method} {filled}: {sorted(got)}"


def ask(url: str, method: str, path: str, headers: dict[str, str]) -> tuple[int, bytes]:
    """Send one request."""
    place = urlsplit(url)
    connection = http.client.HTTPConnection(str(place.hostname), place.port, timeout=60)
    try:
        connection.request(method, path, headers=headers)
        reply = connection.getresponse()
        return reply.status, reply.read()
    finally:
        connection.close()
