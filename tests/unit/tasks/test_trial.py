"""The rows that detectors are tried on: the newest held-out ones, and all detectors on the same."""

from __future__ import annotations

import numpy as np
import pytest

from models.scoring import Scorer
from models.spoiling import WAYS
from tasks.trial import LEAST_RECENT, places_of, recent, trial


@pytest.fixture
def tried(make_dataset, make_rows, detector):
    scorer = Scorer(detector.folder, detector.hash)
    return trial(make_rows(1600).to_pandas(), scorer, places_of(make_dataset(), scorer), seed=7)


def test_the_newest_half_is_taken_where_it_is_enough(make_dataset, make_rows):
    rows = make_rows(2 * LEAST_RECENT).to_pandas()
    newest, is_recent = recent(rows, make_dataset())
    assert is_recent
    assert newest["start_time"].min() > rows["start_time"].quantile(0.49)
    few, is_recent = recent(rows.iloc[:100], make_dataset())
    assert (len(few), is_recent) == (100, False)
    assert recent(rows, make_dataset(event_time=None))[1] is False


def test_every_detector_gets_a_column_in_the_battery_and_every_kind_a_row(tried):
    tried.enter("chance", lambda rows: np.random.default_rng(len(rows)).random(len(rows)))
    battery = tried.battery()
    # Two protocols, both frequent: no category is rare.
    assert [kind.kind for kind in battery.kinds] == [name for name in WAYS if name != "rare category"]
    assert list(battery.all) == ["challenger", "chance"]
    assert battery.all["challenger"] > 0.7
    assert battery.all["chance"] == pytest.approx(0.5, abs=0.05)


def test_the_whole_is_the_mean_of_the_kinds(tried):
    battery = tried.battery()
    mean = np.average([kind.auroc["challenger"] for kind in battery.kinds], weights=[k.rows for k in battery.kinds])
    assert battery.all["challenger"] == pytest.approx(mean, abs=1e-3)
    assert battery.all["challenger"] == pytest.approx(tried.against("challenger", 1).first, abs=1e-3)


def test_the_contracts_bounds_reach_the_planting(make_dataset, detector):
    columns = {**make_dataset().resolved()["columns"], "sent": {"type": "number", "min": 0.0, "max": 9.0}}
    places = places_of(make_dataset(columns=columns), Scorer(detector.folder))
    sent = next(place for place in places if place.name == "sent")
    assert (sent.lowest, sent.highest, sent.numeric) == (0.0, 9.0, True)
