"""What a challenger must show before it may become champion."""

from __future__ import annotations

import time

import pyarrow.parquet as pq
import pytest

from models.split import split
from schemas.threshold import in_words
from tasks import gate
from tasks.gate import judge
from tasks.promotion import ChampionBundle


@pytest.fixture
def made(tmp_path, make_detector, make_rows):
    def call(name="challenger", **changes):
        return make_detector(tmp_path / name, make_rows(3000), **changes)

    return call


@pytest.fixture
def decide(make_dataset, window):
    def call(challenger, budget=20, **given):
        dataset = make_dataset(detector={"alert_budget": budget, "rows": 5000})
        return judge(dataset, challenger.folder, challenger.hash, window, **{"seed": 7, **given})

    return call


def checks(decision):
    """Those that judge."""
    told = ("classical rivals",)
    return {check["name"]: check["passed"] for check in decision.checks if check["name"] not in told}


def test_a_good_first_detector_passes_and_says_what_it_showed(decide, detector):
    decision = decide(detector)
    assert decision.promote
    assert checks(decision) == {"scores vary": True, "expected alerts": True, "holds against PCA": True}
    assert any("AUROC" in reason for reason in decision.reasons)


def test_constant_scores_are_refused(decide, made):
    decision = decide(made(constant=True, threshold=1.0))
    assert not decision.promote
    assert not checks(decision)["scores vary"]
    assert any("constant" in reason for reason in decision.reasons)


@pytest.mark.parametrize(("threshold", "word"), [(0.0, "1,000 alerts"), (50.0, "0 alerts")])
def test_an_alert_rate_far_from_the_budget_is_refused(decide, made, threshold, word):
    decision = decide(made(threshold=threshold), budget=100)
    assert checks(decision) == {"scores vary": True, "expected alerts": False, "holds against PCA": True}
    assert word in decision.reasons[0]
    assert "budget is 100" in decision.reasons[0]


@pytest.mark.parametrize(
    ("rule", "passes"),
    [
        ({"method": "quantile", "share": 0.02}, True),
        ({"method": "p_value", "at_most": 0.02}, True),
        ({"method": "tail", "risk": 0.02}, True),
        ({"method": "quantile", "share": 0.4}, False),
        ({"method": "tail", "risk": 0.0001}, False),
    ],
    ids=lambda value: str(value)[:40],
)
def test_the_alert_rate_is_held_against_the_rule_of_the_threshold(make_dataset, window, detector, rule, passes):
    dataset = make_dataset(detector={"alert_budget": 900, "rows": 5000, "threshold": rule})
    decision = judge(dataset, detector.folder, detector.hash, window, seed=7)
    assert checks(decision)["expected alerts"] == passes
    assert passes or f"the threshold {in_words(rule)} asks for" in decision.reasons[0]


def test_a_night_of_a_new_kind_may_raise_the_threshold_above_all_nights_before(decide, made):
    rare = {"threshold": 50.0}
    assert not checks(decide(made("other", **rare), budget=100))["expected alerts"]
    assert checks(decide(made("own", in_sample=True, **rare), budget=100))["expected alerts"]


def test_a_detector_that_loses_to_principal_components_is_refused(decide, made):
    decision = decide(made(rank=1))
    assert not checks(decision)["holds against PCA"]
    assert "principal components" in " ".join(decision.reasons)


def test_where_the_champion_loses_to_principal_components_too_they_do_not_keep_it_on_duty(decide, made, detector):
    weak, fresher = made(rank=1), made("fresher", rank=1)
    decision = decide(fresher, champion=ChampionBundle(weak.folder, weak.hash))
    assert checks(decision)["holds against PCA"]
    assert decision.promote
    (said,) = [check["expected"] for check in decision.checks if check["name"] == "holds against PCA"]
    assert "told, not judged: the champion is behind them, too (AUROC 0." in said
    strong = ChampionBundle(detector.folder, detector.hash)
    assert not checks(decide(fresher, champion=strong))["holds against PCA"]
    (weak.folder / "model.onnx").write_bytes(b"changed")
    assert not checks(decide(fresher, champion=ChampionBundle(weak.folder)))["holds against PCA"]


def test_one_that_loses_to_both_is_refused_however_little_the_champion_is_ahead(decide, made, monkeypatch):
    champion, weaker = made(rank=2), made("weaker", rank=1)
    monkeypatch.setattr(gate, "PCA_MARGIN", 0.0)
    monkeypatch.setattr(gate, "CHAMPION_MARGIN", 1.0)
    decision = decide(weaker, champion=ChampionBundle(champion.folder, champion.hash))
    assert [name for name, passed in checks(decision).items() if not passed] == ["holds against PCA"]


