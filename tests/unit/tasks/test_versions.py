"""Versions by the ledger: a real state database, and a registry that keeps bundles in memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pytest

from infra.runtime.state import State
from models.registry import VersionInfo
from schemas.errors import BundleError, PromotionRefused, UsageError
from tasks.versions import (
    align_alias,
    diff_versions,
    known_version,
    list_versions,
    promote_version,
    rollback_version,
    show_version,
)


@dataclass
class MemoryRegistry:
    """What `models.registry.Registry` promises, without MLflow, whose own tests are beside it."""

    folders: dict[str, Path]
    hashes: dict[str, str]
    alias: str | None = None
    set_to: list[str | None] = field(default_factory=list)

    def versions(self, name):
        return tuple(self.version(name, version) for version in self.folders)

    def version(self, name, version):
        if version not in self.folders:
            raise UsageError(f"The detector of {name} has no version {version}.")
        tags = {"nights": "2026-09-01,2026-09-02"}
        return VersionInfo(
            version,
            self.hashes[version],
            datetime(2026, 9, 3, tzinfo=UTC),
            tags,
            {},
            {"rows_fit": 70.0, "held_out_loss": 0.1},
        )

    def download(self, _name, version):
        return self.folders[version]

    def champion(self, _name):
        return self.alias

    def set_champion(self, _name, version):
        self.alias = version
        self.set_to.append(version)


@pytest.fixture(scope="module")
def bundles(tmp_path_factory, make_detector, make_rows, make_dataset):
    folder, rows = tmp_path_factory.mktemp("bundles"), make_rows(2000)
    other = make_dataset(detector={"alert_budget": 40, "rows": 5000, "code": 8})
    return {
        "1": make_detector(folder / "1", rows),
        "2": make_detector(folder / "2", rows, dataset=other, rank=3, share=0.05),
        "3": make_detector(folder / "3", rows, rank=4),
    }


@pytest.fixture
def registry(bundles):
    return MemoryRegistry({v: b.folder for v, b in bundles.items()}, {v: b.hash for v, b in bundles.items()})


@pytest.fixture
def ledger(tmp_path):
    with State(f"sqlite:///{tmp_path / 'state.db'}") as state:
        yield state


def write(ledger, registry, *entries):
    for action, version in entries:
        ledger.record("flows", version, registry.hashes[version], action, reason=f"{action} {version}", actor="run 1")


def promote(registry, ledger, version, **given):
    promote_version(registry, ledger, "flows", version, **{"reason": "", "actor": "ann", **given})


def rollback(registry, ledger):
    return rollback_version(registry, ledger, "flows", reason="", actor="ann")


def test_the_list_is_newest_first_and_marks_champion_refused_and_former(registry, ledger):
    write(ledger, registry, ("registered", "1"), ("promoted", "1"), ("promoted", "3"), ("refused", "2"))
    rows = list_versions(registry, ledger, "flows")
    assert [(row.version, row.standing) for row in rows] == [("3", "champion"), ("2", "refused"), ("1", "was champion")]
    assert rows[0].as_dict()["champion"] is True
    assert rows[0].as_dict()["rows"] == 70
    assert rows[0].line().startswith("*")
    assert "2026-09-01..2026-09-02" in rows[0].line()
    assert rows[1].reason == "refused 2"


def test_a_version_is_shown_with_all_that_its_bundle_says(registry, ledger, bundles):
    write(ledger, registry, ("registered", "1"), ("promoted", "1"))
    facts = show_version(registry, ledger, "flows", "1")
    assert facts["bundle_hash"] == bundles["1"].hash
    assert facts["standing"] == "champion"
    assert facts["settings"]["alert_budget"] == 20
    assert facts["nights"] == ["2026-09-01", "2026-09-02"]
    assert [entry["action"] for entry in facts["ledger"]] == ["registered", "promoted"]
    assert known_version(registry, ledger, "flows", "1").nights == ("2026-09-01", "2026-09-02")


def test_a_version_that_does_not_exist_is_a_usage_error(registry, ledger):
    for call in (known_version, show_version, lambda r, s, _, v: promote(r, s, v)):
        with pytest.raises(UsageError):
            call(registry, ledger, "flows", "9")


def test_promotion_is_written_with_actor_and_reason_and_the_alias_follows(registry, ledger):
    promote(registry, ledger, "2", reason="looked at it")
    row = ledger.champion("flows")
    assert (row.version, row.actor, row.reason, row.action) == ("2", "ann", "looked at it", "promoted")
    assert registry.alias == "2"
    with pytest.raises(PromotionRefused, match="already"):
        promote(registry, ledger, "2")


def test_a_refused_version_needs_force_and_a_reason(registry, ledger):
    write(ledger, registry, ("promoted", "1"), ("refused", "2"))
    with pytest.raises(PromotionRefused, match="refused 2") as caught:
        promote(registry, ledger, "2")
    assert "--force" in caught.value.hint
    with pytest.raises(UsageError, match="reason"):
        promote(registry, ledger, "2", force=True, reason="  ")
    assert ledger.champion("flows").version == "1"
    promote(registry, ledger, "2", force=True, reason="I know these alerts")
    assert ledger.champion("flows").version == "2"
    assert ledger.ledger("flows")[-1].metrics == {"forced": True}


def test_a_bundle_that_was_changed_is_never_promoted(registry, ledger):
    registry.hashes["2"] = "0" * 64
    with pytest.raises(BundleError):
        promote(registry, ledger, "2")
    assert ledger.champion("flows") is None


def test_rollback_goes_back_step_by_step_and_ends_with_an_error(registry, ledger):
    for version in ("1", "2", "3"):
        promote(registry, ledger, version)
    assert [rollback(registry, ledger), rollback(registry, ledger)] == ["2", "1"]
    assert registry.alias == ledger.champion("flows").version == "1"
    assert ledger.ledger("flows")[-1].reason == "rolled back from version 2"
    with pytest.raises(PromotionRefused, match="no champion before"):
        rollback(registry, ledger)


def test_rollback_after_a_rollback_and_a_promotion_goes_to_what_was_before_it(registry, ledger):
    for version in ("1", "2"):
        promote(registry, ledger, version)
    rollback(registry, ledger)
    promote(registry, ledger, "3")
    assert rollback(registry, ledger) == "1"


def test_rollback_without_any_champion_is_refused(registry, ledger):
    with pytest.raises(PromotionRefused, match="no champion yet"):
        rollback(registry, ledger)


def test_the_alias_follows_a_ledger_that_a_crash_left_ahead(registry, ledger):
    write(ledger, registry, ("promoted", "3"))
    registry.alias = "1"
    align_alias(registry, ledger, "flows")
    assert registry.alias == "3"


def test_an_alias_that_no_ledger_knows_is_taken_away(registry, ledger):
    registry.alias = "1"
    align_alias(registry, ledger, "flows")
    assert registry.alias is None


def services_with(registry, sample):
    run = SimpleNamespace(night=1, versions={"samples": 0})
    state = SimpleNamespace(history=lambda *_, **__: [run] if sample is not None else [])
    return SimpleNamespace(registry=registry, state=state, lake=SimpleNamespace(read=lambda *_, **__: sample))


def test_two_versions_are_compared_by_settings_threshold_and_scores(registry, make_dataset, make_rows):
    services = services_with(registry, pa.concat_tables([make_rows(400, seed=3)]))
    found = diff_versions(services, make_dataset(), "1", "2")
    assert found["versions"] == ["1", "2"]
    assert not found["same"]
    assert found["settings"] == {
        "alert_budget": [20, 40],
        "alerts.budget": [20, 40],
        "alerts.share": [0.02, 0.05],
        "code": [None, 8],
    }
    assert found["threshold"][0] != found["threshold"][1]
    scores = found["scores"]
    assert scores["rows"] == 400
    assert 0.3 < scores["rank_correlation"] < 1.0
    assert (
        scores["alerts"][1] == scores["alerts_of_both"] + len(scores["alerts_of_second_only"])
        or scores["alerts"][1] > 10
    )


def test_a_version_does_not_differ_from_itself(registry, make_dataset, make_rows):
    found = diff_versions(services_with(registry, make_rows(100)), make_dataset(), "1", "1")
    assert found["same"]
    assert found["settings"] == {}
    assert found["scores"]["rank_correlation"] == 1.0
    assert found["scores"]["alerts_of_first_only"] == []


def test_versions_are_compared_without_samples_too(registry, make_dataset):
    found = diff_versions(services_with(registry, None), make_dataset(), "1", "2")
    assert found["scores"]["rows"] == 0
