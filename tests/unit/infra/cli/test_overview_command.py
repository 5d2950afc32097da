"""`sereno report` without a name: the overview of all datasets."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from infra.cli.failures import reported
from infra.cli.main import cli
from schemas.errors import Exit


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with one dataset file, which cannot be read."""
    monkeypatch.setenv("COLUMNS", "200")
    (tmp_path / "sereno.yaml").write_text("{}\n", encoding="utf-8")
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets" / "odd.yaml").write_text("name: [", encoding="utf-8")
    return tmp_path


def test_it_writes_the_page_and_says_where(project, capsys):
    code = reported(cli, ("--project", str(project), "report", "--date", "2026-03-06"))
    page = project / "reports" / "2026-03-06.html"
    assert code == Exit.DONE
    assert capsys.readouterr().out == f"overview: {page}\n"
    assert page.read_bytes()
    assert (project / "reports" / "index.html").read_bytes()


def test_as_json_it_says_what_became_of_each_dataset(project, capsys):
    code = reported(cli, ("--project", str(project), "report", "--date", "2026-03-06", "--json"))
    told = json.loads(capsys.readouterr().out)
    assert code == Exit.DONE
    assert told["report"] == str(project / "reports" / "2026-03-06.html")
    assert [(row["dataset"], row["state"], row["needs_a_person"]) for row in told["datasets"]] == [
        ("odd", "unreadable", True)
    ]