def test_a_clearly_worse_challenger_loses_against_the_champion_and_the_champion_holds(decide, made, detector):
    worse = made(rank=1)
    lost = decide(worse, champion=ChampionBundle(detector.folder, detector.hash))
    assert not checks(lost)["not worse than the champion"]
    assert "than the champion does" in " ".join(lost.reasons)
    assert checks(decide(detector, champion=ChampionBundle(worse.folder)))["not worse than the champion"]
    assert decide(detector, champion=ChampionBundle(detector.folder)).promote


def test_a_champion_that_cannot_score_these_rows_does_not_stand_in_the_way(
    decide, detector, made, make_dataset, window, tmp_path
):
    broken = made("broken")
    (broken.folder / "model.onnx").write_bytes(b"changed")
    decision = decide(detector, champion=ChampionBundle(broken.folder))
    assert decision.promote
    assert "cannot be used" in decision.checks[-1]["observed"]
    narrower = tmp_path / "narrower.parquet"
    pq.write_table(pq.read_table(window).rename_columns({"note": "extra"}), narrower)
    columns = {**make_dataset().resolved()["columns"]}
    columns["note"] = {"type": "text", "left_out": None, "feature": "hash"}
    old = made("old", dataset=make_dataset(columns=columns))
    decision = judge(
        make_dataset(), detector.folder, detector.hash, narrower, champion=ChampionBundle(old.folder), seed=7
    )
    assert decision.promote
    assert "cannot score these rows any more" in decision.checks[-1]["observed"]


def test_the_same_arguments_give_the_same_decision(decide, made, detector):
    other = made("other", rank=4)
    assert decide(detector, champion=ChampionBundle(other.folder)) == decide(
        detector, champion=ChampionBundle(other.folder)
    )


def test_five_thousand_held_out_rows_are_judged_in_seconds(make_dataset, make_rows, detector, tmp_path):
    pq.write_table(make_rows(26_000), tmp_path / "large.parquet")
    dataset = make_dataset(detector={"rows": 30_000})
    spent = time.process_time()
    judge(
        dataset,
        detector.folder,
        detector.hash,
        tmp_path / "large.parquet",
        champion=ChampionBundle(detector.folder),
        seed=1,
    )
    assert time.process_time() - spent < 5.0


def test_a_new_check_is_one_function_in_a_list(decide, detector, monkeypatch):
    refuse = gate.Check("labels", passed=False, observed="1", expected="2", message="people disagree")
    monkeypatch.setattr(gate, "CHECKS", (*gate.CHECKS, lambda _: refuse))
    assert decide(detector).reasons == ("people disagree",)


def test_the_rows_that_judge_were_never_fitted_by_a_champion_of_fewer_nights(make_rows):
    keys = make_rows(3000).to_pandas()
    for few, many in ((50, 100), (200, 400), (400, 900), (1500, 3000)):
        fitted = set(split(keys.iloc[:few]).fit["sereno_hash"])
        assert not fitted & set(split(keys.iloc[:many]).calibrate["sereno_hash"])


def test_tonights_rows_tell_how_many_alerts_each_would_raise(decide, detector, made, make_rows, tmp_path):
    pq.write_table(make_rows(1000, seed=5, start=50_000), tmp_path / "tonight.parquet")
    tonight = gate.Tonight("2026-09-02", tmp_path / "tonight.parquet")
    other = made(threshold=0.0)
    check = decide(detector, champion=ChampionBundle(other.folder), tonight=tonight).checks[-1]
    assert check["name"] == "not worse than the champion tonight"
    assert "of 1,000 rows past its threshold, 1,000 past the champion's" in check["observed"]
    pq.write_table(make_rows(20, start=50_000), tmp_path / "tonight.parquet")
    names = [check["name"] for check in decide(detector, champion=ChampionBundle(other.folder), tonight=tonight).checks]
    assert "not worse than the champion tonight" not in names


def test_the_battery_compares_challenger_champion_and_pca_kind_by_kind(decide, detector, made):
    decision = decide(detector, champion=ChampionBundle(made("other", rank=4).folder))
    battery = decision.battery
    assert {"challenger", "champion", "PCA"} <= set(battery.all)
    assert all(set(kind.auroc) == set(battery.all) for kind in battery.kinds)
    assert sum(kind.rows for kind in battery.kinds) <= battery.rows
    evidence = decision.evidence()
    assert evidence["battery"]["all"]["challenger"] > 0.5
    assert evidence["weakest"].startswith("the challenger finds least of ")
