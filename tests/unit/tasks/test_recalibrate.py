"""Another threshold for a version: a real state database and lake, and a registry that keeps bundles in memory."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from infra.runtime.lake import Lake
from infra.runtime.project import Project
from infra.runtime.state import State
from models.bundle import FILES, HALVES, open_bundle
from models.calibration import threshold_for
from models.registry import VersionInfo
from models.thresholds import threshold_by
from schemas.errors import PromotionRefused, UsageError
from schemas.settings import Settings
from schemas.threshold import RULES
from tasks.recalibrate import RECALIBRATED_TAG, Wish, recalibrate, roots
from tasks.services import Services
from tasks.version_diff import compare_bundles
from tasks.versions import rollback_version

SCORES = pa.schema([("sereno_key", pa.string()), ("score", pa.float64()), ("in_sample", pa.bool_())])


@dataclass
class MemoryRegistry:
    """What `models.registry.Registry` promises, without MLflow."""

    home: Path
    known: dict[str, VersionInfo] = field(default_factory=dict)
    alias: str | None = None

    def register(self, _name, bundle, bundle_hash, summary, metrics, tags):
        for info in self.known.values():
            if info.bundle_hash == bundle_hash:
                return info.version
        version = str(len(self.known) + 1)
        shutil.copytree(bundle, self.home / version)
        labels = {"nights": ",".join(summary.nights), **tags}
        now = datetime(2026, 9, 1, tzinfo=UTC)
        self.known[version] = VersionInfo(version, bundle_hash, now, labels, {}, dict(metrics))
        return version

    def versions(self, _name):
        return tuple(self.known.values())

    def version(self, name, version):
        if version not in self.known:
            raise UsageError(f"The detector of {name} has no version {version}.")
        return self.known[version]

    def download(self, _name, version):
        return self.home / version

    def set_champion(self, _name, version):
        self.alias = version


@pytest.fixture
def dataset(make_dataset):
    return make_dataset()


@pytest.fixture
def services(tmp_path, detector):
    """Version 1 is registered and champion."""
    from schemas.results import TrainingSummary

    project = Project(tmp_path)
    project.create_state()
    registry = MemoryRegistry(tmp_path / "artifacts")
    summary = TrainingSummary(nights=("2026-09-01",))
    registry.register("flows", detector.folder, detector.hash, summary, {"threshold": 1.0, "held_out_loss": 0.1}, {})
    with State(f"sqlite:///{tmp_path / 'state.db'}") as state:
        state.record("flows", "1", detector.hash, "promoted", reason="first", actor="run x")
        yield Services(project, Settings(), Lake(project.lake), state, registry)


@pytest.fixture
def scored(services):
    """Write a night's scores by a version."""

    def write(night, version, scores, rows=1000, in_sample=False):
        state, day = services.state, date.fromisoformat(night)
        run = state.start_run("flows", day, "run", night)
        table = pa.table([[str(i) for i in range(len(scores))], scores, [in_sample] * len(scores)], schema=SCORES)
        at = services.lake.replace_night("flows", "scores", day, table, SCORES)
        state.finish_run(
            run.id,
            "done",
            result={"model": {"version": version}},
            versions={"scores": at, "samples": 0},
            counters={"rows": rows},
        )

    return write


def again(services, dataset, *, version=None, dry_run=False, reason="", **wish):
    return recalibrate(services, dataset, Wish(**wish), version=version, dry_run=dry_run, reason=reason, actor="ana")


def opened(services, version):
    return open_bundle(
        services.registry.download("flows", version), services.registry.version("flows", version).bundle_hash
    )


def test_a_new_version_has_another_threshold_and_nothing_else(services, dataset, detector):
    outcome = again(services, dataset, budget=5, reason="too many")
    assert (outcome.source, outcome.version, outcome.changed) == ("1", "2", True)
    old, new = opened(services, "1"), opened(services, "2")
    assert new.threshold == threshold_for(old.calibration, 5 / 1000) > old.threshold
    assert new.detector["alerts"] == {"budget": 5.0, "expected_rows": 1000.0, "share": 0.005}
    same = [name for name in [*FILES, *HALVES] if (old.folder / name).read_bytes() == (new.folder / name).read_bytes()]
    assert {*FILES, *HALVES} - set(same) == {"detector.json"}
    without = [{k: v for k, v in b.detector.items() if k not in ("threshold", "alerts")} for b in (old, new)]
    assert without[0] == without[1]
    assert old.hash == detector.hash
    compared = compare_bundles(old, new, None)
    assert {name.split(".")[0] for name in compared["settings"]} == {"alerts"}


