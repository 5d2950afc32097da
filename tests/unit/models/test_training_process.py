"""The real child: TensorFlow is imported once for all tests of this file."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from models.bundle import bundle_hash, canonical_json, open_bundle
from models.checks import check_detector
from models.scoring import Scorer
from schemas.dataset import Dataset
from schemas.errors import TrainingFailed
from tasks.train import TrainingProcess, TrainingRequest

SMALL = {"epochs": 12, "hidden": [24], "code": 6, "batch_size": 64, "alert_budget": 20}


@pytest.fixture(scope="module")
def process(tmp_path_factory):
    with TrainingProcess(tmp_path_factory.mktemp("child")) as process:
        yield process


@pytest.fixture
def request_for(make_dataset, window, tmp_path):
    def make(name="bundle", sample=window, seed=3, expected_rows=1000.0, **detector):
        dataset = make_dataset(detector={**SMALL, **detector})
        return TrainingRequest(dataset, ("2026-09-01",), sample, seed, expected_rows, False, tmp_path / name)

    return make


@pytest.fixture(scope="module")
def trained(process, make_dataset, window, tmp_path_factory):
    """One detector, and what its training said on the way."""
    folder = tmp_path_factory.mktemp("trained") / "bundle"
    dataset = make_dataset(detector=SMALL)
    told = []
    request = TrainingRequest(dataset, ("2026-09-01",), window, 3, 1000.0, False, folder)
    outcome = process.train(request, lambda *values: told.append(values))
    return outcome, told, request


def write_rows(folder, table):
    path = folder / "sample.parquet"
    pq.write_table(table, path)
    return path


def test_a_detector_passes_all_checks(trained, window):
    outcome, _, _ = trained
    assert check_detector(outcome.bundle) == []
    assert check_detector(outcome.bundle, pq.read_table(window).to_pandas().head(500)) == []


def test_each_epoch_is_told_and_loss_falls(trained):
    outcome, told, _ = trained
    assert [epoch for epoch, *_ in told] == list(range(1, outcome.summary.epochs + 1))
    assert told[-1][3] < 0.7 * told[0][3]
    assert outcome.summary.held_out_loss[-1] == pytest.approx(told[-1][3], abs=1e-6)


def test_the_bundle_says_what_its_codes_are(trained):
    assert open_bundle(trained[0].bundle).detector["code"] == {"size": 30, "has_prior": False, "classes": 0}


def test_the_summary_adds_up(trained):
    summary = trained[0].summary
    assert summary.rows_fit + summary.rows_stop + summary.rows_calibrate == 3000
    assert summary.nights == ("2026-09-01",)
    assert summary.seconds > 0
    assert summary.parameters > 0


def test_alerts_are_about_the_budget_and_planted_rows_come_first(trained, make_rows):
    scorer = Scorer(trained[0].bundle, trained[0].bundle_hash)
    night = make_rows(1000, seed=9, start=90_000).to_pandas()
    # Each value is usual by itself: only the relations are broken.
    night.loc[:9, "ratio"] = -night.loc[:9, "ratio"] + np.where(night.loc[:9, "ratio"] > 0, -1.0, 1.0)
    scores = scorer.score(night)
    assert 5 <= scores.is_alert.sum() <= 60
    assert scores.score[:10].mean() > np.quantile(scores.score[10:], 0.9)


def test_a_night_of_a_new_kind_that_trains_itself_keeps_the_budget(process, request_for, make_rows, tmp_path):
    before, tonight = make_rows(6000, seed=1), make_rows(400, seed=2, start=50_000)
    wider = np.random.default_rng(3).normal(0.0, 4.0, 400) + tonight["ratio"].to_numpy()
    tonight = tonight.set_column(tonight.column_names.index("ratio"), "ratio", pa.array(wider))
    both = write_rows(tmp_path, pa.concat_tables([before, tonight]))
    own = tmp_path / "tonight.parquet"
    pq.write_table(tonight, own)
    free = process.train(replace(request_for("free", sample=both, expected_rows=400.0), in_sample=True))
    bound = process.train(replace(request_for("bound", sample=both, expected_rows=400.0), in_sample=True, tonight=own))
    alerts = [int(Scorer(found.bundle).score(tonight.to_pandas(), top=0).is_alert.sum()) for found in (free, bound)]
    assert alerts[0] > 100
    assert 5 <= alerts[1] <= 40


@pytest.mark.parametrize(
    "rule",
    [{"method": "quantile", "share": 0.05}, {"method": "p_value", "at_most": 0.05}, {"method": "tail", "risk": 0.05}],
    ids=lambda rule: rule["method"],
)
def test_every_rule_makes_the_threshold_also_of_a_night_that_trains_itself(
    process, request_for, make_rows, tmp_path, rule
):
    rows = make_rows(400, seed=2)
    own = write_rows(tmp_path, rows)
    request = request_for(sample=own, expected_rows=400.0, threshold=rule, alert_budget=399)
    outcome = process.train(replace(request, in_sample=True, tonight=own))
    bundle = open_bundle(outcome.bundle)
    assert bundle.threshold_rule == request.dataset.detector.threshold.model_dump()
    assert bundle.detector["alerts"] == {"budget": 20.0, "expected_rows": 400.0, "share": 0.05}
    assert 5 <= Scorer(outcome.bundle).score(rows.to_pandas(), top=0).is_alert.sum() <= 25


def test_the_same_seed_gives_the_same_bundle_and_another_seed_another(process, trained, request_for):
    again = process.train(request_for("again"))
    assert again.bundle_hash == trained[0].bundle_hash
    assert process.train(request_for("other", seed=4)).bundle_hash != trained[0].bundle_hash


@pytest.mark.slow
def test_another_process_gives_the_same_bundle(trained, request_for, tmp_path):
    with TrainingProcess(tmp_path) as other:
        assert other.train(request_for()).bundle_hash == trained[0].bundle_hash


def test_the_order_of_the_sample_decides_nothing(process, trained, request_for, window, tmp_path):
    table = pq.read_table(window)
    shuffled = table.take(np.random.default_rng(0).permutation(len(table)))
    assert process.train(request_for(sample=write_rows(tmp_path, shuffled))).bundle_hash == trained[0].bundle_hash


def test_a_bundle_holds_no_clock_and_no_pickle(trained):
    bundle = open_bundle(trained[0].bundle)
    assert "seconds" not in bundle.detector["training"]
    assert bundle.detector["summary"]["seconds"] == 0
    with zipfile.ZipFile(trained[0].bundle / "weights.keras") as archive:
        assert sorted(archive.namelist()) == ["config.json", "metadata.json", "model.weights.h5"]
        assert {entry.date_time[0] for entry in archive.infolist()} == {1980}
        assert json.loads(archive.read("metadata.json"))["date_saved"].startswith("1980")


def test_fifty_rows_are_enough(process, request_for, make_rows, tmp_path):
    outcome = process.train(request_for(sample=write_rows(tmp_path, make_rows(50)), expected_rows=50.0))
    assert check_detector(outcome.bundle) == []


def test_odd_columns_are_trained_on(process, request_for, make_rows, tmp_path):
    table = make_rows(200)
    odd = {
        "sent": pa.nulls(200, pa.float64()),
        "packets": pa.array([7] * 200, pa.int64()),
        "got": pa.array([1e300, -1e300] * 100),
        "proto": pa.array([f"p{n}" for n in range(200)]),
    }
    for name, values in odd.items():
        table = table.set_column(table.schema.get_field_index(name), name, values)
    outcome = process.train(request_for(sample=write_rows(tmp_path, table)))
    assert check_detector(outcome.bundle) == []


@pytest.mark.parametrize("rows", [0, 1, 19])
def test_too_few_rows_are_a_clear_error_and_the_child_goes_on(process, request_for, make_rows, tmp_path, rows):
    sample = write_rows(tmp_path, make_rows(1000).slice(0, rows))
    with pytest.raises(TrainingFailed, match=f"{rows} rows"):
        process.train(request_for(sample=sample))
    assert not (tmp_path / "bundle").exists()


def test_a_diverging_training_says_what_to_do(process, request_for):
    with pytest.raises(TrainingFailed, match="not finite") as raised:
        process.train(request_for(learning_rate=1e30))
    assert "learning_rate" in str(raised.value.hint)


def test_an_unreadable_sample_is_a_clear_error(process, request_for, tmp_path):
    (tmp_path / "broken.parquet").write_bytes(b"no parquet")
    with pytest.raises(TrainingFailed, match="cannot be read"):
        process.train(request_for(sample=tmp_path / "broken.parquet"))


def test_a_dataset_without_a_feature_is_a_clear_error(process, request_for):
    request = request_for()
    left_out = {name: c.model_copy(update={"left_out": "why"}) for name, c in request.dataset.columns.items()}
    bare = request.dataset.model_copy(update={"columns": left_out})
    with pytest.raises(TrainingFailed, match=r"no column of .* enters the detector") as raised:
        process.train(replace(request, dataset=Dataset.model_validate(bare.model_dump())))
    assert "left_out" in str(raised.value.hint)


def test_an_unknown_family_is_a_clear_error(process, request_for):
    with pytest.raises(TrainingFailed, match="no autoencoder family"):
        process.train(request_for(family="nothing"))


PARENT = """
import os, sys, time
from pathlib import Path
from tasks.train import TrainingProcess
process = TrainingProcess(Path(sys.argv[1]))
process.start()
print(process._child._process.pid, flush=True)
time.sleep(600)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's help is Linux's")
def test_the_child_dies_with_its_parent(tmp_path):
    parent = subprocess.Popen([sys.executable, "-P", "-c", PARENT, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    child = int(parent.stdout.readline())
    parent.stdout.close()
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    deadline = time.monotonic() + 20
    while Path(f"/proc/{child}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f"/proc/{child}").exists()


def test_a_training_that_starts_from_an_earlier_detector_begins_lower(process, trained, request_for):
    outcome, _, _ = trained
    request = replace(request_for("warm", epochs=3), start=outcome.bundle, start_hash=outcome.bundle_hash)
    warm = process.train(request)
    assert warm.summary.held_out_loss[0] < 0.7 * outcome.summary.held_out_loss[0]
    assert open_bundle(warm.bundle).detector["training"]["started_from"] == outcome.bundle_hash
    assert process.train(replace(request, output=request.output.with_name("again"))).bundle_hash == warm.bundle_hash


def test_a_training_starts_anew_where_the_earlier_detector_has_another_shape(process, trained, request_for):
    outcome, _, _ = trained
    cold = process.train(request_for("cold", epochs=3, code=5))
    request = replace(request_for("other", epochs=3, code=5), start=outcome.bundle, start_hash=outcome.bundle_hash)
    other = process.train(request)
    assert other.bundle_hash == cold.bundle_hash
    assert open_bundle(other.bundle).detector["training"]["started_from"] is None


def test_a_training_starts_anew_where_the_earlier_detector_is_of_a_version_that_nothing_reads(
    process, trained, request_for, tmp_path
):
    shutil.copytree(trained[0].bundle, tmp_path / "old")
    manifest = json.loads((tmp_path / "old" / "manifest.json").read_bytes())
    (tmp_path / "old" / "manifest.json").write_bytes(canonical_json(manifest | {"protocol": 3}))
    request = replace(request_for("anew", epochs=3), start=tmp_path / "old", start_hash=bundle_hash(tmp_path / "old"))
    anew = process.train(request)
    assert open_bundle(anew.bundle).detector["training"]["started_from"] is None


def test_a_training_starts_from_no_bundle_but_the_one_on_record(process, trained, request_for):
    request = replace(request_for("odd", epochs=3), start=trained[0].bundle, start_hash="0" * 64)
    with pytest.raises(TrainingFailed, match="as recorded"):
        process.train(request)
