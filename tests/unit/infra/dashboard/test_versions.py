"""Versions over HTTP: listed, promoted and rolled back as by the command line; and a night's lineage."""

from __future__ import annotations

import dataclasses
import hashlib
import math
import os
import shutil
import subprocess
import sys
from datetime import date

import pytest

from infra.runtime.inputs import Input, with_inputs
from models.registry import Registry
from schemas.results import TrainingSummary

NIGHT = date(2026, 9, 21)
DATASET = "/api/v1/datasets/flows"


@pytest.fixture(scope="module")
def stored(tmp_path_factory, make_detector, make_rows, empty_store):
    """An MLflow store with three versions, which tests copy; each with its bundle's hash."""
    folder = tmp_path_factory.mktemp("stored")
    shutil.copy(empty_store, folder / "mlflow.db")
    registry = Registry(f"sqlite:///{folder / 'mlflow.db'}", folder / "artifacts")
    hashes = []
    for rank in (2, 3, 4):
        made = make_detector(folder / f"made-{rank}", make_rows(1_000), rank=rank)
        summary = TrainingSummary(nights=("2026-09-18", "2026-09-19"))
        registry.register("flows", made.folder, made.hash, summary, {"threshold": float(rank)}, {})
        hashes.append(made.hash)
    return registry, hashes


@pytest.fixture
def services(services, stored):
    """Three versions: the first one is champion, the gate refused the third."""
    registry, hashes = stored
    registry.set_champion("flows", None)
    for version, action in (("1", "promoted"), ("2", "registered"), ("3", "refused")):
        services.state.record("flows", version, hashes[int(version) - 1], action, reason=f"gate {version}", actor="run")
    return dataclasses.replace(services, registry=registry)


def test_versions_are_listed_newest_first_with_how_they_stand(served):
    found = served.ask(f"{DATASET}/versions").json
    assert [(one["version"], one["standing"], one["reason"]) for one in found] == [
        ("3", "refused", "gate 3"),
        ("2", "registered", "gate 2"),
        ("1", "champion", "gate 1"),
    ]
    assert found[0]["nights"] == ["2026-09-18", "2026-09-19"]
    assert found[0]["metrics"]["threshold"] == 4.0
    assert [one["version"] for one in served.ask(f"{DATASET}/versions?limit=1").json] == ["3"]


def test_a_metric_that_is_no_number_is_null(stored, served):
    from infra.dashboard.version_answers import version_answer
    from tasks.versions import list_versions

    row = list_versions(served.services.registry, served.services.state, "flows")[0]
    assert version_answer(dataclasses.replace(row, metrics={"loss": math.nan})).metrics == {"loss": None}


def test_a_version_is_promoted_and_rolled_back_under_the_tokens_name(served, stored):
    crowned = served.post(f"{DATASET}/versions/2/promote", {"reason": "fewer false alarms"})
    assert (crowned.status, crowned.json["version"], crowned.json["action"], crowned.json["previous"]) == (
        200,
        "2",
        "promoted",
        "1",
    )
    assert (crowned.json["actor"], crowned.json["reason"]) == ("operateer", "fewer false alarms")
    assert stored[0].champion("flows") == "2"
    again = served.post(f"{DATASET}/versions/2/promote", None)
    assert (again.status, "is the champion already" in again.json["error"]) == (409, True)
    back = served.post(f"{DATASET}/rollback", None)
    assert (back.status, back.json["version"], back.json["action"], back.json["actor"]) == (
        200,
        "1",
        "rolled_back",
        "operateer",
    )
    assert stored[0].champion("flows") == "1"
    told = served.services.state.events("flows", kinds=["promoted", "rolled_back"], limit=2)
    assert [(event.kind, event.actor) for event in told] == [("rolled_back", "operateer"), ("promoted", "operateer")]
    assert [row["version"] for row in served.ask(f"{DATASET}/ledger?limit=2").json] == ["1", "2"]