def test_the_ledger_says_who_and_why_and_the_alias_follows(services, dataset):
    again(services, dataset, share=0.004, reason="quieter")
    registered, promoted = services.state.ledger("flows")[-2:]
    assert (registered.action, promoted.action) == ("registered", "promoted")
    assert promoted.version == "2"
    assert promoted.previous == "1"
    assert promoted.actor == "ana"
    assert promoted.reason.startswith("quieter (version 1 with threshold ")
    assert promoted.metrics["recalibrated_from"] == "1"
    assert services.registry.alias == "2"
    assert services.registry.version("flows", "2").tags[RECALIBRATED_TAG] == "1"
    assert services.registry.version("flows", "2").metrics["held_out_loss"] == 0.1
    told = services.state.events()[0]
    assert (told.kind, told.actor, told.detail["version"], told.detail["previous"]) == ("recalibrated", "ana", "2", "1")
    assert rollback_version(services.registry, services.state, "flows", reason="", actor="ana") == "1"


def test_done_twice_changes_nothing_more(services, dataset):
    again(services, dataset, budget=5)
    rows = len(services.state.ledger("flows"))
    for version in (None, "1"):
        outcome = again(services, dataset, budget=5, version=version)
        assert (outcome.version, outcome.changed) == ("2", False)
    assert len(services.state.ledger("flows")) == rows


def test_the_way_back_is_the_version_that_was_there(services, dataset):
    old = opened(services, "1")
    again(services, dataset, budget=5)
    outcome = again(services, dataset, threshold=old.threshold, version="1")
    assert (outcome.version, outcome.changed) == ("1", True)
    assert services.state.champion("flows").version == "1"


def test_a_dry_run_changes_nothing(services, dataset, scored):
    scored("2026-09-02", "1", [0.1, 1.0, 2.0, 3.0])
    outcome = again(services, dataset, threshold=1.5, dry_run=True)
    assert (outcome.version, outcome.changed) == (None, False)
    assert [(night.rows, night.after) for night in outcome.nights] == [(4, 2)]
    assert len(services.registry.known) == len(services.state.ledger("flows")) == 1


def test_only_nights_with_scores_of_this_detector_are_compared(
    services, dataset, scored, make_detector, make_rows, tmp_path
):
    from schemas.results import TrainingSummary

    again(services, dataset, threshold=1.5)
    other = make_detector(tmp_path / "other", make_rows(1500, seed=3))
    services.registry.register("flows", other.folder, other.hash, TrainingSummary(), {}, {})
    for night, version in (("2026-09-02", "1"), ("2026-09-03", "2"), ("2026-09-04", "3")):
        scored(night, version, [1.0, 2.0], in_sample=version == "1")
    outcome = again(services, dataset, threshold=2.5, dry_run=True)
    assert outcome.nights_seen == 3
    assert [(n.date, n.version, n.before, n.after, n.in_sample) for n in outcome.nights] == [
        ("2026-09-02", "1", 1, 0, True),
        ("2026-09-03", "2", 1, 0, False),
    ]


def test_a_budget_is_about_the_rows_of_the_newest_nights(services, dataset, scored):
    for day, rows in enumerate((4000, 5000, 6000), 2):
        scored(f"2026-09-0{day}", "1", [1.0], rows=rows)
    outcome = again(services, dataset, budget=10, dry_run=True)
    assert (outcome.after.rows, outcome.after.share) == (5000, 0.002)


def test_without_a_wish_the_dataset_file_decides(services, make_dataset):
    outcome = again(services, make_dataset(detector={"alert_budget": 7}), dry_run=True)
    assert outcome.after.budget == 7
    assert outcome.notes == ()


