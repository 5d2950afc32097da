"""Candidates that are really trained: the same challenger whatever number of workers, one worse family left behind."""

from __future__ import annotations

import pyarrow.parquet as pq
import pytest

from infra.runtime.compute import ThreadCompute
from models.bundle import open_bundle
from models.checks import check_detector
from tasks.candidates import choose
from tasks.train import TrainingProcess, TrainingRequest

SMALL = {"epochs": 24, "code": 3, "batch_size": 64, "rows": 5000, "alert_budget": 20}
BLIND = {"family": "dense", "hidden": [2], "code": 1}
ENTRIES = [BLIND, {"family": "denoising", "hidden": [32], "noise": 0.1}]


@pytest.fixture(scope="module")
def process(tmp_path_factory):
    with TrainingProcess(tmp_path_factory.mktemp("child")) as started:
        yield started


@pytest.fixture(scope="module")
def chosen(process, make_dataset, make_rows, tmp_path_factory):
    """The outcome of a choice by so many workers."""

    def call(workers):
        work = tmp_path_factory.mktemp(f"by-{workers}")
        pq.write_table(make_rows(2600), work / "window.parquet")
        dataset = make_dataset(detector={**SMALL, "candidates": ENTRIES})
        request = TrainingRequest(
            dataset, ("2026-09-01",), work / "window.parquet", 3, 1000.0, False, work / "bundle", None, work / "points"
        )
        compute = ThreadCompute(workers)
        try:
            return choose(request, compute, process, work, lambda _said: None)
        finally:
            compute.close()

    return call


def test_the_better_family_is_the_challenger_and_a_whole_detector(chosen, make_rows):
    outcome = chosen(1)
    bundle = open_bundle(outcome.bundle, outcome.bundle_hash)
    assert bundle.detector["family"] == "denoising"
    assert check_detector(outcome.bundle, make_rows(700).to_pandas()) == []
    blind, winner = outcome.summary.candidates
    assert (blind.verdict, winner.verdict) == ("left after rung 1 of 2", "challenger")
    assert blind.score < winner.score
    assert (blind.epochs, winner.epochs) == (6, 18)
    assert outcome.summary.epochs == 18


def test_two_workers_give_the_very_same_detector(chosen):
    one, two = chosen(1), chosen(2)
    assert one.bundle_hash == two.bundle_hash
    scores = [[each.score for each in outcome.summary.candidates] for outcome in (one, two)]
    assert scores[0] == scores[1]
