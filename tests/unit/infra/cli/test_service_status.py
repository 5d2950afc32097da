"""What `status --service` says of retention."""

from __future__ import annotations

import json
from datetime import date

import pytest

from infra.cli.failures import reported
from infra.cli.main import cli
from infra.runtime.project import Project
from infra.runtime.state import State
from tasks.retention_daily import failed


@pytest.fixture
def sereno(tmp_path, capsys):
    def run(*arguments):
        code = reported(cli, ("--project", str(tmp_path), *arguments))
        shown = capsys.readouterr()
        assert code == 0, shown.err
        return shown.out

    return run


def test_status_says_when_retention_was_applied_and_what_that_freed(sereno, tmp_path):
    (tmp_path / "sereno.yaml").write_text("retention: {at: '04:30', timezone: Europe/Berlin}\n", encoding="utf-8")
    row = json.loads(sereno("status", "--service", "--json"))["retention"]
    assert row == {
        "at": "04:30",
        "timezone": "Europe/Berlin",
        "last": None,
        "done": False,
        "bytes": None,
        "text": "",
    }
    assert "retention" not in sereno("status", "--service")
    with State(Project(tmp_path).database_url) as state:
        state.tell(failed(date(2026, 9, 21), "the disk is full"))
    out = sereno("status", "--service")
    assert "Retention of 2026-09-21 failed: the disk is full" in out
    assert "(each day from 04:30 Europe/Berlin on)" in out
    (tmp_path / "sereno.yaml").write_text("retention: {at: never}\n", encoding="utf-8")
    assert "(never by itself)" in sereno("status", "--service")
