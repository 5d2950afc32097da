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


def test_contributions_are_exact_shares_of_the_score(scorer, night, whole):
    shares = scorer.shares(night)
    assert shares.sum(axis=1) == pytest.approx(1.0)
    first = whole.contributions[3].as_py()
    best = int(np.argmax(shares[3]))
    assert first[0]["column"] == scorer.columns[best]
    assert first[0]["share"] == pytest.approx(shares[3, best])
    assert [item["share"] for item in first] == sorted((item["share"] for item in first), reverse=True)


def test_a_broken_relation_is_explained_by_its_columns(scorer, night):
    row = night.iloc[:1].assign(sent=100.0, packets=10_000)
    usual = scorer.score(night.iloc[:1]).score[0]
    scores = scorer.score(row)
    assert scores.score[0] > usual
    names = [item["column"] for item in scores.contributions[0].as_py()]
    assert "packets" in names[:2]


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
