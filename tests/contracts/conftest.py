"""What the contract tests share: the files that the project is made of."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOMS = ("flows", "tasks", "schemas", "models", "infra")


@pytest.fixture(scope="session")
def project_files(checkout: Path) -> list[Path]:
    """List the files that git knows or would know; all but the ignored ones."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(command, cwd=checkout, capture_output=True, check=True).stdout.decode().split("\0")
    files = [checkout / name for name in names if name and (checkout / name).is_file()]
    assert len(files) > 20, "git lists next to nothing: the tests that read the project's files would hold by chance"
    return files


@pytest.fixture(scope="session")
def modules(checkout: Path, project_files: list[Path]) -> list[Path]:
    """List the Python modules of the five rooms."""
    found = [f for f in project_files if f.suffix == ".py" and f.relative_to(checkout).parts[0] in ROOMS]
    assert found
    return found
