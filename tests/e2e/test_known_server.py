"""A Prefect server that is up records the run; no private one is started beside it."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from infra.runtime.project import Project
from infra.service.prefect_private import PrivateServer

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[PrivateServer, Path]]:
    elsewhere = Project(tmp_path_factory.mktemp("elsewhere"))
    running = PrivateServer.begin(elsewhere)
    running.wait_ready(120)
    yield running, elsewhere.prefect_home / "prefect.db"
    running.stop()


def test_the_server_of_the_environment_records_the_run(server, simulated: Path, tmp_path: Path, sereno):
    running, database = server
    root = tmp_path / "project"
    shutil.copytree(simulated, root)
    known = {"PREFECT_API_URL": running.url, "PREFECT_API_AUTH_STRING": running.auth}
    done = sereno("--project", root, "validate", "flows", "--date", "2026-03-02", "--json", **known)
    assert done.code == 0, done.err
    assert done.json["status"] == "done"
    with closing(sqlite3.connect(database)) as found:
        assert found.execute("SELECT name, state_type FROM flow_run").fetchall() == [("flows 2026-03-02", "COMPLETED")]
    assert not (root / "state" / "prefect" / "prefect.db").exists()
    secret = running.auth.partition(":")[2]
    for path in root.rglob("*"):
        if path.is_file():
            assert secret.encode() not in path.read_bytes()
