from __future__ import annotations

import os
from pathlib import Path

import pytest

from infra.runtime import likeness as module
from infra.runtime.likeness import likeness


def test_it_is_the_same_again() -> None:
    assert likeness() == likeness()


@pytest.mark.parametrize("name", ["AWS_SECRET_ACCESS_KEY", "https_proxy", "PYTHONPATH", "SERENO_FAILPOINT"])
def test_what_workers_read_counts_and_is_not_told(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = likeness()
    monkeypatch.setenv(name, "somewhere-else")
    assert likeness() != before
    assert "somewhere-else" not in likeness()


@pytest.mark.parametrize("name", ["PREFECT_API_URL", "TERM", "PYTHONUNBUFFERED", "SERENO_PROJECT"])
def test_what_differs_between_the_service_and_a_shell_does_not_count(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = likeness()
    monkeypatch.setenv(name, "somewhere-else")
    assert likeness() == before


def test_another_release_of_our_code_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = tmp_path / "infra" / "runtime" / "likeness.py"
    code.parent.mkdir(parents=True)
    code.write_text("", encoding="utf-8")
    monkeypatch.setattr(module, "__file__", str(code))
    before = likeness()
    os.utime(code, (1, 1))
    assert likeness() != before
