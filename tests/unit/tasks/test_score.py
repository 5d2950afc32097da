"""Scoring a night, part by part."""

from __future__ import annotations

import pickle
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from schemas.errors import BundleError, UnreadableInput
from schemas.tables import scores_schema
from tasks import score as scoring
from tasks.score import repartition, score
from tasks.score_part import BIN, BINS, ScoreJob, histogram


@pytest.fixture(scope="module")
def night(make_rows):
    """1,500 rows, twelve of them with values that do not go together."""
    rows = make_rows(1500, seed=5, start=10_000)
    odd = pa.array(np.arange(1500) % 125 == 0)
    sent = pc.if_else(odd, pa.scalar(0.001), rows["sent"])
    return rows.set_column(rows.column_names.index("sent"), "sent", sent)


@pytest.fixture
def run(make_dataset, detector, serial_compute, tmp_path, night):
    def call(rows=night, parts=1, dataset=None, in_sample=False, bundle_hash=detector.hash, name="work"):
        (tmp_path / name).mkdir(exist_ok=True)
        pq.write_table(rows, tmp_path / name / "in.parquet")
        accepted = repartition([tmp_path / name / "in.parquet"], parts, tmp_path / name / "parts")
        return score(
            dataset or make_dataset(),
            accepted,
            detector.folder,
            bundle_hash,
            "3",
            serial_compute,
            tmp_path / name,
            in_sample=in_sample,
        )

    return call


def read(scored):
    return pa.concat_tables([pq.read_table(path) for path in scored.parts])


def test_every_row_gets_a_score_and_odd_rows_get_alerts(run, make_dataset, night):
    scored = run(parts=3)
    table = read(scored)
    assert table.schema == scores_schema(make_dataset())
    assert scored.rows == len(table) == 1500
    assert scored.alerts == pc.sum(table["is_alert"]).as_py()
    assert table["flow_id"].to_pylist() == night["flow_id"].to_pylist()
    assert set(table["model_version"].to_pylist()) == {"3"}
    assert not any(table["in_sample"].to_pylist())
    odd = {str(10_000 + at) for at in range(0, 1500, 125)}
    assert odd <= {alert.key for alert in scored.top}
    first = scored.top[0]
    assert (first.rank, first.entity[:1], first.source_file) == (1, "h", "a.csv")
    assert first.event_time.endswith("+00:00")
    assert first.contributions[0].share >= first.contributions[-1].share
    assert any(c.column == "sent" and float(c.actual) == 0.001 for c in first.contributions)
    assert len(first.contributions) == 5


def test_alerts_are_ranked_by_score_then_key(run):
    top = run().top
    assert [alert.rank for alert in top] == list(range(1, len(top) + 1))
    assert list(top) == sorted(top, key=lambda alert: (-alert.score, alert.key))


@pytest.mark.parametrize("parts", [7, 100])
def test_partitions_change_nothing(run, parts):
    whole, cut = run(), run(parts=parts, name="cut")
    assert read(whole) == read(cut)
    assert (whole.top, whole.distribution, whole.alerts) == (cut.top, cut.distribution, cut.alerts)
    assert len(cut.parts) == parts


def test_columns_in_another_order_and_half_of_the_rows_change_no_score(run, night):
    whole = read(run())
    half = night.take(list(range(1499, -1, -2))).select(night.column_names[::-1])
    assert read(run(half, name="half")) == whole.take(list(range(1499, -1, -2)))


def test_one_row_alone_scores_as_among_others(run, night):
    assert read(run(night.slice(250, 1), name="one")) == read(run()).slice(250, 1)


def test_no_rows_and_no_parts_are_a_night_without_scores(run, night, make_dataset, detector, serial_compute, tmp_path):
    empty = run(night.slice(0, 0), name="empty")
    assert (empty.rows, empty.alerts, empty.top, empty.distribution.edges) == (0, 0, (), ())
    assert read(empty).schema == scores_schema(make_dataset())
    none = score(make_dataset(), [], detector.folder, detector.hash, "3", serial_compute, tmp_path, in_sample=False)
    assert (none.rows, none.parts, none.threshold) == (0, (), empty.threshold)


