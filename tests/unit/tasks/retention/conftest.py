"""A project with twenty nights, of which retention takes some away; state, lake and folders are real."""

from __future__ import annotations

import os
import shutil
import time
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from infra.runtime.lake import Lake
from infra.runtime.project import Project
from infra.runtime.state import State
from models.registry import Registry
from schemas.settings import load_settings
from tasks.retention_rows import TABLES, UNNAMED_SECONDS
from tasks.services import Services

FIRST = date(2026, 1, 1)
NIGHTS = 20
SCHEMA = pa.schema([("key", pa.string())])
DATASET = "name: flows\nsource: {path: in.csv}\ncolumns:\n  a: {type: number}\ndetector: {window_nights: 3}\n"


class Watched:
    """A project in which nights are done by writing what a night writes."""

    days = tuple(FIRST + timedelta(days=position) for position in range(50))
    done = NIGHTS

    def __init__(self, root: Path, state: State) -> None:
        self.project, self.state = Project(root), state
        self.lake = Lake(self.project.lake)

    def services(self, **retention):
        lines = ["retention:", *(f"  {name}: {value}" for name, value in retention.items())]
        self.project.settings_file.write_text("\n".join(lines if retention else []), encoding="utf-8")
        settings = load_settings(self.project.root, environ={}).settings
        registry = Registry(self.project.mlflow_uri, self.project.artifacts)
        return Services(self.project.placed(settings), settings, self.lake, self.state, registry)

    def do(self, day, *, tables=TABLES, status="done", result=None, name="flows", page=True):
        run = self.state.start_run(name, day, "run", f"fp {day}")
        versions = {table: self.write(table, day, run.id, name) for table in tables}
        if page:
            for suffix in ("html", "json"):
                path = self.project.report_file(name, day.isoformat(), suffix)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text("x" * 100, encoding="utf-8")
        return self.state.finish_run(
            run.id, status, versions=versions, result={"date": day.isoformat(), **(result or {})}
        )

    def write(self, table, day, run_id=None, name="flows"):
        return self.lake.replace_night(name, table, day, pa.table({"key": [str(day)]}), SCHEMA, run_id=run_id)

    def files(self, table, day, name="flows"):
        return sorted((self.project.lake / name / table / f"night={day}").glob("*.parquet"))

    def read(self, table):
        pins = self.state.pins("flows", table)
        return sorted(self.lake.read("flows", table, pins)["key"].to_pylist())

    @staticmethod
    def age(*paths, seconds=2 * UNNAMED_SECONDS):
        for path in paths:
            os.utime(path, (time.time() - seconds,) * 2)

    @staticmethod
    def going(plan):
        return {one.what: one.nights for one in plan.going}

    @staticmethod
    def staying(plan):
        return {(one.what, one.why): one.nights for one in plan.staying}


@pytest.fixture(scope="session")
def done_once(tmp_path_factory):
    """A project with twenty nights; tests copy it."""
    project = Project(tmp_path_factory.mktemp("year"))
    project.datasets.mkdir()
    project.settings_file.touch()
    project.dataset_file("flows").write_text(DATASET, encoding="utf-8")
    project.create_state()
    with State(project.database_url) as state:
        watched = Watched(project.root, state)
        for position in range(NIGHTS):
            watched.do(watched.days[position])
    return project.root


@pytest.fixture
def year(done_once, tmp_path):
    root = Path(shutil.copytree(done_once, tmp_path / "project"))
    with State(Project(root).database_url) as state:
        yield Watched(root, state)
