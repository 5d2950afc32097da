"""Counting what was found, and the z-score peer."""

from datetime import date

import numpy as np
import pandas as pd

from tasks.simulate_truth import KindFound, Planted, found, zscore_ranking

MONDAY, TUESDAY = date(2026, 3, 2), date(2026, 3, 3)
PLANTED = (
    Planted(MONDAY, "a", "beacon", inside_range=True),
    Planted(MONDAY, "b", "flood", inside_range=False),
    Planted(TUESDAY, "c", "beacon", inside_range=True),
)


def test_found_counts_by_kind_with_the_inside_kinds_last():
    lines = found(PLANTED, {MONDAY: ["a", "b", "x"], TUESDAY: ["y"]})
    assert lines == [KindFound("flood", 1, 1, inside_range=False), KindFound("beacon", 2, 1, inside_range=True)]


def test_an_alert_of_another_night_does_not_count():
    assert [line.found for line in found(PLANTED, {TUESDAY: ["a", "b"]})] == [0, 0]


def test_an_alert_raised_twice_counts_once():
    assert [line.found for line in found(PLANTED, {MONDAY: ["a", "a"]})] == [0, 1]


def test_nothing_planted_gives_no_lines():
    assert found([], {MONDAY: ["a"]}) == []


def frame(size, proto) -> pd.DataFrame:
    return pd.DataFrame({"size": size, "fixed": 1.0, "proto": proto, "key": [f"k{row}" for row in range(len(size))]})


HISTORY = frame(np.linspace(10, 1000, 200), ["tcp"] * 150 + ["udp"] * 49 + ["icmp"])


def test_the_z_score_ranks_the_most_extreme_number_first():
    scores = zscore_ranking(HISTORY, frame([300.0, 1e9, 400.0], ["tcp"] * 3))
    assert scores.argmax() == 1
    assert scores[1] > 3


def test_the_z_score_ranks_rare_and_unseen_categories_above_usual_ones():
    scores = zscore_ranking(HISTORY, frame([300.0] * 4, ["tcp", "udp", "icmp", "sctp"]))
    assert list(np.argsort(scores)) == [0, 1, 2, 3]
    assert np.ptp(zscore_ranking(HISTORY, frame([300.0] * 4, ["tcp", "udp", "icmp", "sctp"]), rarity=False)) == 0


def test_a_missing_number_and_a_column_that_never_varies_count_nothing():
    night = frame([float("nan"), 300.0], ["tcp", "tcp"]).assign(fixed=99.0)
    assert np.isfinite(zscore_ranking(HISTORY, night)).all()
    assert zscore_ranking(HISTORY, night)[0] < 1
