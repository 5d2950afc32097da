"""`sereno incidents label` and `labels`: what they ask, what they print, how they end."""

from __future__ import annotations

import json
from datetime import date

import pytest
import yaml

from infra.cli.failures import reported
from infra.cli.main import cli
from infra.runtime.lake import Lake
from infra.runtime.project import find_project
from infra.runtime.state import State
from schemas.errors import Exit
from schemas.tables import accepted_schema

NIGHT = "2026-09-20"


@pytest.fixture
def run(tmp_path, make_dataset, make_rows, capsys):
    """Run a command in a project with one night of 50 accepted rows."""
    dataset = make_dataset()
    (tmp_path / "sereno.yaml").write_text("{}\n", encoding="utf-8")
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets" / "flows.yaml").write_text(yaml.safe_dump(dataset.resolved()), encoding="utf-8")
    project = find_project(tmp_path)
    project.create_state()
    version = Lake(project.lake).replace_night("flows", "accepted", NIGHT, make_rows(50), accepted_schema(dataset))
    with State(f"sqlite:///{project.state / 'state.db'}") as state:
        done = state.start_run("flows", NIGHT, "run", "print")
        state.finish_run(done.id, "done", result={}, versions={"accepted": version})

    def run(*arguments):
        code = reported(cli, ("--project", str(tmp_path), "incidents", *map(str, arguments)))
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return code, out, err

    return run


def test_a_row_is_labelled_listed_exported_and_labelled_from_the_file(run, tmp_path):
    asked = ("label", "flows", "--date", NIGHT, "--key", "7")
    code, out, _ = run(*asked, "--as", "false_alarm", "--note", "backup", "--by", "ana")
    assert (code, out) == (Exit.DONE, "flows: labelled 1 false_alarm\n")
    code, out, _ = run("labels", "flows")
    assert code == Exit.DONE
    assert f"{NIGHT}  7  false_alarm  backup  (ana, " in out
    target = tmp_path / "labels.csv"
    assert run("labels", "flows", "--date", NIGHT, "--to", target)[:2] == (
        Exit.DONE,
        f"flows: 1 labels written to {target}\n",
    )
    target.write_text(target.read_text(encoding="utf-8").replace("false_alarm", "anomaly"), encoding="utf-8")
    code, out, _ = run("label", "flows", "--from", target, "--json")
    assert (code, json.loads(out)) == (Exit.DONE, {"dataset": "flows", "labelled": {"anomaly": 1}, "unsaid": 0})
    (label,) = json.loads(run("labels", "flows", "--json")[1])["labels"]
    assert (label["date"], label["key"], label["label"], label["note"]) == (NIGHT, "7", "anomaly", "backup")
    assert label["by"]


def test_nothing_said_is_told(run):
    assert run("labels", "flows")[:2] == (Exit.DONE, "flows: no labels\n")


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ((), "in one way"),
        (("--key", "7", "--from", "x.csv"), "in one way"),
        (("--key", "7", "--as", "anomaly"), "--date is missing"),
        (("--date", NIGHT, "--key", "7"), "--as is missing"),
        (("--date", NIGHT, "--from", "x.csv", "--as", "anomaly"), "a file says the label"),
        (("--date", NIGHT, "--from", "none.csv"), "cannot be read"),
        (("--date", NIGHT, "--key", "7", "--as", "anomoly"), "did you mean `anomaly`?"),
        (("--date", NIGHT, "--key", "70", "--as", "anomaly"), "no accepted row has the key '70'"),
        (("--date", "2026-09-25", "--key", "7", "--as", "anomaly"), "the nearest that has is 2026-09-20"),
    ],
)
def test_what_cannot_be_labelled_is_a_usage_error_with_a_hint(run, asked, told):
    code, out, err = run("label", "flows", *asked)
    assert (code, out) == (Exit.USAGE, "")
    assert told in err
    assert "Hint:" in err
    assert json.loads(run("labels", "flows", "--json")[1])["labels"] == []


def test_control_characters_in_a_note_are_spelled_out(run):
    assert run("label", "flows", "--date", NIGHT, "--key", "7", "--as", "expected", "--note", "\x1b[31mred")[0] == 0
    assert "\x1b" not in run("labels", "flows")[1]


def test_a_date_is_a_date(run):
    assert date.fromisoformat(NIGHT)
    code, _, err = run("label", "flows", "--date", "yesterday", "--key", "7", "--as", "anomaly")
    assert code == Exit.USAGE
    assert "yesterday" in err
