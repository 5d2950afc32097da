"""Which versions of detectors retention takes away, and that MLflow, files and ledger agree about it."""

from __future__ import annotations

import hashlib
import json
import shutil
from datetime import date, timedelta
from pathlib import Path

import pytest

from infra.runtime.lake import Lake
from infra.runtime.project import Project
from infra.runtime.state import State
from models.registry import Registry
from schemas.errors import PromotionRefused, UsageError
from schemas.results import TrainingSummary
from schemas.settings import load_settings
from tasks.repair import tell_ledger
from tasks.retention import plan_vacuum, vacuum
from tasks.services import Services
from tasks.versions import known_version, promote_version, rollback_version

SUMMARY = TrainingSummary(rows_fit=80, rows_calibrate=10, nights=("2026-09-01",), epochs=1, loss=(0.5,))
FIRST = date(2026, 9, 1)
DATASET = "name: flows\nsource: {path: in.csv}\ncolumns:\n  a: {type: number}\ndetector: {window_nights: 1}\n"


class Trained:
    """A project whose nights each registered a version: 1 champion, 2 champion, 3 refused, 4 champion, ..."""

    def __init__(self, root: Path, state: State) -> None:
        self.project, self.state = Project(root), state
        self.registry = Registry(self.project.mlflow_uri, self.project.artifacts)

    def services(self, **retention):
        lines = ["retention:", *(f"  {name}: {value}" for name, value in retention.items())]
        self.project.settings_file.write_text("\n".join(lines if retention else []), encoding="utf-8")
        settings = load_settings(self.project.root, environ={}).settings
        return Services(self.project, settings, Lake(self.project.lake), self.state, self.registry)

    def version(self, text, action=None, tags=None):
        made = self.project.root / f"made-{text}"
        made.mkdir()
        values = json.dumps({"text": text, "family": "linear", "settings": {}})
        (made / "detector.json").write_text(values)
        digest = hashlib.sha256(values.encode()).hexdigest()
        (made / "manifest.json").write_text(json.dumps({"protocol": 1, "files": {"detector.json": digest}}))
        hash_ = hashlib.sha256((made / "manifest.json").read_bytes()).hexdigest()
        version = self.registry.register("flows", made, hash_, SUMMARY, {}, tags or {})
        shutil.rmtree(made)
        self.state.record("flows", version, hash_, "registered", reason="trained", actor="run")
        if action:
            self.state.record("flows", version, hash_, action, reason="gate", actor="run")
        return version

    def night(self, position, version):
        day = FIRST + timedelta(days=position)
        run = self.state.start_run("flows", day, "run", "fp")
        model = {"version": version, "champion": version}
        self.state.finish_run(run.id, "done", versions={"scores": 1, "samples": 1}, result={"model": model})

    def there(self):
        return [info.version for info in self.registry.versions("flows")]

    def folders(self):
        return sorted(path.name for path in (self.project.artifacts / "flows" / "models").glob("*"))


def project_at(root, empty_store):
    project = Project(root)
    project.datasets.mkdir()
    project.settings_file.touch()
    project.dataset_file("flows").write_text(DATASET, encoding="utf-8")
    project.create_state()
    shutil.copy(empty_store, project.state / "mlflow.db")
    return project


@pytest.fixture
def trained(tmp_path, empty_store):
    with State(project_at(tmp_path, empty_store).database_url) as state:
        yield Trained(tmp_path, state)


@pytest.fixture(scope="module")
def trained_once(tmp_path_factory, empty_store):
    """Eight versions; tests copy the project, whose bundles then lie elsewhere than MLflow says."""
    project = project_at(tmp_path_factory.mktemp("trained"), empty_store)
    with State(project.database_url) as state:
        trained = Trained(project.root, state)
        for action in ("promoted", "promoted", "refused", "promoted", "refused", "refused", "promoted", None):
            trained.version(str(len(trained.there())), action)
        trained.registry.set_champion("flows", "7")
    return project.root


@pytest.fixture
def many(trained_once, tmp_path):
    root = Path(shutil.copytree(trained_once, tmp_path / "project"))
    with State(Project(root).database_url) as state:
        yield Trained(root, state)


def going(plan):
    return [one.names[0] if one.names else one.what.split()[-1] for one in plan.going]


def test_champions_to_go_back_to_and_what_waits_for_a_decision_stay(many):
    services = many.services(detectors=1, champions=2)
    plan = plan_vacuum(services)
    assert going(plan) == ["1", "2", "3", "5", "6"]
    assert {(one.what, one.why) for one in plan.staying} == {
        ("detector version 4", "among the last 2 champions, to which one can go back"),
        ("detector version 7", "the champion"),
    }
    assert going(plan_vacuum(many.services(detectors=1, champions=4))) == ["3", "5", "6"]
    many.version("more", "refused")
    plan = plan_vacuum(services)
    assert ("detector version 8", "it waits for a decision: sereno models promote") in {
        (one.what, one.why) for one in plan.staying
    }


def test_versions_that_scores_or_the_training_window_name_stay(many):
    many.night(0, "1")
    many.night(1, "3")
    plan = plan_vacuum(many.services(detectors=1, champions=2))
    assert going(plan) == ["2", "5", "6"]
    many.state.mark_gone("flows", "scores", [FIRST])
    assert going(plan_vacuum(many.services(detectors=1, champions=2))) == ["1", "2", "5", "6"]
    many.state.mark_gone("flows", "scores", [FIRST + timedelta(days=1)])
    staying = {one.what: one.why for one in plan_vacuum(many.services(detectors=1, champions=2)).staying}
    assert staying["detector version 3"] == "the night 2026-09-02 of the training window names it"


