"""A small dataset, rows of it, detectors that score them without a training (linear maps), receivers of messages."""

from __future__ import annotations

import hashlib
import http.server
import socket
import ssl
import threading
from contextlib import suppress
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

import pytest


@dataclass(frozen=True)
class MadeDetector:
    """A bundle made by hand."""

    folder: Path
    hash: str


def made_dataset(**changes):
    """Flows with a key, a time, an entity, and numbers that hang together."""
    from schemas.dataset import Dataset

    columns = {
        "flow_id": {"type": "integer", "nullable": False},
        "start_time": {"type": "time", "format": "iso8601"},
        "host": {"type": "category"},
        "sent": {"type": "number"},
        "got": {"type": "number"},
        "ratio": {"type": "number"},
        "packets": {"type": "integer"},
        "proto": {"type": "category"},
        "quick": {"type": "boolean"},
        "note": {"type": "text", "left_out": "free text"},
    }
    values = {
        "name": "flows",
        "source": {"path": "in/{date}.csv"},
        "key": ["flow_id"],
        "event_time": "start_time",
        "entity": "host",
        "columns": columns,
        "detector": {"alert_budget": 20, "rows": 5000},
        **changes,
    }
    return Dataset.model_validate(values)


def made_rows(rows, seed=0, start=0):
    """Accepted rows: two hidden numbers decide the others."""
    import numpy as np
    import pyarrow as pa

    from schemas.tables import accepted_schema

    random = np.random.default_rng(seed)
    size, kind = random.normal(size=rows), random.normal(size=rows)

    def noise():
        return random.normal(scale=0.1, size=rows)

    ids = np.arange(start, start + rows)
    keys = [str(i) for i in ids]
    hashes = [int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big", signed=True) for key in keys]
    missing = random.random(rows) < 0.05
    return pa.table(
        {
            "flow_id": ids,
            "start_time": pa.array(1_788_000_000_000_000 + ids * 1_000_000, pa.timestamp("us", "UTC")),
            "host": [f"h{i % 3}" for i in ids],
            "sent": np.exp(size + noise()) * 100,
            "got": pa.array(np.exp(size + kind + noise()) * 50, mask=missing),
            "ratio": kind + noise(),
            "packets": np.round(np.exp(size) * 10).astype(int),
            "proto": np.where(kind + noise() > 0, "tcp", "udp"),
            "quick": size + noise() < 0,
            "note": pa.array([f'=SUM(A{i}) "q", née' for i in ids]),
            "sereno_file": ["a.csv"] * rows,
            "sereno_line": ids + 2,
            "sereno_key": keys,
            "sereno_hash": hashes,
        }
    ).cast(accepted_schema(made_dataset()))


def made_detector(
    folder,
    sample,
    dataset=None,
    *,
    rank=2,
    constant=False,
    threshold=None,
    share=0.02,
    in_sample=False,
    prior=False,
    halved=True,
):
    """Write a bundle whose network is a map onto principal components (`constant`: it gives its input back).

    `prior`: whether it says that it has one; `halved`: whether it has encoder and decoder by themselves.
    """
    import numpy as np

    from models.bundle import BundleContents, write_bundle
    from models.calibration import fit_score_map, scores_of, threshold_for
    from models.scoring import Reconstructor
    from models.split import bounded, split
    from models.transform import fit_transform

    dataset = dataset or made_dataset()
    parts = split(bounded(sample.to_pandas(), dataset.detector.rows))
    transform = fit_transform(parts.fit, dataset.features)
    fit = transform.apply(parts.fit).astype(np.float64)
    mean = np.zeros(transform.width) if constant else fit.mean(axis=0)
    _, _, vectors = np.linalg.svd(fit - mean, full_matrices=False)
    matrix = np.eye(transform.width) if constant else vectors[:rank].T @ vectors[:rank]
    graph = linear_graph(matrix, mean - mean @ matrix)
    inward = np.eye(transform.width) if constant else vectors[:rank].T
    halves = {"encoder": linear_graph(inward, -mean @ inward), "decoder": linear_graph(inward.T, mean)}
    reconstruct = Reconstructor(graph)
    stop, held = transform.apply(parts.stop), transform.apply(parts.calibrate)
    score_map = fit_score_map(stop, reconstruct(stop), transform.weights, [g.start for g in transform.groups.values()])
    calibration = np.sort(scores_of(score_map.parts(held, reconstruct(held))))
    detector = {
        "protocol": 2,
        "dataset": dataset.name,
        "family": "linear",
        "settings": dataset.detector.model_dump(mode="json"),
        "features": [{"column": f.column, "type": f.type.value, "kind": f.kind.value} for f in dataset.features],
        "seed": 7,
        "nights": ["2026-09-01"],
        "in_sample": in_sample,
        "code": {"size": len(inward[0]), "has_prior": prior, "classes": 0},
        "score_map": {"factors": list(score_map.factors), "starts": list(score_map.starts)},
        "threshold": threshold_for(calibration, share) if threshold is None else threshold,
        "alerts": {"budget": dataset.detector.alert_budget, "expected_rows": 1000.0, "share": share},
        "calibration": {"rows": len(calibration)},
    }
    kept = halves if halved else {}
    contents = BundleContents(
        detector=detector, transform=transform, onnx=graph, keras=b"no network", calibration=calibration, **kept
    )
    return MadeDetector(folder, write_bundle(folder, contents))


def linear_graph(matrix, bias):
    """x @ matrix + bias as an ONNX graph's bytes."""
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    widths = zip(("x", "y"), np.shape(matrix), strict=True)
    rows = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, width]) for name, width in widths]
    nodes = [helper.make_node("MatMul", ["x", "m"], ["p"]), helper.make_node("Add", ["p", "b"], ["y"])]
    weights = [numpy_helper.from_array(np.asarray(a, dtype=np.float32), n) for n, a in (("m", matrix), ("b", bias))]
    graph = helper.make_graph(nodes, "linear", rows[:1], rows[1:], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    return model.SerializeToString()


class SerialCompute:
    """One call after the other, in this process."""

    def map(self, function, items, *args):
        return [function(item, *args) for item in items]


@pytest.fixture(scope="session")
def make_dataset():
    return made_dataset


@pytest.fixture(scope="session")
def make_rows():
    return made_rows


@pytest.fixture(scope="session")
def make_detector():
    return made_detector


@pytest.fixture(scope="session")
def serial_compute():
    return SerialCompute()


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory):
    """An MLflow database just made: its migrations take seconds, so tests copy one."""
    from models.registry import Registry

    folder = tmp_path_factory.mktemp("mlflow")
    Registry(f"sqlite:///{folder / 'mlflow.db'}", folder / "artifacts").prepare()
    return folder / "mlflow.db"


@pytest.fixture(scope="session")
def window(tmp_path_factory):
    """A window's sample of 3,000 rows, as Parquet."""
    import pyarrow.parquet as pq

    path = tmp_path_factory.mktemp("window") / "window.parquet"
    pq.write_table(made_rows(3000), path)
    return path


@pytest.fixture(scope="session")
def detector(tmp_path_factory):
    """A detector of the window."""
    return made_detector(tmp_path_factory.mktemp("detector") / "bundle", made_rows(3000))


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
