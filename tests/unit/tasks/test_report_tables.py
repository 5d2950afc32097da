"""The figures of the charts as tables: few rows, the ones that matter among them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.results import ScoreDistribution, TrainingSummary
from tasks.report_tables import bin_rows, curve_rows, epoch_rows, stage_rows

SCORES = ScoreDistribution(
    edges=(0.0, 1.0, 2.0, 3.0, 4.0),
    tonight=(900, 80, 15, 5),
    calibration=(450, 40, 9, 1),
    threshold=2.5,
    alert_curve=((1.0, 100), (1.5, 60), (2.0, 20), (2.5, 14), (3.0, 5), (4.0, 1)),
)


def test_the_curve_says_what_other_thresholds_would_have_given():
    rows = curve_rows(SCORES, 10)
    assert [(row.threshold, row.alerts) for row in rows] == [(4.0, 1), (3.0, 5), (2.5, 14), (2.0, 20)]
    assert [row.in_force for row in rows] == [False, False, True, False]


def test_a_usual_night_is_read_from_the_calibration_rows():
    usual = {row.threshold: row.usual for row in curve_rows(SCORES, 10)}
    assert usual[3.0] == pytest.approx(2.0)
    assert usual[2.5] == pytest.approx(11.0)
    bare = SCORES.model_copy(update={"calibration": ()})
    assert {row.usual for row in curve_rows(bare, 10)} == {None}


def test_a_curve_of_one_point_or_none_is_no_table():
    assert curve_rows(ScoreDistribution(alert_curve=((1.0, 3),)), 10) == ()


def test_bins_are_few_and_lose_no_row():
    many = ScoreDistribution(edges=tuple(range(501)), tonight=(2,) * 500, calibration=(1,) * 500)
    rows = bin_rows(many)
    assert len(rows) <= 16
    assert sum(row.tonight for row in rows) == 1_000
    assert (rows[0].low, rows[-1].high) == (0, 500)


def test_the_best_epoch_is_among_the_epochs_shown():
    losses = [1.0] * 100
    losses[42] = 0.5
    rows = epoch_rows(TrainingSummary(loss=tuple(losses), held_out_loss=tuple(losses)))
    assert [row.epoch for row in rows if row.best] == [43]
    assert (rows[0].epoch, rows[-1].epoch) == (1, 100)
    assert len(rows) <= 13


def test_stages_are_measured_against_the_longest():
    rows = stage_rows({"ingest": 1.0, "train": 4.0, "total": 5.0, "odd": math.nan})
    assert [(row.name, row.percent) for row in rows] == [("ingest", 25), ("train", 100)]


@given(st.lists(st.floats(), max_size=30), st.lists(st.integers(0, 10**9), max_size=30), st.floats() | st.none())
def test_any_numbers_give_finite_rows(values, counts, budget):
    scores = ScoreDistribution(
        edges=tuple(values),
        tonight=tuple(counts[: max(0, len(values) - 1)]),
        calibration=tuple(counts),
        threshold=values[0] if values else None,
        alert_curve=tuple(zip(values, counts, strict=False)),
    )
    for row in curve_rows(scores, budget):
        assert math.isfinite(row.threshold)
        assert row.usual is None or math.isfinite(row.usual)
    bin_rows(scores)
    epoch_rows(TrainingSummary(loss=tuple(values), held_out_loss=tuple(reversed(values))))
    stage_rows({str(i): value for i, value in enumerate(values)})
