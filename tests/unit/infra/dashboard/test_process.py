"""The HTTP side as a process of its own: started by a supervisor with a socket, or by hand."""

from __future__ import annotations

import os
import select
import signal
import socket
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from infra.dashboard.address import listen, url_of
from infra.dashboard.serve import make_server
from infra.runtime.project import Project
from infra.runtime.state import State
from schemas.errors import ConfigError
from schemas.service import ServiceSettings

START_SECONDS = 60
MODULE = [sys.executable, "-P", "-m", "infra.dashboard"]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = Project(tmp_path / "watched")
    made.datasets.mkdir(parents=True)
    made.settings_file.write_text("{}\n", encoding="utf-8")
    return made


@pytest.fixture
def started() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Processes that are ended with the test, whatever becomes of it."""
    processes: list[subprocess.Popen[bytes]] = []
    yield processes
    for process in processes:
        if process.stdin is not None:
            process.stdin.close()
        process.kill()
        process.wait()


def supervised(project: Project, settings: ServiceSettings, started) -> tuple[subprocess.Popen[bytes], str]:
    """Start the child as a supervisor does, wait until it answers, and return it with its address."""
    ready, say_ready = os.pipe()
    with listen(settings) as listening, (project.root / "err").open("wb") as err:
        process = subprocess.Popen(
            [*MODULE, str(listening.fileno()), str(say_ready), str(os.getpid())],
            stdin=subprocess.PIPE,
            stderr=err,
            pass_fds=[listening.fileno(), say_ready],
            cwd=project.root,
        )
        started.append(process)
        url = url_of(settings, listening)
    os.close(say_ready)
    try:
        assert select.select([ready], [], [], START_SECONDS)[0]
        said = os.read(ready, 1)
    finally:
        os.close(ready)
    assert said == b"1", (project.root / "err").read_text(encoding="utf-8")
    return process, url


def ask(url: str, token: str | None = None, context: ssl.SSLContext | None = None) -> int:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 -- ours
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}),
        urllib.request.HTTPSHandler(context=context) if context else urllib.request.BaseHandler(),
    )
    try:
        with opener.open(request, timeout=20) as reply:
            return int(reply.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def test_a_supervisor_gives_it_a_socket_and_it_says_when_it_answers(project, started):
    process, url = supervised(project, ServiceSettings(port=0), started)
    assert ask(f"{url}/health") == 200
    assert ask(f"{url}/metrics") == 401
    with State(project.database_url) as state:
        _, token = state.add_token("ci", "read", actor="ana")
    assert ask(f"{url}/metrics", token) == 200
    listening = psutil.Process(process.pid).net_connections(kind="inet")
    assert {c.laddr.ip for c in listening if c.status == psutil.CONN_LISTEN} == {"127.0.0.1"}


def test_it_loads_neither_orchestrator_nor_cluster_nor_training(project, started):
    process, url = supervised(project, ServiceSettings(port=0), started)
    with State(project.database_url) as state:
        _, token = state.add_token("ci", "read", actor="ana")
    for path in ("/", "/metrics", "/api/v1/datasets", "/api/v1/openapi.json"):
        assert ask(f"{url}{path}", token) == 200
    mapped = {Path(region.path).parts for region in psutil.Process(process.pid).memory_maps()}
    loaded = {part for parts in mapped for part in parts}
    assert "sqlalchemy" in loaded or "pydantic_core" in loaded
    assert not loaded & {"tensorflow", "onnxruntime"}
    code = "import sys, infra.dashboard.app, tasks.services; print(*sys.modules)"
    modules = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not set(modules) & {"prefect", "dask", "distributed", "tensorflow", "keras", "mlflow", "great_expectations"}


def test_it_ends_when_its_parent_closes_the_pipe(project, started):
    process, url = supervised(project, ServiceSettings(port=0), started)
    assert ask(f"{url}/health") == 200
    process.stdin.close()
    assert process.wait(15) == 0


def test_it_dies_with_its_parent(project, tmp_path, started):
    holder = f"""
import os, subprocess, sys, time
from infra.dashboard.address import listen
from schemas.service import ServiceSettings
ready, say = os.pipe()
listening = listen(ServiceSettings(port=0))
child = subprocess.Popen({MODULE!r} + [str(listening.fileno()), str(say), str(os.getpid())],
    stdin=subprocess.PIPE, pass_fds=[listening.fileno(), say], cwd={str(project.root)!r})
