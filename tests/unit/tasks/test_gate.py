"""What a challenger must show before it may become champion."""

from __future__ import annotations

import time

import numpy as np
import pyarrow.parquet as pq
import pytest

from models.comparison import auroc, compare
from models.planting import swap_values
from tasks import gate
from tasks.gate import judge


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
    return {check["name"]: check["passed"] for check in decision.checks}


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


def test_a_detector_that_loses_to_principal_components_is_refused(decide, made):
    decision = decide(made(rank=1))
    assert not checks(decision)["holds against PCA"]
    assert "principal components" in " ".join(decision.reasons)


def test_a_clearly_worse_challenger_loses_against_the_champion_and_the_champion_holds(decide, made, detector):
    worse = made(rank=1)
    lost = decide(worse, champion=detector.folder, champion_hash=detector.hash)
    assert not checks(lost)["not worse than the champion"]
    assert "than the champion does" in " ".join(lost.reasons)
    assert checks(decide(detector, champion=worse.folder))["not worse than the champion"]
    assert decide(detector, champion=detector.folder).promote


def test_a_champion_that_cannot_score_these_rows_does_not_stand_in_the_way(
    decide, detector, made, make_dataset, window, tmp_path
):
    broken = made("broken")
    (broken.folder / "model.onnx").write_bytes(b"changed")
    decision = decide(detector, champion=broken.folder)
    assert decision.promote
    assert "cannot be used" in decision.checks[-1]["observed"]
    narrower = tmp_path / "narrower.parquet"
    pq.write_table(pq.read_table(window).rename_columns({"note": "extra"}), narrower)
    columns = {**make_dataset().resolved()["columns"]}
    columns["note"] = {"type": "text", "left_out": None, "feature": "hash"}
    old = made("old", dataset=make_dataset(columns=columns))
    decision = judge(make_dataset(), detector.folder, detector.hash, narrower, champion=old.folder, seed=7)
    assert decision.promote
    assert "cannot score these rows any more" in decision.checks[-1]["observed"]


def test_the_same_arguments_give_the_same_decision(decide, made, detector):
    other = made("other", rank=4)
    assert decide(detector, champion=other.folder) == decide(detector, champion=other.folder)


def test_five_thousand_held_out_rows_are_judged_in_seconds(make_dataset, make_rows, detector, tmp_path):
    pq.write_table(make_rows(26_000), tmp_path / "large.parquet")
    dataset = make_dataset(detector={"rows": 30_000})
    spent = time.process_time()
    judge(dataset, detector.folder, detector.hash, tmp_path / "large.parquet", champion=detector.folder, seed=1)
    assert time.process_time() - spent < 5.0


def test_a_new_check_is_one_function_in_a_list(decide, detector, monkeypatch):
    refuse = gate.Check("labels", passed=False, observed="1", expected="2", message="people disagree")
    monkeypatch.setattr(gate, "CHECKS", (*gate.CHECKS, lambda _: refuse))
    assert decide(detector).reasons == ("people disagree",)


def test_swapped_rows_keep_types_and_each_column_keeps_to_its_own_values(make_rows, make_dataset):
    rows = make_rows(200).to_pandas()
    columns = [feature.column for feature in make_dataset().features]
    planted = swap_values(rows, columns, seed=3)
    assert (planted.dtypes == rows.dtypes).all()
    assert planted["flow_id"].equals(rows["flow_id"])
    changed = np.column_stack([~(planted[c].eq(rows[c]) | (planted[c].isna() & rows[c].isna())) for c in columns])
    assert 0.1 < changed.mean() < 0.4
    for column in columns:
        assert set(planted[column].dropna()) <= set(rows[column].dropna())
    assert planted.equals(swap_values(rows, columns, seed=3))


def test_auroc_counts_pairs_and_half_of_ties():
    random = np.random.default_rng(1)
    usual, planted = random.integers(0, 9, 60).astype(float), random.integers(3, 12, 60).astype(float)
    pairs = planted[:, None] - usual[None, :]
    expected = ((pairs > 0) + 0.5 * (pairs == 0)).mean()
    assert auroc(usual, planted, np.ones((1, 60)))[0] == pytest.approx(expected)
    twice = np.repeat([1, 2], 30)[None, :].astype(float)
    again = [np.repeat(a, twice[0].astype(int)) for a in (usual, planted)]
    assert auroc(usual, planted, twice)[0] == pytest.approx(auroc(*again, np.ones((1, 90)))[0])


def test_a_detector_is_not_worse_than_itself():
    scores = (np.arange(50.0), np.arange(50.0) + 10)
    found = compare(scores, scores, seed=1)
    assert (found.first == found.second, found.error, found.is_worse()) == (True, 0.0, False)
