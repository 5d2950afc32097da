"""`doctor` in a project that a killed run left: it names what is wrong, and `--repair` puts it right."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from infra.cli.failures import reported
from infra.cli.main import cli
from infra.runtime.project import Project
from schemas.errors import Exit

KILLED = """
import os, signal, sys
from infra.runtime.state import State

with State(sys.argv[1]) as state:
    state.start_run("flows", "2026-09-20", "run", "fp")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def doctor(tmp_path, capsys, monkeypatch):
    """Run `doctor` in a fresh project; the environment that it sets is put back."""
    (tmp_path / "sereno.yaml").touch()
    for name in ("PREFECT_HOME", "PREFECT_PROFILES_PATH"):
        monkeypatch.setenv(name, str(tmp_path / "foreign"))

    def run(*arguments):
        code = reported(cli, ("--project", str(tmp_path), "doctor", *arguments))
        return code, capsys.readouterr().out

    return run


def leave_a_dead_run(root):
    project = Project(root)
    project.create_state()
    done = subprocess.run([sys.executable, "-P", "-c", KILLED, project.database_url], capture_output=True, check=False)
    assert done.returncode == -9, done.stderr


def test_a_run_that_died_is_named_with_what_to_do_and_repaired_once(doctor, tmp_path):
    leave_a_dead_run(tmp_path)
    code, out = doctor()
    assert code == Exit.FAILED
    assert "WRONG runs that died: flows 2026-09-20" in out
    assert "sereno doctor --repair" in out
    code, out = doctor("--repair")
    assert out.startswith("mended flows 2026-09-20: run ")
    assert "ended without a word; closed" in out
    assert "ok    runs that died: none" in out
    assert "nothing to repair" in doctor("--repair")[1]


def test_what_was_repaired_is_in_the_json_only_where_it_was_asked_for(doctor, tmp_path):
    leave_a_dead_run(tmp_path)
    assert isinstance(json.loads(doctor("--json")[1]), list)
    said = json.loads(doctor("--repair", "--json")[1])
    assert len(said["repaired"]) == 1
    assert {finding["what"]: finding["ok"] for finding in said["findings"]}["runs that died"] is True


def test_where_there_is_no_project_nothing_can_be_repaired(doctor, tmp_path):
    (tmp_path / "sereno.yaml").unlink()
    assert doctor("--repair")[0] == Exit.USAGE