@pytest.mark.parametrize(
    ("wish", "rule"),
    [
        ({"share": 0.004}, {"method": "quantile", "share": 0.004}),
        ({"p_value": 0.01}, {"method": "p_value", "at_most": 0.01}),
        ({"risk": 1e-5}, {"method": "tail", "risk": 1e-5}),
    ],
    ids=lambda value: next(iter(value)),
)
def test_every_rule_gives_a_version_that_says_by_which(services, dataset, make_dataset, wish, rule):
    outcome = again(services, dataset, **wish)
    made = opened(services, outcome.version)
    rule = RULES.validate_python(rule)
    share = next(iter(wish.values()))
    assert outcome.changed
    assert made.threshold == threshold_by(rule, made.calibration, share)
    assert made.threshold_rule == outcome.after.rule == rule.model_dump()
    assert made.detector["alerts"] == {"budget": share * 1000, "expected_rows": 1000.0, "share": share}
    assert f"to keep this one write there: threshold: {{method: {rule.method}, " in outcome.notes[0]
    like = make_dataset(detector={"threshold": rule.model_dump(), "rows": 5000})
    by_file = again(services, like, version="1", dry_run=True)
    assert (by_file.after, by_file.notes) == (outcome.after, outcome.notes[1:])


def test_the_way_back_to_the_budget_leaves_no_other_rule_behind(services, dataset, make_dataset):
    again(services, dataset, risk=1e-4)
    by_tail = make_dataset(detector={"threshold": {"method": "tail", "risk": 1e-4, "level": 0.9}})
    outcome = again(services, by_tail, budget=5)
    assert opened(services, outcome.version).threshold_rule == outcome.after.rule == {"method": "budget"}
    assert "threshold_rule" not in opened(services, outcome.version).detector
    assert "says threshold {method: tail, risk: 0.0001, level: 0.9}" in outcome.notes[0]
    assert "write there: alert_budget: 5, and threshold: {method: budget}" in outcome.notes[0]
    assert again(services, by_tail, risk=1e-3, dry_run=True).after.rule["level"] == 0.9


def test_a_threshold_by_hand_says_so(services, dataset):
    outcome = again(services, dataset, threshold=1.25)
    assert (outcome.before.rule, outcome.after.rule) == ({"method": "budget"}, {"method": "score"})
    assert opened(services, "2").threshold_rule == {"method": "score"}


def test_a_budget_unlike_the_dataset_files_is_said(services, dataset):
    outcome = again(services, dataset, budget=0.5, dry_run=True)
    assert "alert_budget 20, which the next training uses" in outcome.notes[0]
    assert "beyond what" in outcome.notes[1]
    assert outcome.after.threshold > np.max(opened(services, "1").calibration)


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        ({"share": 0.0}, "above 0 and below 1"),
        ({"share": -0.1}, "above 0 and below 1"),
        ({"share": 1.0}, "above 0 and below 1"),
        ({"p_value": 1.0}, "--p-value 1: a p-value to alert at lies above 0 and below 1"),
        ({"risk": 0.0}, "--risk 0: a risk lies above 0 and below 1"),
        ({"risk": 0.1, "p_value": 0.1}, "--p-value and --risk say the same thing"),
        ({"budget": 0.0}, "more than no alerts"),
        ({"budget": 1000.0}, "a usual night has 1,000 rows"),
        ({"threshold": -1.0}, "no score is below 0"),
        ({"threshold": float("nan")}, "not a number"),
        ({"budget": float("inf")}, "not a number"),
        ({"budget": 5.0, "share": 0.1}, "give one of them"),
    ],
    ids=lambda value: str(value)[:24],
)
def test_a_wish_that_makes_no_sense_is_refused_in_words(services, dataset, wish, said):
    with pytest.raises(UsageError, match=said):
        again(services, dataset, **wish)
    assert len(services.state.ledger("flows")) == 1


def test_there_must_be_a_version_that_the_gate_did_not_refuse(services, dataset, detector):
    with pytest.raises(UsageError, match="no version 9"):
        again(services, dataset, version="9", budget=5)
    services.state.record("flows", "1", detector.hash, "refused", reason="worse", actor="run y")
    with pytest.raises(PromotionRefused, match="worse"):
        again(services, dataset, version="1", budget=5)


def test_without_a_champion_there_is_nothing_to_recalibrate(services, make_dataset):
    with pytest.raises(UsageError, match="no champion to recalibrate"):
        again(services, make_dataset(name="others"), budget=5)


def test_a_chain_of_recalibrations_has_one_root(services):
    one = services.registry.version("flows", "1")
    chain = [
        one,
        *(replace(one, version=v, tags={RECALIBRATED_TAG: of}) for v, of in (("2", "1"), ("3", "2"), ("5", "4"))),
    ]
    assert roots(chain) == {"1": "1", "2": "1", "3": "1", "5": "4"}
    circle = [replace(one, version=v, tags={RECALIBRATED_TAG: of}) for v, of in (("1", "2"), ("2", "1"))]
    assert set(roots(circle)) == {"1", "2"}
