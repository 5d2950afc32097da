"""Fixtures that every test may ask for, and the quiet environment that all of them run in."""

from __future__ import annotations

import http.server
import os
import shutil
import signal
import socket
import ssl
import tempfile
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parent.parent
QUIET = {
    "CUDA_VISIBLE_DEVICES": "-1",
    "DASK_LOGGING__DISTRIBUTED": "warning",
    "DO_NOT_TRACK": "true",
    "GX_ANALYTICS_ENABLED": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}
# A developer's own settings would decide what a test sees.
FOREIGN = ("PREFECT_API_URL", "PREFECT_API_KEY", "PREFECT_PROFILE", "MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI")


def pytest_configure(config: pytest.Config) -> None:
    """Set signals and environment before any test module imports Prefect or MLflow, which read it once."""
    # What runs in the background of a shell ignores Ctrl-C, and so would every process that a test starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    home = tempfile.mkdtemp(prefix="sereno-tests-")
    config.add_cleanup(lambda: shutil.rmtree(home, ignore_errors=True))
    # How long an example takes says something of the machine alone.
    settings.register_profile("untimed", settings.get_profile(settings.get_current_profile_name()), deadline=None)
    settings.load_profile("untimed")
    os.environ.update(QUIET)
    os.environ["PREFECT_HOME"] = str(Path(home) / "prefect")
    config.stash[HOME] = Path(home)
    for name in list(os.environ):
        if name in FOREIGN or (name.startswith("SERENO_") and name != "SERENO_SHARED_DATA"):
            del os.environ[name]


HOME = pytest.StashKey[Path]()


@pytest.fixture(scope="module", autouse=True)
def own_environment() -> Iterator[None]:
    """Undo what one module sets in the environment: a command run in this process prepares it for children."""
    before = dict(os.environ)
    yield
    for name in os.environ.keys() - before.keys():
        del os.environ[name]
    os.environ.update(before)


@pytest.fixture(scope="session")
def project_home(request: pytest.FixtureRequest) -> Path:
    """Return an empty folder of this session for project folders that several tests share; gone at the end."""
    folder = request.config.stash[HOME] / "projects"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def checkout() -> Path:
    """Return the root of the checkout."""
    return ROOT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of real data sets; skip where this machine has none."""
    given = os.environ.get("SERENO_SHARED_DATA")
    folder = Path(given) if given else ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no real data here: {'SERENO_SHARED_DATA' if given else '../shared/data'} is no folder")
    return folder


@pytest.fixture
def no_leftover_processes() -> Iterator[None]:
    """Fail a test that leaves a child of this process running."""
    import psutil

    before = {child.pid for child in psutil.Process().children(recursive=True)}
    yield
    children = psutil.Process().children(recursive=True)
    psutil.wait_procs([c for c in children if c.pid not in before], timeout=10)
    left = [c for c in psutil.Process().children(recursive=True) if c.pid not in before and c.is_running()]
    assert not left, f"processes left behind: {[c.name() for c in left]}"


@dataclass(frozen=True)
class Post:
    """What a webhook was sent."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self):
        import json

        return json.loads(self.body)


class Webhook:
    """A web server that takes what is posted, or does as it is told: an HTTP status, `hang`, `drip` or `close`."""

    def __init__(self) -> None:
        self.posts: list[Post] = []
        self.does: int | str = 200
        self._released = threading.Event()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                outer.posts.append(Post(self.path, dict(self.headers), body))
                outer._answer(self)

            def do_GET(self):
                self.do_POST()

            def log_message(self, *_):
                """Say nothing."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        self.is_up = True

    @property
    def port(self) -> int:
        return self._server.server_address[1]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook/s3cr3t-path"

    def _answer(self, request):
        does = self.does
        if does == "hang":
            self._released.wait()
            return
        if does == "close":
            request.connection.shutdown(socket.SHUT_RDWR)
            return
        request.send_response(200 if does == "drip" else does)
        request.send_header("Location", self.url)
        request.send_header("Content-Length", "1000" if does == "drip" else "0")
        request.end_headers()
        if does == "drip":
            with suppress(OSError):
                while not self._released.wait(0.1):
                    request.wfile.write(b".")
                    request.wfile.flush()

    def encrypt(self, certificate):
        """Speak TLS from now on, with a certificate and its key in one file."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        # The handshake is each connection's own: one that is refused must not end the server.
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self._server.handle_error = lambda *_: None

    def go_down(self):
        if self.is_up:
            self.is_up = False
            self._released.set()
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()


@pytest.fixture
def webhook():
    """A web server of this machine that takes messages."""
    server = Webhook()
    yield server
    server.go_down()


class Mailbox:
    """A mail server that keeps what it is sent, or answers as it is told."""

    USER, PASSWORD = "watch", "s3cr3t-w0rd"

    def __init__(self) -> None:
        from aiosmtpd.controller import Controller
        from aiosmtpd.smtp import AuthResult

        self.mails: list[EmailMessage] = []
        self.senders: list[str] = []
        self.recipients: list[list[str]] = []
        self.logins: list[tuple[str, str]] = []
        self.says = "250 OK"
        outer = self

        async def take(_handler, _server, _session, envelope):
            if outer.says.startswith("2"):
                outer.mails.append(message_from_bytes(envelope.content, policy=policy.default))
                outer.senders.append(envelope.mail_from)
                outer.recipients.append(envelope.rcpt_tos)
            return outer.says

        def login(_server, _session, _envelope, _mechanism, data):
            given = data.login.decode(), data.password.decode()
            outer.logins.append(given)
            return AuthResult(success=given == (outer.USER, outer.PASSWORD))

        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        options = {"auth_require_tls": False, "authenticator": login, "data_size_limit": 20_000_000}
        handler = type("Handler", (), {"handle_DATA": take})()
        self._controller = Controller(handler, hostname="127.0.0.1", port=self.port, **options)
        self._controller.start()

    @property
    def url(self) -> str:
        return f"mailto://127.0.0.1:{self.port}?from=sereno@example.org&to=night-shift@example.org"

    @property
    def url_with_login(self) -> str:
        return f"mailto://{self.USER}:{self.PASSWORD}@127.0.0.1:{self.port}?from=sereno@example.org&to=night-shift@example.org"

    def close(self):
        self._controller.stop()


@pytest.fixture
def mailbox():
    """A mail server of this machine."""
    server = Mailbox()
    yield server
    server.close()


@pytest.fixture
def dead_process():
    """A process that is gone, whose number another one has by now."""
    from infra.runtime.holder import Holder

    here = Holder.this_process()
    return replace(here, start=f"{here.start}9")