os.close(say)
assert os.read(ready, 1) == b"1"
print(child.pid, flush=True)
time.sleep(120)
"""
    parent = subprocess.Popen([sys.executable, "-P", "-c", holder], stdout=subprocess.PIPE)
    started.append(parent)
    child = psutil.Process(int(parent.stdout.readline()))
    parent.kill()
    parent.wait()
    parent.stdout.close()
    child.wait(15)
    assert not child.is_running()


def test_by_hand_it_listens_where_the_settings_say_until_it_is_told_to_stop(project, started):
    project.settings_file.write_text("service: {port: 0}\n", encoding="utf-8")
    process = subprocess.Popen(MODULE, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=project.root)
    started.append(process)
    line = process.stderr.readline().decode()
    assert line.startswith("serving watched at http://127.0.0.1:")
    url = line.split()[-1]
    assert ask(f"{url}/health") == 200
    process.send_signal(signal.SIGTERM)
    process.wait(15)
    assert b"Traceback" not in process.stderr.read()
    process.stderr.close()


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("service: {host: 192.0.2.1}", "tokens would pass in the clear"),
        ("service: {certificate: c.pem, certificate_key: k.pem}", "the certificate"),
        ("service: {prot: 1}", "did you mean `port`"),
    ],
)
def test_what_cannot_be_served_ends_with_words_and_a_code(project, written, said):
    project.settings_file.write_text(written, encoding="utf-8")
    done = subprocess.run(MODULE, capture_output=True, text=True, cwd=project.root, check=False)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_port_that_another_program_has_is_told(project):
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(ConfigError, match=r"cannot listen on 127[.]0[.]0[.]1 port") as caught,
    ):
        listen(ServiceSettings(port=taken.getsockname()[1]))
    assert "set service.port to a free port" in (caught.value.hint or "")
    with pytest.raises(ConfigError, match=r"cannot listen on 192[.]0[.]2[.]1"):
        listen(ServiceSettings(host="192.0.2.1", plain_http=True))


@pytest.fixture(scope="module")
def certificate(tmp_path_factory) -> Path:
    """A folder with a certificate for 127.0.0.1, its key, and the key under a password."""
    folder = tmp_path_factory.mktemp("certificate")
    make = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "2",
    ]
    made = [*make, "-subj", "/CN=sereno", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "k.pem", "-out", "c.pem"]
    try:
        subprocess.run(made, cwd=folder, capture_output=True, check=True)
    except FileNotFoundError:
        # Only the openssl program makes a key and certificate here without another dependency.
        pytest.skip("no openssl here")
    locked = ["openssl", "ec", "-in", "k.pem", "-aes256", "-passout", "pass:x", "-out", "locked.pem"]
    subprocess.run(locked, cwd=folder, capture_output=True, check=True)
    return folder


def test_with_a_certificate_it_speaks_tls_alone(project, certificate, started):
    by_tls = {"certificate": str(certificate / "c.pem"), "certificate_key": str(certificate / "k.pem")}
    project.settings_file.write_text(
        f"service: {{certificate: {by_tls['certificate']}, certificate_key: {by_tls['certificate_key']}}}\n",
        encoding="utf-8",
    )
    _, url = supervised(project, ServiceSettings(port=0, **by_tls), started)
    assert url.startswith("https://")
    trusted = ssl.create_default_context(cafile=certificate / "c.pem")
    assert ask(f"{url}/health", context=trusted) == 200
    assert ask(f"{url}/metrics", context=trusted) == 401
    with pytest.raises((urllib.error.URLError, ConnectionError)):
        ask(f"{url}/health".replace("https", "http"))


@pytest.mark.parametrize(
    ("crt", "key"), [("c.pem", "locked.pem"), ("c.pem", "c.pem"), ("k.pem", "k.pem"), ("no.pem", "k.pem")]
)
def test_a_certificate_that_cannot_be_used_is_told_and_nothing_is_asked(certificate, crt, key):
    settings = ServiceSettings(certificate=crt, certificate_key=key)
    with pytest.raises(ConfigError, match="cannot be used") as caught:
        make_server(None, settings, certificate)
    assert "without a password" in (caught.value.hint or "")
