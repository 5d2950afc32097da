"""Whole nights with a real Prefect server, real MLflow and real Dask workers, through the command line."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pytest

pytestmark = pytest.mark.e2e

FIRST, ATTACKED, BLOCKED, LAST = "2026-03-02", "2026-03-05", "2026-03-07", "2026-03-08"


@pytest.fixture(scope="module")
def watched(simulated: Path, tmp_path_factory: pytest.TempPathFactory, sereno, drive) -> dict[str, Any]:
    """A project after some nights: 1 to 3 validated, 4 run by worker processes, the broken one blocked."""
    root = tmp_path_factory.mktemp("watched") / "project"
    shutil.copytree(simulated, root)
    relocate(root, simulated)
    validated = drive(
        root, "flows", [{"date": f"2026-03-0{day}", "options": {"only_validate": True}} for day in (2, 3, 4)]
    )
    run = sereno("--project", root, "run", "flows", "--date", ATTACKED, "--json", SERENO_CLUSTER__KIND="processes")
    blocked = sereno("--project", root, "validate", "flows", "--date", BLOCKED, "--json")
    return {"root": root, "validated": validated, "run": run, "blocked": blocked}


def relocate(root: Path, before: Path) -> None:
    """The copy reads its own files."""
    path = root / "datasets" / "flows.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace(str(before), str(root)), encoding="utf-8")


def test_a_night_goes_from_files_to_a_report(watched: dict[str, Any]):
    assert [night["exit"] for night in watched["validated"]] == [0, 0, 0]
    assert watched["run"].code == 0, watched["run"].err
    night = watched["run"].json
    assert night["status"] == "done"
    assert night["rows"]["read"] == night["rows"]["accepted"] + night["rows"]["quarantined"]
    assert night["rows"]["quarantined"] == 14
    assert night["model"]["promoted"] is True
    assert night["model"]["champion"] == night["model"]["version"] == "1"
    assert 0 < night["alerts"] < 100
    assert set(night["seconds"]) >= {"ingest", "validate", "preprocess", "train", "gate", "score", "report"}
    page = Path(night["report"])
    assert 20_000 < page.stat().st_size < 1_500_000
    report = json.loads(page.with_suffix(".json").read_text(encoding="utf-8"))
    assert report["training"]["nights"] == [FIRST, "2026-03-03", "2026-03-04"]
    assert len(report["alerts"]) == min(night["alerts"], 200)


def test_the_scores_lead_back_to_files_detector_and_training_nights(watched: dict[str, Any], sereno):
    root = watched["root"]
    report = json.loads(Path(watched["run"].json["report"]).with_suffix(".json").read_text(encoding="utf-8"))
    key = report["alerts"][0]["key"]
    done = sereno("--project", root, "lineage", "flows", "--date", ATTACKED, "--key", key, "--json")
    assert done.code == 0, done.err
    facets = done.json["run"]["facets"]
    delivered = hashlib.sha256((root / "incoming" / report["files"][0]["name"]).read_bytes()).hexdigest()
    assert delivered in {one["facets"]["version"]["datasetVersion"] for one in done.json["inputs"]}
    assert facets["sereno_row"]["line"] == report["alerts"][0]["source_line"]
    assert facets["sereno_training"]["version"] == watched["run"].json["model"]["version"]
    assert [night["night"] for night in facets["sereno_training"]["nights"]] == report["training"]["nights"]
    assert all(night["files"] for night in facets["sereno_training"]["nights"])
    with closing(sqlite3.connect(root / "state" / "mlflow.db")) as database:
        told = dict(database.execute("SELECT digest, dataset_source FROM datasets").fetchall())
    assert {digest.split()[0] for digest in told} == {*report["training"]["nights"], ATTACKED}
    assert delivered in next(source for digest, source in told.items() if digest.startswith(ATTACKED))


@pytest.mark.parametrize("tool", ["Polars", "DuckDB"])
def test_other_tools_read_the_lake_by_the_examples_of_the_docs(tool: str, watched: dict[str, Any], checkout: Path):
    page = (checkout / "docs" / "lake.md").read_text(encoding="utf-8")
    examples = dict(re.findall(r"## (\w+)\n\n```python\n(.*?)```", page, re.DOTALL))
    code = examples[tool].replace("NAME", "flows")
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True, check=False, cwd=watched["root"]
    )
    assert done.returncode == 0, done.stderr
    night = watched["run"].json
    assert ATTACKED in done.stdout
    # Polars prints the alerts with their rows, DuckDB counts rows and alerts of each night.
    said = f"shape: ({night['alerts']}, " if tool == "Polars" else str(night["rows"]["accepted"])
    assert said in done.stdout


def test_prefect_has_a_run_a_stage_and_a_link_to_the_report(watched: dict[str, Any]):
    with closing(sqlite3.connect(watched["root"] / "state" / "prefect" / "prefect.db")) as database:
        flows = dict(database.execute("SELECT name, state_type FROM flow_run").fetchall())
        tags = dict(database.execute("SELECT name, tags FROM flow_run").fetchall())
        tasks = {name for (name,) in database.execute("SELECT name FROM task_run")}
        artifacts = dict(database.execute("SELECT key, data FROM artifact").fetchall())
    assert flows[f"flows {ATTACKED}"] == "COMPLETED"
    assert flows[f"flows {BLOCKED}"] == "FAILED"
    assert {"ingest", "validate", "preprocess", "train", "gate", "score", "alert", "promote", "report"} <= tasks
    process, *named = sorted(json.loads(tags[f"flows {ATTACKED}"]), key=lambda tag: not tag.startswith("process:"))
    assert process.startswith("process:")
    assert set(named) == {"dataset:flows", f"night:{ATTACKED}"}
    assert "2026-03-0" in artifacts["flows-report"]
    assert ".html" in artifacts["flows-report"]


def test_a_night_asked_twice_is_done_already(watched: dict[str, Any], sereno):
    again = sereno("--project", watched["root"], "run", "flows", "--date", ATTACKED, "--json")
    assert again.code == 0
    first = watched["run"].json
    assert again.json["status"] == "skipped"
    assert {**again.json, "status": "", "reason": ""} == {**first, "status": "", "reason": ""}


def test_a_blocked_night_writes_no_accepted_rows_and_waits_for_a_person(watched: dict[str, Any], sereno):
    blocked = watched["blocked"]
    assert blocked.code == 3, blocked.err
    rows = blocked.json["rows"]
    assert rows["accepted"] == 0
    assert rows["held"] == rows["read"] > 0
    assert "--accept" in blocked.json["reason"]
    assert blocked.json["expectations"]["blocking"] >= 1
    accepted = sereno("--project", watched["root"], "validate", "flows", "--date", BLOCKED, "--accept", "--json")
    assert accepted.code == 0, accepted.err
    assert accepted.json["rows"]["accepted"] == rows["read"]
    assert any("accepted by" in warning for warning in accepted.json["warnings"])


def test_a_date_without_a_file_is_missing(watched: dict[str, Any], sereno):
    missing = sereno("--project", watched["root"], "run", "flows", "--date", "2026-04-01", "--json")
    assert missing.code == 7
    assert missing.json["status"] == "missing"
    assert "2026-04-01" in missing.json["reason"]


def test_scores_are_exported_with_the_names_of_the_design(watched: dict[str, Any], sereno, tmp_path: Path):
    target = tmp_path / "scores.jsonl"
    done = sereno("--project", watched["root"], "scores", "flows", "--date", ATTACKED, "--to", target)
    assert done.code == 0, done.err
    rows = [json.loads(line) for line in target.read_text(encoding="utf-8").splitlines()]
    assert len(rows) == watched["run"].json["rows"]["accepted"]
    names = ["flow_id", "event_time", "score", "p_value", "is_alert", "in_sample", "model_version", "contributions"]
    assert list(rows[0]) == names
    assert sum(row["is_alert"] for row in rows) == watched["run"].json["alerts"]
    assert all(0 < row["p_value"] <= 1 for row in rows)
    top = max(rows, key=lambda row: row["score"])
    assert top["is_alert"]
    assert set(top["contributions"][0]) == {"column", "share", "actual", "expected"}


def test_codes_and_cleaned_rows_are_written_by_the_docs_examples(watched: dict[str, Any], sereno, checkout: Path):
    page = (checkout / "docs" / "uses.md").read_text(encoding="utf-8")
    commands = [line.split() for line in re.findall(r"```sh\nsereno (.*?)\n```", page)]
    named = {"NAME": "flows", "DATE": ATTACKED}
    done = {
        command: sereno(command, *(named.get(word, word) for word in words), cwd=watched["root"])
        for command, *words in commands
    }
    accepted = watched["run"].json["rows"]["accepted"]
    assert [ended.code for ended in done.values()] == [0, 0, 2], [ended.err for ended in done.values()]
    assert f"wrote {accepted:,} rows to codes.parquet" in done["embed"].out
    assert "the family auto, which has no prior" in done["generate"].err
    assert not (watched["root"] / "made.parquet").exists()
    (example,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    shown = subprocess.run(
        [sys.executable, "-P", "-c", example], capture_output=True, text=True, check=False, cwd=watched["root"]
    )
    assert shown.returncode == 0, shown.stderr
    assert "shape: (5, 3)" in shown.stdout
    with (watched["root"] / "clean.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == accepted
    read = [column for column in rows[0] if column not in ("flow_id", "start_time")]
    assert all(row[column] for row in rows for column in read)


def test_plan_writes_nothing(watched: dict[str, Any], sereno):
    root = watched["root"]
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*") if "-shm" not in path.name}
    plan = sereno("--project", root, "plan", "flows", "--date", LAST, "--json")
    assert plan.code == 0, plan.err
    assert plan.json["status"] == "would run"
    assert plan.json["window"][0] == FIRST
    after = {path: path.stat().st_mtime_ns for path in root.rglob("*") if "-shm" not in path.name}
    assert after == before


def test_status_and_versions_are_told(watched: dict[str, Any], sereno):
    root = watched["root"]
    nights = sereno("--project", root, "status", "flows", "--json").json
    assert {night["date"]: night["status"] for night in nights}[ATTACKED] == "done"
    versions = sereno("--project", root, "models", "list", "flows", "--json")
    assert versions.code == 0, versions.err
    assert [row["version"] for row in versions.json] == ["1"]
    shown = sereno("--project", root, "models", "show", "flows", "1")
    assert shown.code == 0
    rollback = sereno("--project", root, "models", "rollback", "flows")
    assert rollback.code != 0
    assert "Hint" in rollback.err


def exported(sereno, root: Path, target: Path) -> list[dict[str, Any]]:
    done = sereno("--project", root, "scores", "flows", "--date", ATTACKED, "--to", target)
    assert done.code == 0, done.err
    return [json.loads(line) for line in target.read_text(encoding="utf-8").splitlines()]


@pytest.mark.slow  # a minute: a whole night once more
def test_a_night_that_is_forced_gives_the_same_rows_and_the_same_champion(watched, sereno, tmp_path: Path):
    root = watched["root"]
    before = exported(sereno, root, tmp_path / "before.jsonl")
    forced = sereno("--project", root, "run", "flows", "--date", ATTACKED, "--force", "--json")
    assert forced.code == 0, forced.err
    assert forced.json["status"] == "done"
    assert exported(sereno, root, tmp_path / "after.jsonl") == before
    assert [row["version"] for row in sereno("--project", root, "models", "list", "flows", "--json").json] == ["1"]


@pytest.mark.slow  # more than a minute: many commands, some of which train
def test_versions_are_trained_compared_scored_with_promoted_and_rolled_back(watched, sereno, tmp_path: Path):
    root = watched["root"]
    asked = ("train", "flows", "--from", FIRST, "--to", "2026-03-03", "--seed", "5", "--json")
    trained = sereno("--project", root, *asked)
    assert trained.code == 0, trained.err
    assert trained.json["nights"] == [FIRST, "2026-03-03"]
    second = trained.json["version"]
    assert second == "2"
    different = sereno("--project", root, "models", "diff", "flows", "1", second, "--json")
    assert different.code == 0, different.err
    assert different.json
    scored = sereno("--project", root, "score", "flows", "--date", ATTACKED, "--version", second, "--json")
    assert scored.code == 0, scored.err
    assert scored.json["model"]["version"] == second
    assert scored.json["rows"] == watched["run"].json["rows"]
    assert {row["model_version"] for row in exported(sereno, root, tmp_path / "second.jsonl")} == {second}
    champion = "1" if not trained.json["promoted"] else second
    again = sereno("--project", root, "models", "promote", "flows", champion)
    assert again.code == 5
    other = second if champion == "1" else "1"
    promoted = sereno("--project", root, "models", "promote", "flows", other, "--force", "--reason", "a test")
    assert promoted.code == 0, promoted.err
    back = sereno("--project", root, "models", "rollback", "flows")
    assert back.code == 0, back.err
    assert f"version {champion} is champion again" in back.out
    unknown = sereno("--project", root, "score", "flows", "--date", ATTACKED, "--version", "99")
    assert unknown.code == 2
    assert "99" in unknown.err
    statuses = {night["date"]: night["status"] for night in sereno("--project", root, "status", "--json").json}
    assert statuses[ATTACKED] == "done"
    page = sereno("--project", root, "report", "flows", "--date", ATTACKED)
    assert page.out.startswith("report: ")


def test_nothing_that_a_project_keeps_is_a_pickle(watched: dict[str, Any]):
    kept = [path for path in watched["root"].rglob("*") if path.is_file()]
    assert len(kept) > 50
    for path in kept:
        assert path.suffix not in {".pkl", ".pickle", ".joblib", ".cloudpickle"}
        with path.open("rb") as file:
            head = file.read(2)
        assert head not in {b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"}, path
    assert not (watched["root"] / "state" / "prefect" / "storage").exists()


def descendants(pid: int) -> list[psutil.Process]:
    return psutil.Process(pid).children(recursive=True)


def gone(processes: list[psutil.Process], seconds: float = 20.0) -> list[psutil.Process]:
    _, alive = psutil.wait_procs(processes, timeout=seconds)
    return [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]


@pytest.fixture
def started(simulated: Path, tmp_path: Path) -> Callable[[], tuple[subprocess.Popen[bytes], Path]]:
    """Start a run of the first night, and wait until server, training process and workers are there."""

    def start() -> tuple[subprocess.Popen[bytes], Path]:
        root = tmp_path / "project"
        shutil.copytree(simulated, root)
        relocate(root, simulated)
        asked = ["--project", str(root), "run", "flows", "--date", FIRST]
        command = [sys.executable, "-P", "-m", "infra.cli.main", *asked]
        process = subprocess.Popen(
            command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "SERENO_CLUSTER__KIND": "processes"},
        )
        ends = time.monotonic() + 120
        while time.monotonic() < ends and process.poll() is None:
            if list((root / "state" / "resume").glob("flows/*/*")) and len(descendants(process.pid)) >= 4:
                return process, root
            time.sleep(0.1)
        pytest.fail(f"the run did not get to work (exit code {process.poll()})")

    return start


@pytest.mark.slow  # three quarters of a minute: nights that are stopped and run again
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["kill-9", "sigterm"])
def test_a_run_that_is_stopped_leaves_no_process_and_no_scratch_behind(number: int, started, sereno):
    process, root = started()
    children = descendants(process.pid)
    process.send_signal(number)
    process.wait(60)
    left = gone(children)
    for child in left:
        child.kill()
    assert not left
    if number == signal.SIGTERM:
        assert process.returncode == 143
        assert not [path for path in (root / "state" / "work").rglob("*") if path.is_file()]
    status = sereno("--project", root, "doctor", "--json")
    dead = next(finding for finding in status.json if finding["what"] == "runs that died")
    assert dead["ok"] is (number == signal.SIGTERM)


def test_the_second_of_two_runs_of_a_night_names_the_first(started, sereno):
    process, root = started()
    try:
        second = sereno("--project", root, "run", "flows", "--date", FIRST)
        assert second.code == 6, second.err
        assert f":{process.pid}:" in second.err
        assert "Traceback" not in second.err
        assert not (root / "state" / "prefect" / "storage").exists()
    finally:
        process.terminate()
        process.wait(60)
