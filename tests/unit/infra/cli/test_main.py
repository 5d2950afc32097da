import subprocess
import sys
from pathlib import Path

import click
import pytest

from infra.cli.failures import reported
from infra.cli.main import COMMANDS, SUMMARIES, cli
from infra.cli.night_output import print_result
from schemas.errors import EXIT_MEANING, Exit, LockedNight
from schemas.results import ModelOutcome, NightResult

HEAVY = ("tensorflow", "prefect", "mlflow", "dask", "pandas", "numpy", "great_expectations", "pandera", "pyarrow")


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = reported(cli, arguments)
    out, err = capsys.readouterr()
    return code, out, err


def test_help_lists_every_command_with_a_line(capsys):
    code, out, _ = run(capsys, "--help")
    assert code == 0
    assert set(SUMMARIES) == set(COMMANDS)
    for name, summary in SUMMARIES.items():
        assert name in out
        assert summary.split(":")[0] in out


def test_help_imports_nothing_heavy():
    script = f"import sys, infra.cli.main; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-P", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_explains_itself(capsys, name):
    code, out, _ = run(capsys, name, "--help")
    assert code == 0
    assert len(out) > 100


def test_an_unknown_command_names_the_nearest(capsys):
    code, _, err = run(capsys, "stats")
    assert code == Exit.USAGE
    assert "Did you mean 'status'?" in err


def test_a_wrong_date_says_how_to_write_one(capsys):
    code, _, err = run(capsys, "plan", "flows", "--date", "20.09.2026")
    assert code == Exit.USAGE
    assert "write it as 2026-09-20" in err


def test_outside_a_project_the_way_in_is_named(capsys, tmp_path: Path):
    code, _, err = run(capsys, "--project", str(tmp_path), "status")
    assert code == Exit.USAGE
    assert "sereno init" in err


def test_an_unknown_dataset_names_those_that_are_there(capsys, tmp_path: Path):
    (tmp_path / "sereno.yaml").write_text("", encoding="utf-8")
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets" / "flows.yaml").write_text("", encoding="utf-8")
    code, _, err = run(capsys, "--project", str(tmp_path), "plan", "flow", "--date", "2026-09-20")
    assert code == Exit.USAGE
    assert "did you mean `flows`?" in err


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        pytest.param(LockedNight("held", hint="wait"), Exit.LOCKED, "Hint: wait", id="sereno"),
        pytest.param(
            PermissionError(13, "Permission denied", "/data/x"), Exit.FAILED, "/data/x: Permission denied", id="os"
        ),
        pytest.param(ZeroDivisionError("division by zero"), Exit.FAILED, "the details are in", id="defect"),
    ],
)
def test_whatever_is_raised_ends_in_words_and_an_exit_code(capsys, error, code, words):
    @click.command()
    def broken():
        raise error

    assert reported(broken, []) == code
    err = capsys.readouterr().err
    assert words in err
    assert "Traceback" not in err


HOSTILE = "a\x1b[2Jb\x9bm\x07\r\u202e\udcff\tc"
SPELLED = r"a\x1b[2Jb\x9bm\x07\r\u202e\udcff" + "\tc"


@pytest.mark.parametrize(
    "error",
    [
        LockedNight(HOSTILE, hint=HOSTILE),
        PermissionError(13, "Permission denied", HOSTILE),
        ZeroDivisionError(HOSTILE),
        click.UsageError(HOSTILE),
    ],
    ids=lambda error: type(error).__name__,
)
def test_nothing_in_the_words_of_an_error_acts_on_a_terminal(capfd, error):
    @click.command()
    def broken():
        raise error

    reported(broken, [])
    err = capfd.readouterr().err
    # click takes whole sequences out where it does not write to a terminal.
    assert SPELLED in err or SPELLED.replace(r"\x1b[2J", "") in err
    assert {char for char in err if not char.isprintable()} <= {"\n", "\t"}
    assert len(err.splitlines()) > 1


def test_nothing_in_a_nights_words_acts_on_a_terminal(capfd):
    result = NightResult(
        dataset="flows",
        date="2026-03-06",
        status="failed",
        reason=f"first {HOSTILE}\nsecond",
        warnings=(HOSTILE,),
        failures={HOSTILE: 3},
        model=ModelOutcome(reason=HOSTILE),
    )
    print_result(result, as_json=False)
    out = capfd.readouterr().out
    assert out.count(SPELLED) == 5
    assert "\n  second\n" in out
    print_result(result, as_json=True)
    out = capfd.readouterr().out
    assert NightResult.model_validate_json(out.replace(r"\udcff", "")).warnings == (HOSTILE.replace("\udcff", ""),)
    assert not {"\x1b", "\x9b", "\x07"} & set(out)


def test_every_command_prints_its_text_where_it_is_spelled_out():
    files = (Path(__file__).parents[4] / "infra" / "cli").glob("*.py")
    unspelled = [
        f"{path.name}: {line.strip()}"
        for path in files
        for line in path.read_text(encoding="utf-8").splitlines()
        if "echo(" in line and "spelled_out" not in line
    ]
    assert unspelled == []


def test_settings_show_where_they_came_from_and_no_secret(capsys, tmp_path: Path, monkeypatch):
    (tmp_path / "sereno.yaml").write_text("seed: 5\n", encoding="utf-8")
    monkeypatch.setenv("SERENO_DATABASE", "postgresql://user:hunter2@host/db")
    code, out, _ = run(
        capsys, "--project", str(tmp_path), "--set", "cluster.kind=threads", "config", "show", "--resolved"
    )
    assert code == 0
    assert "seed = 5    (sereno.yaml, line 1)" in out
    assert "cluster.kind = threads    (flag)" in out
    assert "(SERENO_DATABASE)" in out
    assert "hunter2" not in out


def test_every_exit_code_has_a_meaning():
    assert set(EXIT_MEANING) == set(Exit)
