"""Charts: well-formed SVG that says what it shows, whatever the numbers."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from schemas.results import RowCounts, ScoreDistribution, TrainingSummary
from tasks.chart_nights import Night, timeline
from tasks.chart_scales import Bins, Linear, LogCount, LogValue, merged, thinned
from tasks.charts import MOST_BINS, alert_curve, histogram, rows_bar, training_curve

SCORES = ScoreDistribution(
    edges=tuple(i / 10 for i in range(101)),
    tonight=tuple(1000 - 10 * i for i in range(100)),
    calibration=tuple(500 - 5 * i for i in range(100)),
    threshold=8.0,
    alert_curve=tuple((i / 10, 1000 - 10 * i) for i in range(100)),
)
TRAINING = TrainingSummary(epochs=4, loss=(1.0, 0.5, 0.3, 0.2), held_out_loss=(1.1, 0.6, 0.4, 0.45))
NIGHTS = [Night("2026-03-01", 5), Night("2026-03-02", None, "blocked"), Night("2026-03-03", 7, tonight=True)]
ALL = {
    "histogram": histogram(SCORES),
    "alert curve": alert_curve(SCORES, 20),
    "training curve": training_curve(TRAINING),
    "rows": rows_bar(RowCounts(read=100, accepted=90, quarantined=10)),
    "timeline": timeline("alerts", "Alerts a night", NIGHTS),
}


def parsed(svg):
    return ET.fromstring(str(svg))  # noqa: S314 -- our own output


def of_class(svg, kind):
    return [element for element in parsed(svg).iter() if element.get("class") == kind]


def texts(svg):
    return [element.text for element in parsed(svg).iter() if element.tag == "text"]


@pytest.mark.parametrize("svg", ALL.values(), ids=ALL.keys())
def test_each_chart_is_well_formed_and_names_itself(svg):
    root = parsed(svg)
    assert root.get("role") == "img"
    named = [element.get("id") for element in root if element.tag in ("title", "desc")]
    assert root.get("aria-labelledby").split() == named
    assert all(element.text for element in root if element.tag in ("title", "desc"))


@pytest.mark.parametrize("svg", ALL.values(), ids=ALL.keys())
def test_each_chart_takes_its_colours_from_the_page(svg):
    for element in parsed(svg).iter():
        assert not {"fill", "stroke", "style", "href", "onload"} & set(element.attrib)


def test_bars_past_the_threshold_are_told_apart_and_the_bins_are_bounded():
    hot, cold = of_class(ALL["histogram"], "c-hot"), of_class(ALL["histogram"], "c-bar")
    assert hot
    assert cold
    assert len(hot) + len(cold) <= MOST_BINS
    assert "threshold 8" in texts(ALL["histogram"])


def test_the_calibration_outline_is_left_out_where_it_does_not_fit():
    assert of_class(ALL["histogram"], "c-outline")
    assert not of_class(histogram(SCORES.model_copy(update={"calibration": (1, 2)})), "c-outline")


@pytest.mark.parametrize(
    "change",
    [
        {"edges": ()},
        {"tonight": ()},
        {"tonight": (0,) * 100},
        {"edges": (1.0,) * 101},
        {"edges": (math.nan,) * 101},
        {"edges": (0.0, math.inf), "tonight": (1,)},
    ],
)
def test_a_histogram_of_nothing_is_empty(change):
    assert histogram(SCORES.model_copy(update=change)) == ""


def test_the_alert_curve_shows_threshold_and_budget():
    assert of_class(ALL["alert curve"], "c-dot")
    assert "budget 20" in texts(ALL["alert curve"])
    assert not of_class(alert_curve(SCORES.model_copy(update={"threshold": None})), "c-dot")


@pytest.mark.parametrize("curve", [(), ((1.0, 5),), ((1.0, 5), (1.0, 4)), ((math.nan, 1), (math.inf, 2))])
def test_an_alert_curve_of_nothing_is_empty(curve):
    assert alert_curve(ScoreDistribution(alert_curve=curve)) == ""


def test_the_training_curve_marks_the_best_held_out_epoch():
    assert "best: epoch 3, 0.4" in texts(ALL["training curve"])
    assert len(of_class(ALL["training curve"], "c-line")) == len(of_class(ALL["training curve"], "c-dash")) == 1


def test_a_training_that_lost_some_epochs_is_drawn_from_the_others():
    broken = TrainingSummary(loss=(1.0, math.nan, 0.5), held_out_loss=(math.nan,) * 3)
    assert of_class(training_curve(broken), "c-line")
    assert training_curve(TrainingSummary(loss=(1.0,))) == ""


def test_a_small_part_of_the_rows_is_still_seen():
    bars = parsed(rows_bar(RowCounts(read=10**9, accepted=10**9 - 1, quarantined=1))).iter("rect")
    assert min(float(bar.get("width")) for bar in bars) > 2
    assert rows_bar(RowCounts()) == ""


def test_nights_that_are_not_done_carry_marks_of_different_shapes():
    statuses = ("blocked", "failed", "missing", "partial")
    marks = [timeline("x", "X", [Night("2026-03-01", 1, status), NIGHTS[2]]) for status in statuses]
    marked = [element for svg in marks for element in parsed(svg).iter() if "m-" in element.get("class", "")]
    shapes = {(element.tag, element.get("d", "").count("l")) for element in marked}
    assert len(shapes) == len(statuses)


def test_a_hostile_name_stays_text():
    svg = timeline("x", "X", [Night('</text><script>alert("x")</script>', 1)])
    assert not list(parsed(svg).iter("script"))
    assert "<script" not in svg


def test_ticks_are_round_and_inside():
    assert Linear(0, 10).ticks() == [0, 2, 4, 6, 8, 10]
    assert LogCount(12_345).ticks() == [1, 10, 100, 1000, 10_000]
    assert all(0.03 <= tick <= 40 for tick in LogValue(0.03, 40).ticks())


def test_bins_of_unequal_width_get_equal_space():
    bins = Bins((0.0, 1.0, 10.0, 100.0))
    assert [bins.at(v) for v in (-5, 0, 1, 10, 55, 100, 1e9)] == pytest.approx([0, 0, 1 / 3, 2 / 3, 5 / 6, 1, 1])


def test_merging_bins_keeps_the_total_and_the_ends():
    counts, edges = merged(range(100), [float(i) for i in range(101)], 30)
    assert sum(counts) == sum(range(100))
    assert len(counts) == len(edges) - 1 <= 30
    assert (edges[0], edges[-1]) == (0.0, 100.0)


@given(st.lists(st.integers()), st.integers(2, 50))
def test_thinning_keeps_the_ends(items, most):
    kept = thinned(items, most)
    assert len(kept) == min(len(items), most)
    assert not items or (kept[0], kept[-1]) == (items[0], items[-1])


numbers = st.floats(-1e9, 1e9) | st.sampled_from([0.0, math.nan, math.inf, 1e-300])


@example(values=[0.0, 5e-324], counts=[1], threshold=None)
@settings(max_examples=150)
@given(st.lists(numbers, max_size=9), st.lists(st.integers(0, 10**7), max_size=9), numbers | st.none())
def test_any_numbers_give_well_formed_charts(values, counts, threshold):
    scores = ScoreDistribution(
        edges=tuple(sorted(set(values))),
        tonight=tuple(counts[: max(0, len(set(values)) - 1)]),
        calibration=tuple(counts),
        threshold=threshold if threshold is None or math.isfinite(threshold) else None,
        alert_curve=tuple(zip(values, counts, strict=False)),
    )
    drawn = [
        histogram(scores),
        alert_curve(scores, 20),
        training_curve(TrainingSummary(loss=tuple(values), held_out_loss=tuple(reversed(values)))),
        timeline("x", "X", [Night("2026-03-01", value) for value in values]),
    ]
    for svg in drawn:
        assert svg == "" or parsed(svg).get("viewBox")
        assert "nan" not in svg
        assert "inf" not in svg
