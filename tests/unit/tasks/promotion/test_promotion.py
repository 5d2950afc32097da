"""Who scores a night and who becomes champion: a real state database, and a registry that keeps versions in memory."""

from __future__ import annotations

from datetime import date

import pytest

from schemas.errors import BundleError, Exit, PromotionRefused, TrainingFailed, UsageError
from tasks.gate import GateDecision
from tasks.promotion import champion_before, champion_bundle, record_decision, scoring_version
from tasks.training import settle_training

TONIGHT, LATER = date(2026, 9, 20), date(2026, 9, 21)
HASHES = {"1": "1" * 64, "2": "2" * 64, "3": "3" * 64}


def decided(*failed: str) -> GateDecision:
    """A gate's decision: the named checks failed."""
    names = ("scores vary", "expected alerts", "holds against PCA", "not worse than the champion")
    checks = tuple({"name": name, "passed": name not in failed, "message": f"{name}?"} for name in names)
    return GateDecision(not failed, tuple(f"{name}?" for name in failed) or ("all is well",), checks)


PASSED, UNUSABLE, WEAK = decided(), decided("scores vary"), decided("holds against PCA")


def end(night, status="done"):
    """End a night that was scored, with the version that its model names."""
    result = {"model": night.model.model_dump(mode="json")}
    night.services.state.finish_run(night.run.id, status, result=result, versions={"scores": 1})


def do(night):
    """Score and promote as the stages of these names do, and end the night."""
    chosen = scoring_version(night)
    night.model = chosen.outcome
    record_decision(night, promote=night.model.promoted)
    end(night)
    return chosen


def crown(services, version):
    services.state.record("flows", version, HASHES[version], "promoted", reason="before", actor="ana")


def later_night_is_done(services):
    run = services.state.start_run("flows", LATER, "run", "later")
    services.state.finish_run(run.id, "done", versions={"scores": 7})


def said(services):
    return [(row.action, row.version) for row in services.state.ledger("flows")]


# --- the first champion ---------------------------------------------------------------------------------------------


def test_the_first_challenger_that_passes_scores_its_own_night_and_becomes_champion(begin, services, registry):
    chosen = do(begin(PASSED))
    assert (chosen.version, chosen.bundle_hash, chosen.bundle) == ("2", HASHES["2"], registry.folder / "2")
    assert (chosen.outcome.champion, chosen.outcome.promoted, chosen.outcome.reason) == ("2", True, "all is well")
    assert said(services) == [("promoted", "2")]
    assert registry.alias == "2"


def test_the_first_challenger_need_only_be_usable(begin, services):
    chosen = do(begin(WEAK))
    assert chosen.outcome.promoted
    (row,) = services.state.ledger("flows")
    assert row.action == "promoted"
    assert row.reason == "the first champion, although holds against PCA?"


def test_a_first_challenger_that_is_unusable_is_refused_in_the_ledger_and_nobody_scores(begin, services, registry):
    night = begin(UNUSABLE)
    with pytest.raises(PromotionRefused, match=r"refused version 2.*scores vary") as caught:
        scoring_version(night)
    assert caught.value.exit_code == Exit.REFUSED
    assert "sereno models promote flows 2 --force" in caught.value.hint
    (row,) = services.state.ledger("flows")
    assert (row.action, row.version, row.bundle_hash, row.run_id) == ("refused", "2", HASHES["2"], night.run.id)
    assert row.metrics["checks"][0]["name"] == "scores vary"
    assert registry.alias is None


def test_a_champion_that_nothing_reads_any_more_keeps_no_usable_challenger_off(begin, services, registry):
    crown(services, "1")
    (registry.folder / "1").mkdir(parents=True)
    (registry.folder / "1" / "manifest.json").write_text('{"protocol": 3, "files": {}}')
    chosen = do(begin(WEAK))
    assert (chosen.version, chosen.outcome.champion, chosen.outcome.promoted) == ("2", "2", True)
    assert said(services)[-1] == ("promoted", "2")
    crown(services, "1")
    unusable = begin(UNUSABLE, challenger="3")
    with pytest.raises(PromotionRefused, match="scores vary"):
        scoring_version(unusable)


def test_no_champion_and_a_training_that_failed_say_both(begin, services):
    with pytest.raises(TrainingFailed, match="no champion to score with, and training failed: out of steam"):
        scoring_version(begin(failure="out of steam"))
    assert not services.state.ledger("flows")


# --- beside a champion ----------------------------------------------------------------------------------------------


def test_a_challenger_that_passes_takes_the_champions_place(begin, services, registry):
    crown(services, "1")
    assert do(begin(PASSED)).version == "2"
    champion = services.state.champion("flows")
    assert (champion.version, champion.previous, registry.alias) == ("2", "1", "2")


