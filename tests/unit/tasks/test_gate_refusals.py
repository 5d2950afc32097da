"""Detectors that must not become champion, trained by the real training process on rows that were spoilt."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from models.bundle import open_bundle, write_bundle
from tasks.gate import Tonight, judge
from tasks.promotion import ChampionBundle
from tasks.train import TrainingProcess, TrainingRequest

SMALL = {"epochs": 25, "hidden": [32], "code": 3, "noise": 0.1, "batch_size": 64, "alert_budget": 20, "rows": 5000}
TRAINED = "2026-09-01"
PCA, CHAMPION, TONIGHT = "holds against PCA", "not worse than the champion", "not worse than the champion tonight"
SHUFFLED = ("sent", "got", "ratio", "packets", "proto", "quick")


def replaced(rows, **columns):
    """The table with some columns' values exchanged, their types kept."""
    for name, values in columns.items():
        field = rows.schema.field(name)
        rows = rows.set_column(rows.schema.get_field_index(name), field, pa.array(values, field.type, from_pandas=True))
    return rows


def shuffled(rows):
    """Every column in an order of its own: nothing hangs together any more."""
    random = np.random.default_rng(2)
    return replaced(rows, **{c: rows[c].take(random.permutation(len(rows))).to_pandas() for c in SHUFFLED})


def scaled(rows):
    """Bytes became thousandths of bytes."""
    return replaced(rows, sent=rows["sent"].to_numpy() * 1000.0)


def attacked(rows):
    """A third of the rows breaks what otherwise holds: much is sent, nothing comes back."""
    hit = np.random.default_rng(3).random(len(rows)) < 1 / 3
    sent, got, packets = (rows[name].to_numpy() for name in ("sent", "got", "packets"))
    return replaced(
        rows, sent=np.where(hit, sent * 50.0, sent), got=np.where(hit, 0.01, got), packets=np.where(hit, 1, packets)
    )


SPOILT = {"good": lambda rows: rows, "shuffled": shuffled, "scaled": scaled, "attacked": attacked}


@pytest.fixture(scope="module")
def trained(make_dataset, make_rows, tmp_path_factory):
    """One detector for each way of spoiling the rows that train it."""
    folder, rows = tmp_path_factory.mktemp("trained"), make_rows(3000)
    detectors = {}
    with TrainingProcess(folder / "child") as process:
        for name, spoil in SPOILT.items():
            sample = folder / f"{name}.parquet"
            pq.write_table(spoil(rows), sample)
            request = TrainingRequest(make_dataset(detector=SMALL), (TRAINED,), sample, 3, 1000.0, False, folder / name)
            detectors[name] = process.train(request)
    return detectors


@pytest.fixture
def decide(make_dataset, make_rows, trained, tmp_path):
    """Judge on the good rows, or on the spoilt window with tonight's good rows."""

    def call(which, champion=None, window="good", night="2026-09-02", budget=20.0):
        found = trained[which] if isinstance(which, str) else which
        sample = trained["good"].bundle.with_name(f"{window}.parquet")
        tonight = tmp_path / "tonight.parquet"
        pq.write_table(make_rows(1000, seed=5, start=50_000), tonight)
        return judge(
            make_dataset(detector={**SMALL, "alert_budget": budget}),
            found.bundle,
            found.bundle_hash,
            sample,
            champion=ChampionBundle(trained[champion].bundle) if champion else None,
            tonight=Tonight(night, tonight),
            seed=7,
        )

    return call


def failed(decision):
    return {check["name"] for check in decision.checks if not check["passed"]}


def test_the_detector_of_good_rows_passes_and_says_by_what(decide):
    decision = decide("good", champion="good")
    assert decision.promote, decision.reasons
    assert len(decision.reasons) == 6


@pytest.mark.parametrize(
    ("name", "refused_by"),
    [
        ("shuffled", {PCA, CHAMPION, TONIGHT}),
        ("scaled", {"expected alerts", PCA, CHAMPION, TONIGHT}),
        ("attacked", {CHAMPION, TONIGHT}),
    ],
)
def test_one_that_was_trained_on_spoilt_rows_is_refused_on_good_ones(decide, name, refused_by):
    decision = decide(name, champion="good")
    assert not decision.promote
    assert failed(decision) >= refused_by
    said = "; ".join(decision.reasons)
    assert "it finds anomalies planted among held-out rows worse (AUROC 0." in said
    assert "than the champion does (0.8" in said
    assert ("1,000 alerts are to be expected on a night of 1,000 rows, the budget is 20" in said) == (name == "scaled")


@pytest.mark.parametrize("name", ["shuffled", "scaled", "attacked"])
def test_where_the_whole_window_is_spoilt_tonights_rows_tell(decide, name):
    decision = decide(name, champion="good", window=name)
    assert failed(decision) == {TONIGHT}
    assert len(decision.reasons) == 1
    assert decision.reasons[0].startswith("it finds anomalies planted among tonight's rows worse (AUROC 0.")
    assert "than the champion does (0.8" in decision.reasons[0]


def test_without_a_champion_principal_components_and_the_budget_still_tell(decide):
    assert PCA in failed(decide("shuffled"))
    scaled = decide("scaled")
    assert "expected alerts" in failed(scaled)
    assert not scaled.usable


@pytest.mark.parametrize("share", [0.0, 0.7])
def test_a_threshold_far_from_the_budget_is_refused_whatever_the_detector_finds(decide, trained, tmp_path, share):
    good = open_bundle(trained["good"].bundle)
    threshold = float(np.quantile(good.calibration, 1.0 - share)) + (share == 0.0)
    contents = replace(good, detector={**good.detector, "threshold": threshold})
    made = replace(trained["good"], bundle=tmp_path / "moved", bundle_hash=write_bundle(tmp_path / "moved", contents))
    decision = decide(made, champion="good", budget=100.0)
    assert failed(decision) == {"expected alerts"}
    assert "alerts are to be expected on a night of 1,000 rows, the budget is 100" in decision.reasons[0]
    assert "newest held-out rows lie past the threshold" in decision.reasons[0]


def test_a_night_that_trained_the_champion_does_not_judge(decide):
    assert TONIGHT not in {check["name"] for check in decide("good", champion="good", night=TRAINED).checks}
