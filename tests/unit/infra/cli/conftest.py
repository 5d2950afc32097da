"""A project whose nights have incidents, and the command line in it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import pyarrow as pa
import pytest
import yaml

from infra.cli.failures import reported
from infra.cli.main import cli
from infra.runtime.lake import Lake
from infra.runtime.project import find_project
from infra.runtime.state import State
from schemas.incident_results import IncidentColumn
from schemas.tables import accepted_schema, scores_schema
from tasks.incidents import Group
from tasks.incidents_written import write_incidents

FIRST = date(2026, 9, 20)


@dataclass(frozen=True)
class WatchedProject:
    """The project: `night` does one, `state` opens the state, and a call runs a command of `incidents`."""

    root: Any
    dataset: Any
    capsys: Any
    rows: Any

    def __call__(self, *arguments: object) -> tuple[int, str, str]:
        code = reported(cli, ("--project", str(self.root), *map(str, arguments)))
        out, err = self.capsys.readouterr()
        assert "Traceback" not in err
        return code, out, err

    def state(self) -> State:
        return State(f"sqlite:///{find_project(self.root).state / 'state.db'}")

    def night(self, number: int, *groups: Group) -> None:
        """Do a night of 500 accepted rows whose alerts make these groups."""
        project, night, rows = find_project(self.root), FIRST + timedelta(days=number), self.rows()
        lake, keys = Lake(project.lake), {key for group in groups for key in group.keys}
        scores = made_scores(rows, keys, scores_schema(self.dataset))
        versions = {
            "accepted": lake.replace_night("flows", "accepted", night, rows, accepted_schema(self.dataset)),
            "scores": lake.replace_night("flows", "scores", night, scores, scores_schema(self.dataset)),
        }
        with self.state() as state:
            run = state.start_run("flows", night, "run", f"fp {number}")
            state.finish_run(
                run.id,
                "done",
                result={"alerts": sum(group.alerts for group in groups), "incidents": len(groups)},
                versions=versions,
                also=lambda connection: write_incidents(connection, self.dataset, night, run.id, groups),
            )


def made_scores(rows: pa.Table, alerts: set[str], schema: pa.Schema) -> pa.Table:
    """Scores of accepted rows, of which some are alerts."""
    columns = {name: rows[name] for name in schema.names if name in rows.column_names}
    columns["score"] = pa.array([3.0] * len(rows))
    columns["is_alert"] = pa.array([key in alerts for key in rows["sereno_key"].to_pylist()])
    return pa.table(columns)


def made_group(*keys: int, entity: str | None = "h1", column: str = "sent") -> Group:
    """A group of rows, by their keys."""
    return Group(entity, (IncidentColumn(column=column, share=0.9),), len(keys), 3.0, 0.001, keys=tuple(map(str, keys)))


@pytest.fixture
def group():
    return made_group


@pytest.fixture
def watched(tmp_path, make_dataset, make_rows, capsys):
    """A project with a dataset `flows` and no night."""
    dataset = make_dataset()
    (tmp_path / "sereno.yaml").write_text("{}\n", encoding="utf-8")
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets" / "flows.yaml").write_text(yaml.safe_dump(dataset.resolved()), encoding="utf-8")
    find_project(tmp_path).create_state()
    return WatchedProject(tmp_path, dataset, capsys, lambda: make_rows(500))