@pytest.mark.parametrize("decision", [WEAK, UNUSABLE], ids=["weak", "unusable"])
def test_the_champion_scores_where_the_challenger_was_refused(decision, begin, services, registry):
    crown(services, "1")
    chosen = do(begin(decision))
    assert (chosen.version, chosen.outcome.champion, chosen.outcome.promoted) == ("1", "1", False)
    assert chosen.outcome.reason == f"the champion scored; version 2 was refused: {decision.reasons[0]}"
    assert said(services) == [("promoted", "1"), ("refused", "2")]
    assert registry.alias == "1"


def test_the_champion_scores_where_training_failed(begin, services):
    crown(services, "1")
    chosen = do(begin(failure="out of steam"))
    assert chosen.version == "1"
    assert chosen.outcome.reason == "the champion scored, because training failed: out of steam"
    assert said(services) == [("promoted", "1")]


def test_a_manual_promotion_waits_for_a_person(begin, services, make_dataset):
    crown(services, "1")
    dataset = make_dataset(detector={"promotion": "manual"})
    chosen = do(begin(PASSED, dataset=dataset))
    assert (chosen.version, chosen.outcome.promoted) == ("1", False)
    assert chosen.outcome.reason == "version 2 passed the gate and waits for: sereno models promote flows 2"
    assert said(services) == [("promoted", "1")]


def test_a_manual_promotion_does_not_keep_the_first_champion_waiting(begin, services, make_dataset):
    assert do(begin(PASSED, dataset=make_dataset(detector={"promotion": "manual"}))).outcome.promoted
    assert said(services) == [("promoted", "2")]


def test_the_version_that_was_asked_for_scores_and_changes_nothing(begin, services):
    crown(services, "1")
    chosen = do(begin(version="3", only_score=True))
    assert (chosen.version, chosen.outcome.champion, chosen.outcome.promoted) == ("3", "1", False)
    assert said(services) == [("promoted", "1")]
    with pytest.raises(UsageError, match="no version 9"):
        scoring_version(begin(version="9", only_score=True))


# --- a night that is done again -------------------------------------------------------------------------------------


def test_a_night_before_others_that_are_done_scores_with_its_challenger_and_leaves_the_champion(begin, services):
    crown(services, "1")
    later_night_is_done(services)
    chosen = do(begin(PASSED))
    assert (chosen.version, chosen.outcome.champion, chosen.outcome.promoted) == ("2", "1", False)
    assert "later nights are done, so the champion stays" in chosen.outcome.reason
    assert said(services) == [("promoted", "1")]


def test_a_night_before_others_falls_back_to_the_champion_where_its_challenger_was_refused(begin, services):
    crown(services, "1")
    later_night_is_done(services)
    assert do(begin(WEAK)).version == "1"
    assert said(services) == [("promoted", "1"), ("refused", "2")]


def test_a_night_before_others_makes_no_first_champion_either(begin, services):
    later_night_is_done(services)
    chosen = do(begin(PASSED))
    assert (chosen.version, chosen.outcome.champion, chosen.outcome.promoted) == ("2", None, False)
    assert services.state.champion("flows") is None


def test_an_unusable_challenger_scores_no_night_before_others(begin, services):
    later_night_is_done(services)
    with pytest.raises(PromotionRefused):
        scoring_version(begin(UNUSABLE))
    assert said(services) == [("refused", "2")]


def test_a_manual_promotion_lets_no_challenger_score_a_night_before_others(begin, services, make_dataset):
    crown(services, "1")
    later_night_is_done(services)
    chosen = do(begin(PASSED, dataset=make_dataset(detector={"promotion": "manual"})))
    assert chosen.version == "1"
    assert "waits for" in chosen.outcome.reason


@pytest.mark.parametrize("status", ["done", "partial"])
def test_a_forced_night_takes_the_version_that_scored_it_before(status, begin, services):
    crown(services, "1")
    before = begin(failure="out of steam")
    before.model = scoring_version(before).outcome
    end(before, status)
    crown(services, "3")
    chosen = do(begin(PASSED, force=True))
    assert (chosen.version, chosen.outcome.champion) == ("1", "3")
    assert chosen.outcome.reason == "version 1 scored this night before"
    assert services.state.champion("flows").version == "3"


def test_a_forced_night_with_other_inputs_is_decided_anew(begin, services):
    crown(services, "1")
    do(begin())
    assert do(begin(PASSED, fingerprint="other inputs", force=True)).version == "2"


def test_a_forced_night_forgets_a_run_that_failed(begin, services):
    crown(services, "1")
    failed = begin()
    failed.model = scoring_version(failed).outcome
    end(failed, "failed")
    assert do(begin(PASSED, force=True)).version == "2"


