from __future__ import annotations

import subprocess
import sys
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from models.checks import check_detector
from models.scoring import Reconstructor, Scorer
from schemas.errors import BundleError, UnreadableInput


@pytest.fixture(scope="module")
def scorer(detector):
    return Scorer(detector.folder, detector.hash)


@pytest.fixture(scope="module")
def night(make_rows):
    return make_rows(2500, seed=5, start=50_000).to_pandas()


@pytest.fixture(scope="module")
def whole(scorer, night):
    return scorer.score(night)


@pytest.mark.parametrize("partitions", [7, 100])
def test_partitions_do_not_change_a_score(scorer, night, whole, partitions):
    cuts = np.linspace(0, len(night), partitions + 1).astype(int)
    parts = [scorer.score(night.iloc[a:b]) for a, b in pairwise(cuts)]
    assert np.abs(np.concatenate([part.score for part in parts]) - whole.score).max() <= 1e-6
    assert np.array_equal(np.concatenate([part.is_alert for part in parts]), whole.is_alert)


def test_a_row_alone_and_half_of_the_rows_get_the_same_scores(scorer, night, whole):
    half = np.random.default_rng(0).random(len(night)) < 0.5
    assert np.abs(scorer.score(night[half]).score - whole.score[half]).max() <= 1e-6
    for at in (0, 1300, 2499):
        alone = scorer.score(night.iloc[at : at + 1])
        assert abs(alone.score[0] - whole.score[at]) <= 1e-6
        assert alone.contributions[0] == whole.contributions[at]


def test_reordered_and_further_columns_do_not_matter(scorer, night, whole):
    other = night[night.columns[::-1]].assign(further="x")
    assert np.array_equal(scorer.score(other).score, whole.score)


def test_scores_are_ordered_like_p_values_and_alerts(scorer, whole):
    order = np.argsort(whole.score)
    assert (np.diff(whole.p_value[order]) <= 0).all()
    assert np.array_equal(whole.is_alert, whole.score > scorer.threshold)
    assert 0.005 < whole.is_alert.mean() < 0.05


def test_contributions_are_shares_of_the_score_largest_first(scorer, night, whole):
    every = scorer.score(night, top=len(scorer.columns)).contributions.to_pylist()
    for items in every:
        shares = [item["share"] for item in items]
        assert sum(shares) == pytest.approx(1.0)
        assert min(shares) >= 0
        assert shares == sorted(shares, reverse=True)
    assert [items[:5] for items in every] == whole.contributions.to_pylist()


def test_a_usual_row_is_explained_by_its_residuals(scorer, night, whole):
    at = int(np.argmin(whole.score))
    rows = scorer.bundle.transform.apply(night.iloc[at : at + 1])
    parts = scorer.bundle.score_map.parts(rows, scorer._reconstruct(rows))[0]
    first = whole.contributions[at].as_py()[0]
    assert first["column"] == scorer.columns[int(np.argmax(parts))]
    assert first["share"] == pytest.approx(parts.max() / parts.sum())


def test_an_odd_row_alone_and_among_others_is_explained_alike(scorer, night, whole):
    for at in np.argsort(whole.score)[-5:]:
        alone = scorer.score(night.iloc[at : at + 1])
        assert alone.is_alert[0]
        assert alone.contributions[0] == whole.contributions[at]


def test_a_value_far_out_is_named_and_does_not_bend_what_was_expected_of_it(scorer, night):
    usual = night.iloc[:200]
    for column in ("sent", "ratio"):
        planted = usual.assign(**{column: night[column].quantile(0.999) * 2})
        rows = scorer.bundle.transform.apply(planted)
        bent = scorer.bundle.transform.expected_text(column, scorer._reconstruct(rows)).astype(float)
        explained = [{i["column"]: i for i in items[:2]} for items in scorer.score(planted).contributions.to_pylist()]
        named = np.array([column in items for items in explained])
        assert named.mean() > 0.95
        expected = np.array([float(items[column]["expected"]) for items in explained if column in items])
        actual = usual[column].to_numpy()[named]
        assert np.median(np.abs(expected - actual)) < 0.8 * np.median(np.abs(bent[named] - actual))


def test_a_category_is_explained_by_the_category_not_by_its_indicator(scorer, night):
    rows = night[(night["proto"] == "tcp") & (night["ratio"] > 1.5)].iloc[:20]
    for planted in ("udp", "never seen"):
        explained = scorer.score(rows.assign(proto=planted)).contributions.to_pylist()
        assert {item["column"] for items in explained for item in items} <= set(scorer.columns)
        said = [(i["actual"], i["expected"]) for items in explained for i in items if i["column"] == "proto"]
        assert len(said) == len(rows)
        assert said.count((planted, "tcp")) >= 0.9 * len(rows), said


def test_a_broken_relation_is_explained_by_its_columns(scorer, night):
    row = night.iloc[:1].assign(sent=100.0, packets=10_000)
    usual = scorer.score(night.iloc[:1]).score[0]
    scores = scorer.score(row)
    assert scores.score[0] > usual
    names = [item["column"] for item in scores.contributions[0].as_py()]
    assert "packets" in names[:2]


def test_what_is_behind_a_score_is_what_was_scored(scorer, night, whole):
    odd = night[whole.is_alert]
    seen = scorer.examine(odd)
    np.testing.assert_array_equal(seen.score, whole.score[whole.is_alert])
    np.testing.assert_allclose(np.log1p(seen.parts.sum(axis=1)), seen.score, atol=1e-8)
    assert seen.encoded.shape == seen.residuals.shape
    first = [row[0]["share"] for row in whole.contributions.filter(whole.is_alert).to_pylist()]
    np.testing.assert_allclose(seen.shares.max(axis=1), first, atol=1e-9)


def test_contributions_have_the_table_type(whole):
    from schemas.tables import contribution_type

    assert whole.contributions.type == contribution_type()


def test_no_rows_are_no_scores(scorer, night):
    scores = scorer.score(night.iloc[:0])
    assert len(scores.score) == len(scores.contributions) == 0


def test_missing_columns_are_named(scorer, night):
    with pytest.raises(UnreadableInput, match="packets"):
        scorer.score(night.drop(columns="packets"))


def test_values_out_of_all_measure_are_scored(scorer, night):
    odd = pd.concat([night.iloc[:1]] * 3, ignore_index=True)
    odd["sent"] = [1e308, np.inf, np.nan]
    scores = scorer.score(odd).score
    assert np.isfinite(scores).all()
    assert (scores[:2] > scorer.threshold).all()


def test_a_graph_that_is_none_is_a_clear_error():
    with pytest.raises(BundleError, match="ONNX Runtime cannot open"):
        Reconstructor(b"no graph")


def test_a_detector_passes_its_checks(detector, night):
    assert check_detector(detector.folder) == []
    assert check_detector(detector.folder, night.head(300)) == []


def test_a_detector_that_gives_all_rows_one_score_is_found(make_detector, make_rows, tmp_path):
    made = make_detector(tmp_path / "bundle", make_rows(500), constant=True)
    assert any("same score" in problem for problem in check_detector(made.folder))


def test_a_spoilt_bundle_is_a_problem_not_a_traceback(tmp_path):
    assert check_detector(tmp_path / "none")[0].startswith("there is no bundle")


def test_scoring_never_imports_tensorflow():
    modules = "models.scoring, models.checks, models.registry, tasks.train"
    code = f"import sys, {modules}; sys.exit(bool({{'tensorflow', 'keras'}} & {{*sys.modules}}))"
    assert subprocess.run([sys.executable, "-P", "-c", code], check=False).returncode == 0
