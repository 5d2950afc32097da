"""`vacuum` and `status --disk` as a person and a program see them, in a project of three real nights."""

from __future__ import annotations

import json
from datetime import date, timedelta

import pytest

from infra.cli.failures import reported
from infra.cli.main import cli
from infra.runtime.lake import Lake
from infra.runtime.project import Project
from infra.runtime.state import State
from schemas.errors import Exit
from schemas.tables import accepted_schema, quarantined_schema, scores_schema

FIRST = date(2026, 9, 1)
DATASET = """\
name: flows
source: {path: 'in/{date}.csv'}
columns:
  a: {type: number}
detector: {window_nights: 1}
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Twenty nights are more than any table keeps by itself."""
    from schemas.dataset import load_dataset

    for name in ("PREFECT_HOME", "PREFECT_PROFILES_PATH"):
        monkeypatch.setenv(name, str(tmp_path / "foreign"))
    found = Project(tmp_path)
    found.datasets.mkdir()
    found.dataset_file("flows").write_text(DATASET, encoding="utf-8")
    found.settings_file.write_text(
        "retention: {accepted: 1, quarantined: 1, scores: 1, reports: 1}\n", encoding="utf-8"
    )
    found.create_state()
    dataset, lake = load_dataset(found.dataset_file("flows")), Lake(found.lake)
    schemas = {
        "accepted": accepted_schema(dataset),
        "quarantined": quarantined_schema(),
        "scores": scores_schema(dataset),
    }
    with State(found.database_url) as state:
        for position in range(15):
            day = FIRST + timedelta(days=position)
            run = state.start_run("flows", day, "run", "fp")
            page = found.report_file("flows", str(day))
            page.parent.mkdir(parents=True, exist_ok=True)
            page.write_text("page")
            versions = {
                table: lake.replace_night("flows", table, day, schema.empty_table(), schema)
                for table, schema in schemas.items()
            }
            state.finish_run(run.id, "done", versions=versions, result={"date": str(day), "status": "done"})
    return found


@pytest.fixture
def sereno(project, capsys):
    def run(*arguments):
        code = reported(cli, ("--project", str(project.root), *arguments))
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return run


def test_a_dry_run_says_what_would_go_and_nothing_goes(sereno, project):
    code, out, _ = sereno("vacuum", "--dry-run")
    assert code == Exit.DONE
    assert "would go  flows accepted of 14 nights, 2026-09-01 to 2026-09-14: " in out
    assert "(not among the newest 1 nights)" in out
    assert "would free about " in out
    said = json.loads(sereno("vacuum", "--dry-run", "--json")[1])
    assert said["dry_run"] is True
    assert [one["what"] for one in said["going"]] == ["reports", "accepted", "quarantined", "scores"]
    assert said["going"][0]["nights"][0] == "2026-09-01"
    assert project.report_file("flows", "2026-09-01").exists()


def test_each_thing_is_said_and_a_second_time_there_is_nothing(sereno):
    code, out, _ = sereno("vacuum")
    assert code == Exit.DONE
    assert "gone  flows reports of 14 nights" in out
    assert "gone  flows scores of 2026-09-01: " in out
    assert (
        "stays  flows scores of 13 nights, 2026-09-02 to 2026-09-14: the newest 14 stay for sereno recalibrate" in out
    )
    assert "Nothing is older than the settings keep" in sereno("vacuum")[1]
    said = json.loads(sereno("vacuum", "--json")[1])
    assert (said["bytes"], said["going"], said["failures"]) == (0, [], [])


@pytest.mark.parametrize(
    ("command", "words"),
    [
        pytest.param(("report", "flows"), "its report is gone by retention on", id="report"),
        pytest.param(("scores", "flows", "--to", "x.csv"), "its scores are gone by retention on", id="scores"),
        pytest.param(("score", "flows"), "its accepted rows are gone by retention on", id="score"),
        pytest.param(("clean", "flows", "--to", "x.csv"), "its accepted rows are gone by retention on", id="clean"),
        pytest.param(("quarantine", "list", "flows"), "its quarantined rows are gone by retention on", id="quarantine"),
        pytest.param(
            ("quarantine", "release", "flows", "--all", "--reason", "r"),
            "its accepted rows are gone by retention on",
            id="release",
        ),
        pytest.param(
            ("incidents", "label", "flows", "--key", "k", "--as", "anomaly"), "its accepted rows are gone", id="label"
        ),
    ],
)
def test_who_asks_for_what_is_gone_is_told_so(sereno, command, words):
    sereno("vacuum")
    code, _, err = sereno(*command, "--date", "2026-09-01")
    assert code == Exit.USAGE
    assert words in err
    assert "Traceback" not in err
    assert "sereno run flows --date 2026-09-01 --force" in err


def test_an_unknown_dataset_is_a_usage_error_and_one_without_a_file_is_none(sereno, project):
    code, _, err = sereno("vacuum", "flow")
    assert code == Exit.USAGE
    assert "did you mean `flows`?" in err
    project.dataset_file("flows").unlink()
    assert sereno("vacuum", "flows", "--dry-run")[0] == Exit.DONE


def test_where_nothing_was_done_yet_nothing_is_made(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "sereno.yaml").touch()
    code = reported(cli, ("--project", str(tmp_path / "empty"), "vacuum", "--json"))
    assert code == Exit.DONE
    assert json.loads(capsys.readouterr().out)["going"] == []
    assert [path.name for path in (tmp_path / "empty").iterdir()] == ["sereno.yaml"]


def test_what_could_not_be_done_ends_with_its_own_code(sereno, monkeypatch):
    from schemas.errors import LakeError

    def away(*_):
        raise LakeError("the store is away")

    monkeypatch.setattr(Lake, "table_files", away)
    code, out, err = sereno("vacuum")
    assert code == Exit.PARTIAL
    assert "warning: the store is away" in err
    assert "gone  flows reports" in out


def test_status_tells_what_room_is_left_and_what_takes_it(sereno, project):
    code, out, _ = sereno("status")
    assert code == Exit.DONE
    assert " free of " in out.splitlines()[-1]
    assert "sereno status --disk" in out.splitlines()[-1]
    assert isinstance(json.loads(sereno("status", "--json")[1]), list)
    out = sereno("status", "--disk")[1]
    assert "flows accepted  " in out
    assert "  in all" in out
    said = json.loads(sereno("status", "--disk", "--json")[1])
    rows = {(row["dataset"], row["what"]): row for row in said["disk"]["rows"]}
    accepted = [path for path in (project.lake / "flows" / "accepted").rglob("*") if path.is_file()]
    assert rows["flows", "accepted"]["files"] == len(accepted)
    assert rows["flows", "accepted"]["bytes"] == sum(path.stat().st_size for path in accepted)
    assert rows["flows", "reports"]["bytes"] == 15 * 4
    assert rows["", "state database"]["bytes"] >= (project.state / "state.db").stat().st_size
    assert said["disk"]["bytes"] == sum(row["bytes"] for row in said["disk"]["rows"])
    assert {thing for disk in said["disk"]["disks"] for thing in disk["holds"]} == {"state", "lake", "reports"}
    assert len(said["nights"]) == 14


def test_disk_use_of_one_dataset_leaves_out_what_belongs_to_all(sereno):
    said = json.loads(sereno("status", "flows", "--disk", "--json")[1])
    assert {row["dataset"] for row in said["disk"]["rows"]} == {"flows"}