def test_what_the_gate_refused_needs_force_a_reason_and_an_admin(served):
    path = f"{DATASET}/versions/3/promote"
    assert served.post(path, {}).status == 409
    assert served.post(path, {"force": True, "reason": "we looked"}).status == 403
    assert served.post(path, {"force": True, "reason": " "}, role="admin").status == 409
    assert served.services.state.champion("flows").version == "1"
    forced = served.post(path, {"force": True, "reason": "we looked"}, role="admin")
    assert (forced.status, forced.json["metrics"], forced.json["actor"]) == (200, {"forced": True}, "adminer")


@pytest.mark.parametrize(
    ("path", "body", "role", "status"),
    [
        ("versions/9/promote", {}, "operate", 404),
        ("versions/0/promote", {}, "operate", 422),
        ("versions/2/promote", {"by": "somebody else"}, "operate", 422),
        ("versions/2/promote", {"force": 1}, "operate", 422),
        ("versions/2/promote", {}, "read", 403),
        ("rollback", {}, "read", 403),
        ("rollback", {"reason": "\0"}, "operate", 422),
    ],
    ids=str,
)
def test_what_cannot_be_done_is_refused_and_changes_nothing(served, path, body, role, status):
    answer = served.post(f"{DATASET}/{path}", body, role=role)
    assert answer.status == status, answer.body
    assert served.services.state.champion("flows").version == "1"


def test_a_bundle_that_was_changed_is_refused(served, services):
    file = services.registry.download("flows", "2") / "detector.json"
    before = file.read_bytes()
    try:
        file.write_bytes(before.replace(b"threshold", b"thresh0ld"))
        answer = served.post(f"{DATASET}/versions/2/promote", None)
    finally:
        file.write_bytes(before)
    assert answer.status == 409
    assert "detector.json" in answer.json["error"]
    assert services.state.champion("flows").version == "1"


def test_there_is_nothing_to_go_back_to(served, services):
    services.project.dataset_file("other").write_text(
        services.project.dataset_file("flows").read_text(encoding="utf-8").replace("flows", "other"), encoding="utf-8"
    )
    assert served.ask("/api/v1/datasets/other/versions").json == []
    assert served.post("/api/v1/datasets/other/rollback", None).status == 409


def test_a_project_without_versions_gets_no_store_for_being_asked(serve, services, tmp_path):
    empty = Registry(f"sqlite:///{tmp_path / 'none' / 'mlflow.db'}", tmp_path / "none")
    object.__setattr__(services, "registry", empty)
    served = serve()
    assert served.ask(f"{DATASET}/versions").json == []
    assert served.post(f"{DATASET}/versions/1/promote", None).status == 404
    assert not (tmp_path / "none").exists()


def test_lineage_names_files_by_their_hash_and_what_trained_the_detector(served, services):
    state, sha = services.state, hashlib.sha256(b"x").hexdigest()
    run = state.start_run("flows", NIGHT, "run", "with files")
    read = Input("file", "2026-09-21.csv", f"{services.project.root}/in/2026-09-21.csv", sha, 100, 90)
    state.finish_run(
        run.id,
        "done",
        result={"model": {"version": "2"}},
        versions={"accepted": 3, "scores": 4},
        also=with_inputs(run.id, [read]),
    )
    answer = served.ask(f"{DATASET}/nights/{NIGHT}/lineage")
    found = answer.json
    assert answer.status == 200, answer.body
    assert (found["scored"], found["scores"], found["accepted"]["tables"]["accepted"]) == (run.id, 4, 3)
    assert found["accepted"]["read"] == [
        {"kind": "file", "name": "2026-09-21.csv", "sha256": sha, "bytes": 100, "rows": 90}
    ]
    assert (found["detector"]["version"], [night["date"] for night in found["detector"]["nights"]]) == (
        "2",
        ["2026-09-18", "2026-09-19"],
    )
    assert str(services.project.root) not in answer.body.decode()
    assert served.ask(f"{DATASET}/nights/2026-01-01/lineage").status == 404
    assert served.ask(f"{DATASET}/nights/{NIGHT}/lineage?key=").status == 422


def test_promoting_needs_neither_tensorflow_nor_dask(services):
    script = (
        "import sys, infra.dashboard.app, tasks.versions, tasks.lineage, models.bundle, models.registry, mlflow\n"
        "print([name for name in ('tensorflow', 'keras', 'dask', 'distributed', 'prefect') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env={**os.environ}
    )
    assert done.stdout.strip() == "[]"