def test_what_a_kept_version_was_recalibrated_from_stays(trained):
    parent = trained.version("parent", "promoted")
    child = trained.version("child", "promoted", tags={"recalibrated_from": parent})
    for text in ("a", "b"):
        trained.version(text, "promoted")
    trained.night(0, child)
    plan = plan_vacuum(trained.services(detectors=1, champions=2))
    assert plan.going == ()
    assert {one.why for one in plan.staying if one.what.endswith(" 1")} == {"version 2 is a recalibration of it"}


def test_while_a_run_of_the_dataset_is_at_work_all_stay(many):
    run = many.state.start_run("flows", FIRST, "score", "fp")
    plan = plan_vacuum(many.services(detectors=1, champions=2))
    assert plan.going == ()
    assert {one.why for one in plan.staying} == {"a run is at work, which may read any of them"}
    many.state.finish_run(run.id, "failed")
    assert going(plan_vacuum(many.services(detectors="1d"))) == [], "all were made today"


def test_a_version_that_went_is_gone_from_mlflow_and_disk_and_the_ledger_says_so(many):
    before = many.folders()
    done = vacuum(many.services(detectors=1, champions=2))
    assert not done.failures
    assert going(done) == ["1", "2", "3", "5", "6"]
    assert all(one.bytes > 500 for one in done.going)
    assert many.there() == ["4", "7", "8"]
    assert len(many.folders()) == len(before) - 5 == 3
    client = many.registry._client
    assert len(client.search_runs([client.get_experiment_by_name("flows").experiment_id])) == 3
    rows = [row for row in many.state.ledger("flows") if row.action == "deleted"]
    assert [row.version for row in rows] == ["1", "2", "3", "5", "6"]
    assert rows[0].reason == "by retention: not among the newest 1 versions"
    assert len(many.state.ledger("flows")) == 15 + 5
    assert vacuum(many.services(detectors=1, champions=2)).going == ()
    assert many.registry.champion("flows") == "7"
    assert many.registry.download("flows", "4").is_dir()


def test_who_asks_for_a_version_that_is_gone_is_told_when_it_went(many):
    vacuum(many.services(detectors=1, champions=2))
    with pytest.raises(UsageError, match=r"version 2 is gone by retention on \d{4}-"):
        known_version(many.registry, many.state, "flows", "2")
    with pytest.raises(UsageError, match="has no version 99"):
        known_version(many.registry, many.state, "flows", "99")
    with pytest.raises(UsageError, match="version 2 is gone"):
        promote_version(many.registry, many.state, "flows", "2", reason="", actor="ana")
    with pytest.raises(PromotionRefused, match="version 2 is gone"):
        many.state.record("flows", "2", "0" * 64, "promoted", reason="at the same moment", actor="ana")


def test_one_goes_back_as_far_as_champions_are_kept_and_then_is_told(many, monkeypatch):
    monkeypatch.setattr("models.bundle.open_bundle", lambda *_: None)
    vacuum(many.services(detectors=1, champions=2))
    assert rollback_version(many.registry, many.state, "flows", reason="", actor="ana") == "4"
    with pytest.raises(UsageError, match="version 2 is gone by retention"):
        rollback_version(many.registry, many.state, "flows", reason="", actor="ana")


def test_a_version_that_became_champion_since_the_plan_stays(many):
    services = many.services(detectors=1, champions=2)
    plan = plan_vacuum(services)
    from tasks.retention_detectors import take_detector

    many.state.record("flows", "3", many.registry.version("flows", "3").bundle_hash, "promoted", reason="", actor="ana")
    third = next(one for one in plan.going if one.names == ("3",))
    done = take_detector(services, third, "ana")
    assert done.going == ()
    assert "is the champion, whose bundle stays" in done.staying[0].why
    assert "3" in many.there()


@pytest.mark.parametrize("left", ["all", "version"])
def test_a_deletion_that_was_stopped_is_ended_by_the_next_one(many, left):
    digest = many.registry.version("flows", "2").bundle_hash
    many.state.record("flows", "2", digest, "deleted", reason="by retention", actor="ana")
    if left == "version":
        shutil.rmtree(many.registry.download("flows", "2").parent.parent)
    many.state.record("flows", "5", "0" * 64, "registered", reason="", actor="run")
    tell_ledger(many.services(), "flows")
    assert many.state.ledger("flows")[-1].version == "5", "the repair does not tell of it as of a new one"
    assert going(vacuum(many.services())) == ["2"]
    assert "2" not in many.there()
    assert len([row for row in many.state.ledger("flows") if row.action == "deleted"]) == 1


def test_the_same_bundle_again_is_a_version_of_its_own(many):
    vacuum(many.services(detectors=1, champions=2))
    again = many.version("2", None)
    assert again == "9"
    assert many.state.ledger("flows")[-1].action == "registered"
    assert known_version(many.registry, many.state, "flows", again).version == again
    many.state.record(
        "flows", again, many.registry.version("flows", again).bundle_hash, "promoted", reason="", actor="a"
    )
    assert many.state.champion("flows").version == "9"
