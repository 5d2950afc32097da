"""What stopped runs left is put right at the next start: real state, real tables, real killed processes."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from infra.runtime.lake import Lake
from infra.runtime.project import Project
from infra.runtime.state import State
from models.registry import VersionInfo
from schemas.errors import LockedNight, SerenoError
from schemas.settings import Settings
from tasks import repair
from tasks.repair import forget_done_runs, local_folder, old_orphans, put_all_right, put_right
from tasks.services import Services

NIGHT, LATER = date(2026, 9, 20), date(2026, 9, 21)
SCHEMA = pa.schema([("key", pa.string())])
KILLED = """
import os, signal, sys
from infra.runtime.state import State

with State(sys.argv[1]) as state:
    print(state.start_run("flows", sys.argv[2], "run", "fp").id, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@dataclass
class MemoryRegistry:
    """What `models.registry.Registry` promises, without MLflow."""

    store_file: Path | None = None
    found: tuple[VersionInfo, ...] = ()
    alias: str | None = None
    asked: list[object] = field(default_factory=list)

    def end_stopped(self, name, is_stopped, before=None):
        self.asked.append((name, is_stopped, before))
        return 1

    def versions(self, _name):
        return self.found

    def champion(self, _name):
        return self.alias

    def set_champion(self, _name, version):
        self.alias = version


@pytest.fixture
def services(tmp_path):
    project = Project(tmp_path)
    project.datasets.mkdir()
    project.dataset_file("flows").touch()
    project.create_state()
    with State(project.database_url) as state:
        yield Services(project, Settings(), Lake(project.lake), state, MemoryRegistry())


@pytest.fixture
def killed(services):
    """A run whose process was killed when it had written a file that no commit names; gives both."""
    services.lake.replace_night("flows", "accepted", NIGHT, pa.table({"key": ["a"]}), SCHEMA)
    run_id = start_and_die(services)
    return services.state.run(run_id), orphan(services)


def start_and_die(services, night=NIGHT):
    command = [sys.executable, "-P", "-c", KILLED, services.project.database_url, str(night)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == -9, done.stderr
    return done.stdout.strip()


def orphan(services, night=NIGHT, name="part-orphan.parquet"):
    path = services.project.lake / "flows" / "accepted" / f"night={night}" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"PAR1")
    return path


def version(number="1", run_id="", minutes=0):
    created = datetime.fromtimestamp(datetime.now(UTC).timestamp() - minutes * 60, UTC)
    tags = {"run_id": run_id} if run_id else {}
    return VersionInfo(number, number * 64, created, tags, metrics={"rows_fit": 80.0, "rows_calibrate": 20.0})


def ledger(services):
    return [(row.action, row.version, row.reason, row.actor, row.run_id) for row in services.state.ledger("flows")]


# --- at the next start ----------------------------------------------------------------------------------------------


def test_a_killed_run_is_closed_and_its_orphans_are_gone_and_the_log_says_so(killed, services, caplog):
    run, path = killed
    with caplog.at_level(logging.WARNING, "sereno.repair"):
        said = put_right(services)
    assert said[0] == f"flows {NIGHT}: run {run.id} (run) ended without a word; closed"
    assert said[1] == f"flows {NIGHT}: 1 file that no commit names removed"
    assert [record.getMessage() for record in caplog.records] == said
    assert not path.exists()
    assert services.lake.read("flows", "accepted")["key"].to_pylist() == ["a"]
    closed = services.state.run(run.id)
    assert (closed.status, closed.result["reason"]) == ("failed", said[0])
    assert put_right(services) == []


def test_where_every_run_is_at_work_nothing_is_touched(services):
    run = services.state.start_run("flows", NIGHT, "run", "fp")
    path = orphan(services)
    assert put_right(services) == []
    assert services.state.run(run.id).status == "running"
    assert path.exists()


def test_files_of_another_night_stay(killed, services):
    other = orphan(services, LATER)
    put_right(services)
    assert other.exists()


@pytest.mark.parametrize("others", [False, True], ids=["alone", "beside a run of another night"])
def test_an_entry_of_the_log_that_is_being_written_stays_where_another_run_may_write_it(killed, services, others):
    entry = services.project.lake / "flows" / "accepted" / "_delta_log" / "00000000000000000009.json#1"
    entry.write_bytes(b"")
    if others:
        services.state.start_run("flows", LATER, "run", "fp")
    put_right(services)
    assert entry.exists() is others


def test_a_run_that_lost_its_lease_is_closed_and_what_it_may_still_write_stays(services):
    run = services.state.start_run("flows", NIGHT, "run", "fp", lease_seconds=-1)
    services.lake.replace_night("flows", "accepted", NIGHT, pa.table({"key": ["a"]}), SCHEMA)
    path = orphan(services)
    assert put_right(services) == [f"flows {NIGHT}: run {run.id} (run) lost its lease; closed"]
    assert path.exists()
    assert services.registry.asked == []


def test_a_lake_in_an_object_store_is_left_to_it(killed, services):
    away = Services(services.project, services.settings, Lake("s3://bucket/lake"), services.state, services.registry)
    assert [sentence for sentence in put_right(away) if "commit" in sentence] == []
    assert killed[1].exists()
    assert [local_folder(uri) for uri in ("s3://b/x", "file:///a/b", "/a/b#c")] == [None, Path("/a/b"), Path("/a/b#c")]


@pytest.mark.parametrize("broken", ["lake", "registry"])
def test_what_cannot_be_put_right_keeps_nobody_from_the_night(broken, killed, services, monkeypatch, caplog):
    def away(*_args, **_kwargs):
        raise PermissionError("denied") if broken == "lake" else SerenoError("MLflow is away")

    if broken == "lake":
        monkeypatch.setattr(repair, "_remove_orphans", away)
    else:
        monkeypatch.setattr(services.registry, "versions", away)
    put_right(services)
    assert services.state.run(killed[0].id).status == "failed"
    assert "was not put right" in caplog.text
    services.state.start_run("flows", NIGHT, "run", "fp")


def test_a_file_that_cannot_be_removed_stays_and_is_told(killed, services, monkeypatch, caplog):
    def denied(path, **_):
        raise PermissionError(path)

    monkeypatch.setattr(Path, "unlink", denied)
    assert not any("commit" in sentence for sentence in put_right(services))
    assert "stays" in caplog.text


def test_who_loses_the_run_to_another_one_that_mends_says_nothing(killed, services, monkeypatch):
    def lost(*_):
        raise LockedNight("somebody else did it")

    monkeypatch.setattr(services.state, "close_run", lost)
    assert put_right(services) == []


def test_the_ledger_hears_of_a_version_that_the_stopped_run_had_no_time_to_tell_of(killed, services):
    run = killed[0]
    other = services.state.start_run("flows", LATER, "run", "fp")
    services.registry.found = (version("1", run.id), version("2", other.id), version("3"))
    said = put_right(services)
    assert f"flows: version 1 was registered by {run.id}; the ledger says so now" in said
    assert ledger(services) == [("registered", "1", "trained on 100 rows", f"run {run.id}", run.id)]
    (asked,) = services.registry.asked
    assert (asked[1](run.id), asked[1](other.id), asked[1](""), asked[2]) == (True, False, False, None)


def test_the_alias_is_brought_behind_the_ledger(killed, services):
    services.state.record("flows", "1", "1" * 64, "promoted", reason="good", actor="run")
    said = put_right(services)
    assert services.registry.alias == "1"
    assert "flows: the alias of the champion pointed at None, and points at 1 now" in said


def test_no_store_of_mlflow_is_made_for_the_sake_of_looking(killed, services, tmp_path):
    services.registry.store_file = tmp_path / "none.db"
    put_right(services)
    assert services.registry.asked == []


# --- doctor --repair ------------------------------------------------------------------------------------------------


def aged(path):
    os.utime(path, (1_700_000_000, 1_700_000_000))
    return path


def test_old_orphans_of_runs_that_were_closed_long_ago_go_and_young_ones_and_those_of_a_run_at_work_stay(services):
    services.lake.replace_night("flows", "accepted", NIGHT, pa.table({"key": ["a"]}), SCHEMA)
    old, young = aged(orphan(services)), orphan(services, name="young.parquet")
    services.state.start_run("flows", LATER, "run", "fp")
    at_work = aged(orphan(services, LATER))
    assert old_orphans(services, "flows") == [old]
    assert "flows: 1 file that no commit names removed" in put_all_right(services)
    assert (old.exists(), young.exists(), at_work.exists()) == (False, True, True)


def test_runs_of_mlflow_are_ended_where_their_run_is_not_at_work_by_then(services):
    """Asked at the moment of each: one that begins while the doctor looks is left alone."""
    put_all_right(services)
    ((_, is_stopped, before),) = services.registry.asked
    begun = services.state.start_run("flows", NIGHT, "run", "fp")
    assert not is_stopped(begun.id)
    services.state.finish_run(begun.id, "failed")
    assert is_stopped(begun.id)
    assert is_stopped("of a state that was restored")
    assert before == pytest.approx(datetime.now(UTC).timestamp() - repair.AT_WORK_SECONDS, abs=60)


def test_a_version_of_a_command_that_is_no_run_is_told_when_it_is_old(services):
    services.registry.found = (version("1"), version("2", minutes=90))
    put_all_right(services)
    assert ledger(services) == [("registered", "2", "trained on 100 rows", "a command that was stopped", None)]


def test_stages_of_runs_that_are_done_go_and_those_of_unfinished_nights_stay(services):
    folders = {}
    for night, status in ((NIGHT, "done"), (LATER, "failed"), (date(2026, 9, 22), "blocked")):
        run = services.state.start_run("flows", night, "run", "fp")
        services.state.finish_run(run.id, status)
        folders[status] = services.project.resume / "flows" / str(night) / run.id
    running = services.state.start_run("flows", date(2026, 9, 23), "run", "fp")
    folders["running"] = services.project.resume / "flows" / "2026-09-23" / running.id
    folders["unknown"] = services.project.resume / "flows" / "2026-09-24" / "of-another-state"
    for folder in folders.values():
        folder.mkdir(parents=True)
    assert forget_done_runs(services, "flows", str(LATER)) == []
    assert forget_done_runs(services) == [folders["done"]]
    assert [status for status, folder in folders.items() if folder.exists()] == [
        "failed",
        "blocked",
        "running",
        "unknown",
    ]
