"""A night with a challenger to decide on: a real state database, and a registry that keeps versions in memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from infra.runtime.lake import Lake
from infra.runtime.project import Project
from infra.runtime.state import State
from models.registry import VersionInfo
from models.training_request import TrainingOutcome
from schemas.errors import UsageError
from schemas.results import TrainingSummary
from schemas.settings import Settings
from tasks.night import Night, NightOptions, NightRequest
from tasks.services import Services

TONIGHT = date(2026, 9, 20)
HASHES = {"1": "1" * 64, "2": "2" * 64, "3": "3" * 64}


@dataclass
class MemoryRegistry:
    """What `models.registry.Registry` promises, without MLflow; every version was trained on the night before."""

    folder: Path
    nights: dict[str, str] = field(default_factory=lambda: dict.fromkeys(HASHES, "2026-09-19"))
    alias: str | None = None

    def versions(self, name):
        return tuple(self.version(name, version) for version in self.nights)

    def version(self, name, version):
        if version not in self.nights:
            raise UsageError(f"The detector of {name} has no version {version}.")
        created = datetime(2026, 9, 19, tzinfo=UTC)
        return VersionInfo(version, HASHES[version], created, {"nights": self.nights[version]})

    def download(self, name, version):
        self.version(name, version)
        return self.folder / version

    def set_champion(self, _name, version):
        self.alias = version


@pytest.fixture
def registry(tmp_path):
    return MemoryRegistry(tmp_path / "artifacts")


@pytest.fixture
def services(tmp_path, registry):
    project = Project(tmp_path)
    with State(f"sqlite:///{tmp_path / 'state.db'}") as state:
        yield Services(project, Settings(), Lake(project.lake), state, registry)


@pytest.fixture
def begin(services, tmp_path, make_dataset):
    """Begin a night with a challenger that the gate decided on; without a decision nothing was trained."""

    def make(decision=None, challenger="2", *, dataset=None, fingerprint="fp", failure="", **options):
        request = NightRequest(dataset or make_dataset(), TONIGHT, NightOptions(**options))
        run = services.state.start_run("flows", TONIGHT, "run", fingerprint)
        night = Night(request, services, run, tmp_path / "work", training_failure=failure)
        if decision is not None:
            bundle = tmp_path / "work" / "bundle"
            night.trained = TrainingOutcome(bundle, HASHES[challenger], TrainingSummary(nights=("2026-09-19",)), {})
            night.challenger, night.decision = challenger, decision
        return night

    return make
