"""Classical rivals in the gate: told of where they find more, and champion where the dataset file lets them."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from infra.runtime.lake import Lake
from infra.runtime.project import Project
from infra.runtime.state import State
from models.bundle import open_bundle
from models.registry import VersionInfo
from models.scoring import Scorer
from models.training_request import TrainingOutcome
from schemas.results import TrainingSummary
from schemas.settings import Settings
from tasks import stages
from tasks.gate import judge
from tasks.gate_rivals import said_of
from tasks.night import Night, NightOptions, NightRequest
from tasks.promotion import record_decision, scoring_version
from tasks.services import Services

NAME = "classical rivals"
TITLES = {"PCA", "k-means", "k nearest neighbours", "LOF", "isolation forest"}


@dataclass
class BundleRegistry:
    """What `models.registry.Registry` promises, without MLflow: versions are numbered, bundles stay where they are."""

    bundles: dict[str, TrainingOutcome] = field(default_factory=dict)
    alias: str | None = None

    def register(self, _name, bundle, bundle_hash, summary, metrics, _tags):
        version = str(len(self.bundles) + 1)
        self.bundles[version] = TrainingOutcome(bundle, bundle_hash, summary, metrics)
        return version

    def version(self, _name, version):
        made = self.bundles[version]
        family = open_bundle(made.bundle).detector["family"]
        return VersionInfo(version, made.bundle_hash, datetime(2026, 9, 19, tzinfo=UTC), {}, {"family": family})

    def versions(self, name):
        return tuple(self.version(name, version) for version in self.bundles)

    def download(self, _name, version):
        return self.bundles[version].bundle

    def set_champion(self, _name, version):
        self.alias = version

    def prepare(self):
        return None


@pytest.fixture(scope="module")
def weak(make_detector, make_rows, tmp_path_factory):
    """An autoencoder that learnt one direction alone."""
    return make_detector(tmp_path_factory.mktemp("weak") / "bundle", make_rows(3000), rank=1)


@pytest.fixture
def services(tmp_path):
    project = Project(tmp_path)
    with State(f"sqlite:///{tmp_path / 'state.db'}") as state:
        yield Services(project, Settings(), Lake(project.lake), state, BundleRegistry())


@pytest.fixture
def at_gate(services, weak, window, make_dataset, tmp_path):
    """A night whose weak challenger stands before the gate."""

    def make(policy, *, in_sample=False):
        dataset = make_dataset(detector={"alert_budget": 20, "rows": 5000, "rivals": policy})
        run = services.state.start_run("flows", date(2026, 9, 20), "run", "fp")
        work = tmp_path / run.id
        work.mkdir()
        shutil.copy(window, work / "window.parquet")
        night = Night(NightRequest(dataset, date(2026, 9, 20), NightOptions()), services, run, work)
        summary = TrainingSummary(in_sample=in_sample, nights=("2026-09-01",))
        night.trained = TrainingOutcome(weak.folder, weak.hash, summary, {})
        stages.gate(night)
        return night

    return make


def check_of(decision):
    return next((check for check in decision.checks if check["name"] == NAME), None)


def test_a_rival_that_finds_more_is_told_in_one_sentence_and_judges_nothing(make_dataset, weak, window):
    decision = judge(make_dataset(), weak.folder, weak.hash, window, seed=7)
    check = check_of(decision)
    assert check["passed"]
    assert check["expected"] == "told, not judged"
    assert "clearly more planted anomalies than the challenger (0." in check["observed"]
    assert decision.stronger in TITLES
    assert set(decision.battery.all) >= TITLES


def test_where_none_finds_more_that_is_told_too(make_dataset, detector, window, monkeypatch):
    monkeypatch.setattr("tasks.gate_rivals.RIVAL_MARGIN", 0.5)
    decision = judge(make_dataset(), detector.folder, detector.hash, window, seed=7)
    assert check_of(decision)["observed"].startswith("none of PCA, k-means")
    assert decision.stronger == ""


def test_without_rivals_pca_still_judges(make_dataset, weak, window):
    decision = judge(make_dataset(detector={"rows": 5000, "rivals": "none"}), weak.folder, weak.hash, window, seed=7)
    assert check_of(decision) is None
    assert set(decision.battery.all) == {"challenger", "PCA"}
    assert decision.stronger == ""


def test_two_winners_are_said_together():
    said = said_of({"LOF": (0.93, 0.9), "PCA": (0.925, 0.9)}, ("PCA", "LOF"))
    assert (
        said == "LOF (AUROC 0.930), PCA (AUROC 0.925) find clearly more planted anomalies than the challenger (0.900)"
    )


def test_a_rival_may_win_becomes_champion_and_scores(at_gate, services, weak, make_rows):
    night = at_gate("may_win")
    assert night.trained.bundle_hash != weak.hash
    title = night.decision.reasons[0].split(" takes the autoencoder's place")[0]
    assert title in TITLES
    chosen = scoring_version(night)
    assert chosen.outcome.promoted
    record_decision(night, promote=True)
    champion = services.state.champion("flows")
    assert champion.bundle_hash == night.trained.bundle_hash
    assert services.registry.alias == champion.version == night.challenger
    bundle = open_bundle(chosen.bundle, chosen.bundle_hash)
    assert chosen.outcome.family == bundle.detector["family"] == bundle.rival.name
    assert Scorer(bundle).score(make_rows(50).to_pandas()).p_value.max() <= 1
    actions = [(row.version, row.action) for row in services.state.ledger("flows")]
    assert ("1", "refused") in actions
    assert ("2", "promoted") in actions


def test_the_rivals_champion_is_held_against_the_next_autoencoder(at_gate, services):
    record_decision(at_gate("may_win"), promote=True)
    services.state.finish_run(services.state.champion("flows").run_id, "done", result={})
    again = at_gate("report")
    names = {check["name"]: check["passed"] for check in again.decision.checks}
    assert names["not worse than the champion"] is False


def test_a_rival_that_may_not_win_only_stands_in_the_report(at_gate, weak):
    night = at_gate("report")
    assert night.trained.bundle_hash == weak.hash
    assert check_of(night.decision) is not None


def test_on_a_night_that_trains_itself_no_rival_wins(at_gate, weak):
    night = at_gate("may_win", in_sample=True)
    assert night.trained.bundle_hash == weak.hash
    assert any("does not win on a night that trains itself" in warning for warning in night.warnings)


def test_a_rival_that_does_not_pass_the_gate_stays_outside(at_gate, weak, monkeypatch):
    from tasks import gate

    def only_the_weak_one(evidence):
        is_network = evidence.challenger.bundle.rival is None
        return gate.Check("scores vary", is_network, "x", "y", "" if is_network else "it may not")

    monkeypatch.setattr(gate, "CHECKS", (only_the_weak_one,))
    night = at_gate("may_win")
    assert night.trained.bundle_hash == weak.hash
    assert any("does not pass the gate: it may not" in warning for warning in night.warnings)


def test_a_version_without_a_network_says_so_to_those_who_want_codes(at_gate, services, make_dataset):
    from schemas.errors import UsageError
    from tasks.uses import _detector

    record_decision(at_gate("may_win"), promote=True)
    with pytest.raises(UsageError, match="which has no network for codes and rows"):
        _detector(services, make_dataset(), None)


def test_the_bundle_of_a_winner_lies_in_the_nights_folder(at_gate):
    night = at_gate("may_win")
    assert Path(night.trained.bundle).parent == night.work
