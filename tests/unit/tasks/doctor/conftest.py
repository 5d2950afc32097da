"""A project in which misconfigurations are planted, and what the doctor says of it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from infra.runtime.project import Project
from infra.runtime.state import State
from schemas.dataset import load_dataset
from schemas.settings import load_settings
from tasks.doctor import examine

DATASET = """\
name: flows
source: {{path: '{path}'}}
columns:
  a: {{type: number}}
detector: {detector}
"""


class Sick:
    """A project folder, and what the doctor says of it."""

    def __init__(self, root: Path) -> None:
        self.project = Project(root)
        self.project.datasets.mkdir()
        (root / "in").mkdir()
        self.settings("")
        self.dataset()
        self.arrived(f"in/{datetime.now(UTC).date()}.csv")

    def settings(self, text):
        self.project.settings_file.write_text(text, encoding="utf-8")
        self.project.settings_file.chmod(0o600)

    def dataset(self, path="in/{date}.csv", detector="{window_nights: 28}", more=""):
        text = DATASET.format(path=path, detector=detector) + more
        self.project.dataset_file("flows").write_text(text, encoding="utf-8")
        load_dataset(self.project.dataset_file("flows"))

    def arrived(self, *names):
        for name in names:
            (self.project.root / name).write_text("a\n1\n")

    def state(self):
        self.project.create_state()
        return State(self.project.database_url)

    def findings(self, **environ):
        resolved = load_settings(self.project.root, environ=environ)
        return list(examine(self.project.placed(resolved.settings), resolved, environ))

    def found(self, check, **environ):
        return [finding for finding in self.findings(**environ) if finding.check == check and finding.level != "ok"]

    def one(self, check, level, **environ):
        (found,) = self.found(check, **environ)
        assert found.level == level, found
        assert found.hint
        return found


@pytest.fixture
def sick(tmp_path):
    return Sick(tmp_path)
