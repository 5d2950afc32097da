"""What people labelled: read from the lake, and asked of a challenger where there is enough of it."""

from __future__ import annotations

from datetime import date
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.gate import judge
from tasks.gate_labels import LEAST_OF_EACH, Labelled, RowLabel, labelled_rows
from tasks.promotion import ChampionBundle

NIGHT = date(2026, 9, 1)
NAME = "not worse than the champion on labels"


@pytest.fixture(scope="module")
def champion(make_detector, make_rows, tmp_path_factory):
    return make_detector(tmp_path_factory.mktemp("champion") / "bundle", make_rows(3000), rank=2)


@pytest.fixture(scope="module")
def blind(make_detector, make_rows, tmp_path_factory):
    """A detector that gives every row the same score."""
    return make_detector(tmp_path_factory.mktemp("blind") / "bundle", make_rows(3000), constant=True)


@pytest.fixture
def decide(make_dataset, window):
    def call(challenger, champion, labelled):
        dataset, by = make_dataset(), ChampionBundle(champion.folder)
        return judge(dataset, challenger.folder, challenger.hash, window, champion=by, labelled=labelled, seed=7)

    return call


def labelled(make_rows, anomalies=40, others=40):
    """Rows of which the first ones have their bytes exchanged."""
    frame = make_rows(anomalies + others, seed=9, start=90_000).to_pandas()
    frame.loc[: anomalies - 1, "sent"] = frame["sent"].to_numpy()[:anomalies][::-1] * 30
    return Labelled(frame, np.arange(len(frame)) < anomalies)


def check(decision):
    return next((found for found in decision.checks if found["name"] == NAME), None)


def test_enough_labels_are_asked_and_told(decide, champion, make_rows):
    found = check(decide(champion, champion, labelled(make_rows)))
    assert found["passed"]
    assert "on 40 anomalies and 40 other rows that people labelled" in found["observed"]


def test_a_challenger_that_ranks_the_labels_worse_is_refused(decide, champion, blind, make_rows):
    decision = decide(blind, champion, labelled(make_rows))
    assert not check(decision)["passed"]
    assert "that people labelled worse" in "; ".join(decision.reasons)


@pytest.mark.parametrize(("anomalies", "others"), [(LEAST_OF_EACH - 1, 80), (80, LEAST_OF_EACH - 1)])
def test_few_labels_of_a_sort_are_not_asked(decide, champion, make_rows, anomalies, others):
    assert check(decide(champion, champion, labelled(make_rows, anomalies, others))) is None


def test_a_parquet_file_will_do(decide, champion, make_rows, tmp_path):
    given = labelled(make_rows)
    given.rows.to_parquet(tmp_path / "labelled.parquet")
    found = check(decide(champion, champion, Labelled(tmp_path / "labelled.parquet", given.is_anomaly)))
    assert found == check(decide(champion, champion, given))


def test_labelled_rows_that_cannot_be_scored_any_more_refuse_nobody(decide, champion, make_rows):
    given = labelled(make_rows)
    gone = Labelled(given.rows.drop(columns="sent"), given.is_anomaly)
    found = check(decide(champion, champion, gone))
    assert found["passed"]
    assert "cannot be scored" in found["observed"]


def test_labels_become_rows_of_the_pinned_night(make_dataset, make_rows, tmp_path):
    from infra.runtime.lake import Lake
    from schemas.tables import accepted_schema

    dataset, schema = make_dataset(), accepted_schema(make_dataset())
    rows = make_rows(30)
    pq.write_table(rows, tmp_path / "rows.parquet")
    lake = Lake(tmp_path / "lake")
    version = lake.replace_night(dataset.name, "accepted", NIGHT, [tmp_path / "rows.parquet"], schema, run_id="r1")
    state = SimpleNamespace(pins=lambda _name, _table, nights: {night: version for night in nights if night == NIGHT})
    keys = pa.array(rows["sereno_key"]).to_pylist()
    labels = [RowLabel(NIGHT, keys[0], "anomaly"), RowLabel(NIGHT, keys[1], "false_alarm")]
    labels += [RowLabel(NIGHT, "gone", "anomaly"), RowLabel(date(2026, 9, 2), keys[2], "anomaly")]
    found = labelled_rows(SimpleNamespace(state=state, lake=lake), dataset, labels)
    assert dict(zip(found.rows["sereno_key"], found.is_anomaly.tolist(), strict=True)) == {
        keys[0]: True,
        keys[1]: False,
    }
    assert found.of_each == (1, 1)
    assert labelled_rows(SimpleNamespace(state=state, lake=lake), dataset, []) is None