# --- what is written down -------------------------------------------------------------------------------------------


def test_a_promotion_is_recorded_once(begin, services):
    night = begin(PASSED)
    night.model = scoring_version(night).outcome
    record_decision(night, promote=True)
    record_decision(night, promote=True)
    assert said(services) == [("promoted", "2")]
    (told,) = services.state.events()
    assert (told.kind, told.actor, told.detail["version"]) == ("promoted", f"run {night.run.id}", "2")


def test_the_same_refusal_is_recorded_once_and_another_one_again(begin, services):
    crown(services, "1")
    do(begin(WEAK))
    do(begin(WEAK, fingerprint="again"))
    assert said(services) == [("promoted", "1"), ("refused", "2")]
    assert [event.kind for event in services.state.events()] == ["promoted"]
    do(begin(decided("expected alerts"), fingerprint="once more"))
    assert said(services) == [("promoted", "1"), ("refused", "2"), ("refused", "2")]


def test_a_night_without_a_challenger_records_nothing(begin, services):
    record_decision(begin(), promote=True)
    assert not services.state.ledger("flows")


def test_scores_are_in_sample_where_the_nights_own_rows_trained_the_version(begin, services, registry):
    crown(services, "1")
    assert do(begin()).in_sample is False
    registry.nights["3"] = f"2026-09-19,{TONIGHT}"
    assert do(begin(version="3", only_score=True)).in_sample is True


# --- outside of a night ---------------------------------------------------------------------------------------------


def test_a_training_outside_of_a_night_promotes_and_refuses_alike(begin, services):
    night = begin(WEAK, challenger="1")
    first = settle_training(night)
    end(night)
    assert (first.promoted, first.reason) == (True, "the first champion, although holds against PCA?")
    second = settle_training(begin(WEAK, challenger="2"))
    assert (second.promoted, second.reason) == (False, "holds against PCA?")
    assert said(services) == [("promoted", "1"), ("refused", "2")]


def test_a_training_that_failed_outside_of_a_night_is_an_error(begin):
    with pytest.raises(TrainingFailed, match="out of steam"):
        settle_training(begin(failure="out of steam"))


def test_the_champions_bundle_is_the_one_that_the_ledger_names(services, registry, monkeypatch):
    assert champion_bundle(services, "flows") is None
    crown(services, "1")
    found = champion_bundle(services, "flows")
    assert (found.path, found.hash) == (registry.folder / "1", HASHES["1"])
    crown(services, "2")
    del registry.nights["2"]
    assert champion_bundle(services, "flows") is None

    def changed(_name, _version):
        raise BundleError("changed")

    monkeypatch.setattr(registry, "download", changed)
    assert champion_bundle(services, "flows") is None


# --- a night that was stopped ----------------------------------------------------------------------------------------


def stop(night):
    """Leave a night as its process does that was killed after the promotion, and as the next start closes it."""
    night.services.state.close_run(night.run.id, "ended without a word")


def test_the_champion_that_a_stopped_night_made_is_not_what_it_found(begin, services):
    crown(services, "1")
    first = begin(PASSED)
    assert champion_before(first) == "1"
    record_decision(first, promote=True)
    stop(first)
    assert services.state.champion("flows").version == "2"
    again = begin(PASSED)
    assert champion_before(again) == "1"
    assert champion_before(begin_elsewhere(begin, again, fingerprint="other inputs")) == "2"


def begin_elsewhere(begin, before, **changes):
    """Begin the night with other inputs; the night before it is stopped."""
    stop(before)
    return begin(PASSED, **changes)


def test_a_first_champion_of_a_stopped_night_was_found_by_nobody(begin, services):
    first = begin(PASSED)
    assert champion_before(first) is None
    record_decision(first, promote=True)
    stop(first)
    assert champion_before(begin(PASSED)) is None


def test_a_champion_that_a_person_made_meanwhile_is_found(begin, services):
    first = begin(PASSED)
    record_decision(first, promote=True)
    stop(first)
    crown(services, "3")
    assert champion_before(begin(PASSED)) == "3"


def test_a_night_that_counts_made_the_champion_that_a_later_run_of_it_finds(begin, services):
    do(begin(PASSED))
    assert champion_before(begin(force=True)) == "2"


def test_a_training_that_was_stopped_after_its_promotion_says_what_it_would_have_said(begin, services):
    """The first champion need only be usable: asked again it is no challenger of itself, which would be refused."""
    first = begin(WEAK, challenger="1")
    said_first = settle_training(first)
    stop(first)
    assert settle_training(begin(WEAK, challenger="1")) == said_first
    assert said(services) == [("promoted", "1")]
