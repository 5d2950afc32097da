"""Planted anomalies: of the data's own values, about as many of each kind, with the types of the rows."""

from __future__ import annotations

import inspect

import numpy as np
import pandas as pd
import pytest

from models.planting import FALLBACK, Place, plant
from models.spoiling import BEYOND, FACTORS, WAYS

NUMBERS = ("sent", "got", "ratio", "packets")


@pytest.fixture(scope="module")
def rows(make_rows):
    frame = make_rows(1600).to_pandas()
    frame.loc[frame.index % 100 == 0, "proto"] = "icmp"
    return frame


@pytest.fixture(scope="module")
def places(make_dataset):
    return [Place(feature.column, feature.column in NUMBERS) for feature in make_dataset().features]


@pytest.fixture(scope="module")
def planted(rows, places):
    return plant(rows, places, seed=3)


@pytest.fixture(scope="module")
def changed(rows, planted, places):
    """Which values differ from their row's own, bool [rows, places]."""
    names = [place.name for place in places]
    frame = planted.frame
    return np.column_stack([~(frame[c].eq(rows[c]) | (frame[c].isna() & rows[c].isna())) for c in names])


def of(planted, kind):
    return planted.kinds == kind


def test_each_kind_gets_its_share_of_the_rows_and_every_row_is_spoilt(rows, planted, changed):
    assert set(planted.kinds) == set(WAYS)
    for kind in WAYS:
        assert of(planted, kind).mean() == pytest.approx(1 / len(WAYS), abs=0.03)
    assert changed.any(axis=1).all()
    assert (planted.frame.dtypes == rows.dtypes).all()
    assert planted.frame["flow_id"].equals(rows["flow_id"])


@pytest.mark.parametrize(
    ("kind", "least", "most"),
    [
        ("extreme", 1, 1),
        ("swapped columns", 2, 2),
        ("broken pair", 1, 1),
        ("mixed rows", 1, 2),
        ("rare category", 1, 1),
        ("scale drift", 1, 1),
        ("stuck values", 1, 1),
        ("copied noise", 1, 4),
    ],
)
def test_a_kind_changes_as_many_values_as_it_says(planted, changed, kind, least, most):
    count = changed[of(planted, kind)].sum(axis=1)
    assert least <= count.min()
    assert count.max() <= most


def test_an_extreme_lies_beyond_the_quantile_and_no_other_kind_invents_categories(rows, planted, places):
    out = of(planted, "extreme")
    far = {name: rows[name].quantile(BEYOND) for name in NUMBERS}
    assert np.any([planted.frame[name][out] > far[name] for name in NUMBERS], axis=0).all()
    for place in places:
        if not place.numeric:
            assert set(planted.frame[place.name].dropna()) <= set(rows[place.name].dropna())


def test_swapped_columns_hold_each_others_numbers(rows, planted):
    some = of(planted, "swapped columns")
    for before, after in zip(rows[some].itertuples(), planted.frame[some].itertuples(), strict=True):
        assert sorted(str(getattr(before, c)) for c in NUMBERS) == sorted(str(getattr(after, c)) for c in NUMBERS)


def test_a_rare_category_is_one_that_hardly_occurs(rows, planted):
    some = of(planted, "rare category")
    assert set(planted.frame["proto"][some]) == {"icmp"}
    assert not (rows["proto"][some] == "icmp").any()


def test_a_drifted_scale_keeps_to_its_factors(rows, planted):
    some = of(planted, "scale drift")
    with np.errstate(divide="ignore", invalid="ignore"):
        factors = np.abs(np.log((planted.frame[some][list(NUMBERS)] / rows[some][list(NUMBERS)]).astype(float)))
    most = np.nanmax(factors["sent"])
    assert np.log(FACTORS[0]) < most <= np.log(FACTORS[1]) + 1e-9


def test_stuck_values_are_the_same_along_a_run(rows, places):
    alone = pd.DataFrame({"x": np.arange(400.0), "y": np.arange(400.0)})
    planted = plant(alone, [Place("x", numeric=True), Place("y", numeric=True)], seed=1)
    stuck = planted.frame[of(planted, "stuck values")]
    counts = pd.concat([stuck["x"], stuck["y"]]).value_counts()
    assert (counts >= 3).sum() >= 3


def test_noise_is_small_beside_what_a_column_has(rows, planted):
    some = of(planted, "copied noise")
    moved = (planted.frame["ratio"] - rows["ratio"])[some]
    assert 0 < moved.std() < rows["ratio"].std()


def test_the_same_seed_plants_the_same_and_another_does_not(rows, places, planted):
    again, other = plant(rows, places, seed=3), plant(rows, places, seed=4)
    assert planted.frame.equals(again.frame)
    assert np.array_equal(planted.kinds, again.kinds)
    assert not planted.frame.equals(other.frame)


def test_no_planted_number_breaks_the_contract(rows):
    lowest, highest = float(rows["packets"].min()), float(rows["packets"].max())
    bounded = Place("packets", numeric=True, highest=highest, lowest=lowest)
    found = plant(rows, [bounded, Place("sent", numeric=True)], seed=3).frame["packets"]
    assert (found.min(), found.max()) >= (lowest, lowest)
    assert found.max() <= highest


def test_where_there_is_no_category_and_no_number_a_pair_is_broken(rows):
    planted = plant(rows, [Place("quick"), Place("proto")], seed=3)
    assert {"broken pair", "rare category", "mixed rows", "stuck values"} >= set(planted.kinds) - {""}
    numbers = plant(rows, [Place("sent", numeric=True), Place("ratio", numeric=True)], seed=3)
    assert "rare category" not in set(numbers.kinds)
    assert of(numbers, FALLBACK).mean() > 1.5 / len(WAYS)


@pytest.mark.parametrize(
    "column",
    [
        pd.Series([2**60 + at for at in range(60)]),
        pd.Series([None] * 59 + [1.0]),
        pd.Series([float("inf"), -1e308, 1e308] * 20),
        pd.Series([7] * 60),
        pd.Series([0] * 59 + [1]),
        pd.Series(pd.array([1, None, 3] * 20, dtype="Int64")),
        pd.Series(pd.array([True, None, False] * 20, dtype="boolean")),
        pd.Series(["a", None, "b"] * 20),
        pd.Series(pd.date_range("2026-01-01", periods=60, tz="UTC")),
    ],
    ids=["large", "one value", "extremes", "constant", "nearly constant", "nullable", "booleans", "texts", "times"],
)
def test_columns_of_every_kind_can_be_planted_in(column):
    numeric = pd.api.types.is_numeric_dtype(column.dtype) and column.dtype != "boolean"
    planted = plant(pd.DataFrame({"x": column}), [Place("x", numeric=numeric)], seed=1).frame
    assert planted["x"].dtype == column.dtype
    assert len(planted) == len(column)


def test_a_single_row_stays_what_it_is():
    frame = pd.DataFrame({"x": [1.5], "y": ["a"]})
    planted = plant(frame, [Place("x", numeric=True), Place("y")], seed=1)
    assert len(planted.frame) == 1
    assert plant(frame.iloc[:0], [Place("x", numeric=True), Place("y")], seed=1).frame.empty


@pytest.mark.parametrize("name", WAYS)
def test_each_kind_says_which_real_fault_it_stands_for(name):
    assert "Stands for" in inspect.getdoc(WAYS[name])
