"""Nights that get hurt on their way: a training that fails, a disk that refuses, secrets in addresses and variables."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import psutil
import pytest
from deltalake import DeltaTable

from infra.runtime.state import State

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

VALIDATED, TRAINED, HURT, REFUSED = "2026-03-02", "2026-03-03", "2026-03-04", "2026-03-05"
PASSWORD, SIGNATURE, KEY = "planted-passw0rd", "planted-signature", "planted-api-key"
ONE_PROCESS = {"SERENO_CLUSTER__KIND": "processes", "SERENO_CLUSTER__WORKERS": "1"}
HOPELESS = {"epochs": 10_000_000, "patience": 10_000_000, "seconds": 1}


class Delivery(SimpleHTTPRequestHandler):
    """Hands out a folder's files, and remembers what it was asked with."""

    asked: list[tuple[str, str]]

    def send_head(self) -> Any:
        """Answer, after the request was written down."""
        self.asked.append((self.path, self.headers.get("Authorization", "")))
        return super().send_head()

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@pytest.fixture(scope="module")
def project(simulated: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the simulated project; its dataset file still leads to the files of the copied one."""
    root = tmp_path_factory.mktemp("hurt") / "project"
    shutil.copytree(simulated, root)
    return root


@pytest.fixture(scope="module")
def delivery(simulated: Path) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """A web server that delivers the nights: their address with its secrets, and what the server was asked."""
    handler = type("Handler", (Delivery,), {"asked": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(simulated / "incoming")))
    thread = Thread(target=server.serve_forever)
    thread.start()
    place = f"127.0.0.1:{server.server_port}"
    yield f"http://ana:{PASSWORD}@{place}/flows-{{date}}.csv.gz?token={SIGNATURE}", handler.asked
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def nights(project: Path, delivery, drive) -> list[dict[str, Any]]:
    """One night validated, one trained on it, one whose training runs into its safety stop; a process works."""
    file = project / "datasets" / "flows.yaml"
    text = re.sub(r"(?m)^  path: .*$", f"  path: '{delivery[0]}'", file.read_text(encoding="utf-8"))
    file.write_text(text, encoding="utf-8")
    hopeless = project.parent / "hopeless.yaml"
    hopeless.write_text(
        re.sub(r"(?m)^detector:$", "\n".join(["detector:", *(f"  {k}: {v}" for k, v in HOPELESS.items())]), text),
        encoding="utf-8",
    )
    steps = [
        {"date": VALIDATED, "options": {"only_validate": True}},
        {"date": TRAINED},
        {"date": HURT, "put": [hopeless, file], "scores_to": project.parent / "scores.jsonl"},
    ]
    return drive(
        project,
        "flows",
        steps,
        **ONE_PROCESS,
        SERENO_INPUTS__PROTOCOLS="[file, http]",
        SERENO_PREFECT__API_KEY=KEY,
    )


def test_a_night_whose_training_fails_is_scored_by_the_champion_and_ends_with_4(nights, project: Path):
    assert [night["exit"] for night in nights] == [0, 0, 4], [night["reason"] for night in nights]
    hurt = nights[2]
    assert hurt["status"] == "partial"
    assert hurt["model"]["version"] == hurt["model"]["champion"] == nights[1]["model"]["version"] == "1"
    assert hurt["model"]["promoted"] is False
    assert "training failed, the champion scored: training reached its safety stop of 1 s" in hurt["reason"]
    assert "detector.seconds" in hurt["reason"]
    lines = (project.parent / "scores.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(lines) == hurt["rows"]["accepted"] > 0
    assert {json.loads(line)["model_version"] for line in lines} == {"1"}
    page = Path(hurt["report"]).read_text(encoding="utf-8")
    assert "Partly done" in page
    assert "safety stop" in page


def test_a_partial_night_is_told_in_the_status(nights, project: Path, sereno):
    told = sereno("--project", project, "status", "flows", "--json").json
    assert {night["date"]: night["status"] for night in told}[HURT] == nights[2]["status"]


def test_no_worker_process_imports_what_only_others_need(nights):
    for night in nights:
        assert night["workers"]
        assert not any(night["workers"].values())


def test_a_secret_of_an_address_or_a_variable_is_kept_nowhere(nights, project: Path, delivery):
    asked = delivery[1]
    assert any(SIGNATURE in path and auth.startswith("Basic ") for path, auth in asked), "the secrets were not in use"
    secrets = (PASSWORD, SIGNATURE, KEY)
    assert not [secret for secret in secrets if secret in json.dumps(nights)]
    # Whoever writes a secret into the dataset file has it there.
    files = [p for p in project.rglob("*") if p.is_file() and p.parent.name != "datasets"]
    found = [str(p) for p in files if any(secret.encode() in p.read_bytes() for secret in secrets)]
    assert len(files) > 30
    assert not found


@pytest.mark.parametrize("table", ["accepted", "quarantined", "samples", "scores"])
def test_no_row_of_any_table_holds_a_secret(table: str, nights, project: Path):
    rows = DeltaTable(str(project / "state" / "lake" / "flows" / table)).to_pyarrow_table()
    text = "\n".join(map(str, rows.to_pylist()))
    assert len(rows) > 0 or table == "quarantined"
    assert not re.search(f"{PASSWORD}|{SIGNATURE}|{KEY}", text)
    assert set(rows["sereno_file"].to_pylist()) <= {f"flows-{day}.csv.gz" for day in (VALIDATED, TRAINED, HURT)}


def test_a_run_that_ends_in_an_error_leaves_nothing_behind(simulated: Path, tmp_path: Path, sereno):
    root = tmp_path / "project"
    shutil.copytree(simulated, root)
    taken = tmp_path / "taken"
    taken.write_text("a file, no folder", encoding="utf-8")
    asked = ("--set", f"reports={taken}", "validate", "flows", "--date", REFUSED)
    done = sereno("--project", root, *asked)
    assert done.code == 1
    assert str(taken) in done.out + done.err
    assert "Traceback" not in done.out
    assert taken.read_text(encoding="utf-8") == "a file, no folder"
    assert not [path for path in (root / "state" / "work").rglob("*") if path.name != "sessions"]
    assert not with_arguments_or_variables(str(root))
    with State.only_read(f"sqlite:///{root / 'state' / 'state.db'}") as state:
        assert state is not None
        assert not state.live()
        (run,) = state.recent("flows")
    assert (run.night.isoformat(), run.status) == (REFUSED, "failed")
    assert str(taken) in run.result["reason"]


def with_arguments_or_variables(text: str) -> list[str]:
    """Processes, other than this one, that know a text from their command line or environment."""
    found = []
    for process in psutil.process_iter():
        try:
            known = [*process.cmdline(), *process.environ().values()]
        except psutil.Error:
            continue
        if process.pid != psutil.Process().pid and any(text in value for value in known):
            found.append(str(process))
    return found
