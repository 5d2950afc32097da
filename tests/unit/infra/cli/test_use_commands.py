"""`sereno embed`, `clean` and `generate`: what they say, and how they end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from infra.cli.failures import reported
from infra.cli.main import cli
from infra.cli.use_commands import _tell
from schemas.errors import Exit
from tasks.uses import Written

NIGHT = ("--date", "2026-09-20")


@pytest.fixture
def run(tmp_path: Path, make_dataset, capsys: pytest.CaptureFixture[str]):
    """Run a command in a project with one dataset, of which no night was done."""
    (tmp_path / "sereno.yaml").write_text("{}\n", encoding="utf-8")
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets" / "flows.yaml").write_text(yaml.safe_dump(make_dataset().resolved()), encoding="utf-8")

    def run(*arguments: str) -> tuple[int, str, str]:
        code = reported(cli, ("--project", str(tmp_path), *arguments))
        out, err = capsys.readouterr()
        return code, out, err

    return run


@pytest.mark.parametrize("command", ["embed", "clean"])
def test_a_night_that_was_not_validated_is_no_input(command, run, tmp_path):
    code, out, err = run(command, "flows", *NIGHT, "--to", str(tmp_path / "out.csv"))
    assert (code, out) == (Exit.NO_INPUT, "")
    assert "sereno validate flows --date 2026-09-20" in err
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize(
    "asked", [("embed", *NIGHT), ("clean", *NIGHT), ("generate", "--rows", "5")], ids=["embed", "clean", "generate"]
)
def test_an_unknown_dataset_and_an_unknown_form_are_usage_errors(asked, run, tmp_path):
    command, *rest = asked
    code, _, err = run(command, "flow", *rest, "--to", str(tmp_path / "out.csv"))
    assert code == Exit.USAGE
    assert "did you mean `flows`?" in err
    code, _, err = run(command, "flows", *rest, "--to", str(tmp_path / "out.xlsx"))
    assert code == Exit.USAGE
    assert ".parquet" in err


def test_without_a_champion_nothing_can_be_made_up(run, tmp_path):
    code, _, err = run("generate", "flows", "--rows", "5", "--to", str(tmp_path / "out.csv"))
    assert code == Exit.USAGE
    assert "no champion yet" in err
    assert "sereno run flows" in err


@pytest.mark.parametrize(
    ("options", "said"),
    [(("--rows", "0"), "--rows"), (("--rows", "5", "--seed", "-1"), "--seed"), ((), "--rows")],
    ids=["no rows", "negative seed", "rows missing"],
)
def test_numbers_out_of_range_are_usage_errors(options, said, run):
    code, _, err = run("generate", "flows", *options, "--to", "out.csv")
    assert code == Exit.USAGE
    assert said in err


WRITTEN = Written("flows", "3", 1_500, ("sent", "got"), ("proto",))


def test_it_is_told_how_many_rows_which_version_and_what_was_left_out(capsys):
    _tell(WRITTEN, "out\x1b.csv", as_json=False, date="2026-09-20")
    out = capsys.readouterr().out
    assert "wrote 1,500 rows" in out
    assert "version 3" in out
    assert "sensitive: proto" in out
    assert "\x1b" not in out


def test_as_json_it_is_one_object(capsys):
    _tell(WRITTEN, "out.csv", as_json=True, date="2026-09-20")
    assert json.loads(capsys.readouterr().out) == {
        "dataset": "flows",
        "version": "3",
        "rows": 1_500,
        "columns": ["sent", "got"],
        "left_out": ["proto"],
        "date": "2026-09-20",
        "file": "out.csv",
    }