def test_a_dataset_without_key_time_and_entity_has_only_the_rows_own_hash(run, make_dataset):
    plain = make_dataset(key=[], event_time=None, entity=None)
    table = read(run(dataset=plain, in_sample=True))
    assert table.column_names[:3] == ["sereno_key", "sereno_file", "sereno_line"]
    assert all(table["in_sample"].to_pylist())


def test_a_bundle_with_another_hash_does_not_score(run):
    with pytest.raises(BundleError):
        run(bundle_hash="0" * 64)


def test_rows_without_a_column_of_the_detector_are_refused(run, night):
    with pytest.raises((UnreadableInput, pa.ArrowInvalid, KeyError)) as caught:
        run(night.drop_columns(["ratio"]), name="without")
    assert isinstance(caught.value, UnreadableInput)
    assert "ratio" in str(caught.value)


def test_the_distribution_counts_every_row_on_common_edges(run, detector):
    from models.bundle import open_bundle

    scored = run()
    found, bundle = scored.distribution, open_bundle(detector.folder)
    assert sum(found.tonight) == 1500
    assert sum(found.calibration) == len(bundle.calibration)
    assert len(found.edges) == len(found.tonight) + 1 == len(found.calibration) + 1
    assert len(found.tonight) <= scoring.MOST_BINS
    assert all(a < b for a, b in zip(found.edges, found.edges[1:], strict=False))
    scores = read(scored)["score"].to_numpy()
    inside = np.histogram(scores, bins=[*found.edges[:-1], np.inf])[0]
    assert tuple(inside.tolist()) == found.tonight


def test_the_alert_curve_says_how_many_alerts_another_threshold_gives(run):
    scored = run()
    scores = read(scored)["score"].to_numpy()
    curve = dict(scored.distribution.alert_curve)
    assert curve.pop(scored.threshold) == scored.alerts == int((scores > scored.threshold).sum())
    assert len(curve) > 5
    assert all(int((scores >= threshold).sum()) == alerts for threshold, alerts in curve.items())


def test_alerts_in_the_result_are_bounded(run, make_rows, detector, monkeypatch):
    monkeypatch.setattr(scoring, "TOP_ALERTS", 4)
    scored = run(parts=5)
    assert scored.alerts > 4
    assert len(scored.top) == 4


def test_scores_on_bin_edges_and_beyond_the_last_bin_are_counted():
    counts = histogram(np.array([0.0, BIN, BIN * 1.5, 1e6]))
    assert (counts[0], counts[1], counts[BINS - 1], counts.sum()) == (1, 2, 1, 4)


def test_repartition_keeps_rows_and_their_order(tmp_path, make_rows):
    rows = make_rows(50)
    pq.write_table(rows.slice(0, 20), tmp_path / "a.parquet")
    pq.write_table(rows.slice(20), tmp_path / "b.parquet")
    for count in (1, 7, 100):
        parts = repartition([tmp_path / "a.parquet", tmp_path / "b.parquet"], count, tmp_path / "out")
        assert len(parts) == count
        assert pa.concat_tables([pq.read_table(path) for path in parts]) == rows


def test_scoring_again_over_old_parts_gives_the_same_files(run):
    first = run(parts=2)
    before = [path.read_bytes() for path in first.parts]
    again = run(parts=2)
    assert [path.read_bytes() for path in again.parts] == before
    assert sorted(p.name for p in again.parts[0].parent.iterdir()) == ["scores-000000.parquet", "scores-000001.parquet"]


def test_a_worker_imports_neither_prefect_nor_tensorflow(tmp_path, detector, make_dataset, night):
    pq.write_table(night, tmp_path / "in.parquet")
    job = ScoreJob(
        detector.folder, detector.hash, "1", False, ("flow_id",), None, None,
        scores_schema(make_dataset(event_time=None, entity=None)), tmp_path, 10,
    )  # fmt: skip
    (tmp_path / "job.bin").write_bytes(pickle.dumps(job))
    code = f"""
import pickle, sys
from pathlib import Path
from tasks.score_part import score_part
job = pickle.loads(Path({str(tmp_path / "job.bin")!r}).read_bytes())
assert score_part((0, Path({str(tmp_path / "in.parquet")!r})), job).rows == 1500
heavy = {{"prefect", "tensorflow", "keras", "mlflow", "great_expectations"}} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-P", "-c", code], check=True)
