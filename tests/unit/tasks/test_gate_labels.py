"""What people labelled: read from the lake, and asked of a challenger where there is enough of it."""

from __future__ import annotations

from datetime import UTC, date, datetime
from types import SimpleNamespace

import numpy as np
import pytest

from infra.runtime.labels import Label, SaidRow
from tasks.gate import judge
from tasks.gate_labels import LEAST_OF_EACH, Labelled, labels_before
from tasks.labels import MOST_LABELS
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


def test_labelled_rows_that_cannot_be_scored_any_more_refuse_nobody(decide, champion, make_rows):
    given = labelled(make_rows)
    gone = Labelled(given.rows.drop(columns="sent"), given.is_anomaly)
    found = check(decide(champion, champion, gone))
    assert found["passed"]
    assert "cannot be scored" in found["observed"]


def test_what_rows_held_when_they_were_labelled_is_ranked(make_dataset):
    dataset = make_dataset()
    columns = [feature.column for feature in dataset.features]
    said = [
        Label(NIGHT, SaidRow(f"k{at}", "a.csv", at, word, values={"sent": 100.0 + at}), "ana", datetime.now(UTC))
        for at, word in enumerate(("anomaly", "false_alarm", "expected"))
    ]
    asked = []

    def labels(*given, **how):
        asked.append((given, how))
        return said

    found = labels_before(SimpleNamespace(state=SimpleNamespace(labels=labels)), dataset, NIGHT)
    assert asked == [((dataset.name,), {"before": NIGHT, "most": MOST_LABELS})]
    assert list(found.rows.columns) == columns
    assert found.rows["sent"].tolist() == [100.0, 101.0, 102.0]
    assert found.is_anomaly.tolist() == [True, False, False]
    assert found.of_each == (1, 2)


def test_where_nothing_was_said_nothing_is_asked(make_dataset):
    state = SimpleNamespace(labels=lambda *_, **__: [])
    assert labels_before(SimpleNamespace(state=state), make_dataset(), NIGHT) is None
