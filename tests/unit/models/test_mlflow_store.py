"""MLflow's database is made by one process at a time, and made anew where its making was stopped."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from pathlib import Path

from models.mlflow_store import connect

OPENS = """
import sys, time
from pathlib import Path
import mlflow.tracking
from models.mlflow_store import connect

folder = Path(sys.argv[1])
(folder / f"ready-{sys.argv[2]}").touch()
while not (folder / "go").exists():
    time.sleep(0.01)
client = connect(f"sqlite:///{folder / 'mlflow.db'}", folder / "artifacts")
client.create_registered_model(f"m{sys.argv[2]}")
"""
RACERS = 3


def models_of(folder: Path) -> set[str]:
    client = connect(f"sqlite:///{folder / 'mlflow.db'}", folder / "artifacts")
    return {model.name for model in client.search_registered_models()}


def test_processes_that_open_it_for_the_first_time_at_once_all_can(tmp_path: Path):
    command = [sys.executable, "-P", "-c", OPENS, str(tmp_path)]
    racers = [subprocess.Popen([*command, str(n)], stderr=subprocess.PIPE, text=True) for n in range(RACERS)]
    ends = time.monotonic() + 120
    while len(list(tmp_path.glob("ready-*"))) < RACERS and time.monotonic() < ends:
        time.sleep(0.05)
    (tmp_path / "go").touch()
    said = [racer.communicate(timeout=120)[1] for racer in racers]
    assert [racer.returncode for racer in racers] == [0] * RACERS, "\n".join(said)
    assert models_of(tmp_path) == {f"m{n}" for n in range(RACERS)}


def test_one_whose_making_was_stopped_is_made_anew(tmp_path: Path):
    connection = sqlite3.connect(tmp_path / "mlflow.db")
    connection.execute("create table _alembic_tmp_experiments (id integer)")
    connection.close()
    (tmp_path / "mlflow.db.lock").write_text("making", encoding="ascii")
    assert models_of(tmp_path) == set()
    assert (tmp_path / "mlflow.db.lock").read_text("ascii") == ""
    with sqlite3.connect(tmp_path / "mlflow.db") as found:
        assert not found.execute("select 1 from sqlite_master where name like '_alembic_tmp%'").fetchall()
    found.close()
