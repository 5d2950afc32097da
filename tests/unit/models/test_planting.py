"""Planted anomalies: of the data's own values, a third in each way, with the types of the rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from models.planting import BEYOND, Place, plant

NUMBERS = ("sent", "got", "ratio", "packets")


@pytest.fixture
def rows(make_rows):
    return make_rows(900).to_pandas()


@pytest.fixture
def places(make_dataset):
    return [Place(feature.column, feature.column in NUMBERS) for feature in make_dataset().features]


def changed(rows, planted, places):
    names = [place.name for place in places]
    return np.column_stack([~(planted[c].eq(rows[c]) | (planted[c].isna() & rows[c].isna())) for c in names])


def beyond(rows, planted):
    """Which rows hold a number beyond the quantile that they did not hold before, bool [rows]."""
    far = {name: rows[name].quantile(BEYOND) for name in NUMBERS}
    return np.any([(planted[name] > far[name]) & ~planted[name].eq(rows[name]) for name in NUMBERS], axis=0)


def test_each_row_is_spoilt_in_one_to_a_few_columns_and_keeps_its_types(rows, places):
    planted = plant(rows, places, seed=3)
    assert (planted.dtypes == rows.dtypes).all()
    assert planted["flow_id"].equals(rows["flow_id"])
    count = changed(rows, planted, places).sum(axis=1)
    assert count.min() == 1
    assert count.max() == 2
    assert np.mean(count == 2) == pytest.approx(1 / 3, abs=0.01)


def test_a_third_lies_beyond_the_quantile_of_one_column_and_the_others_keep_to_the_values_of_theirs(rows, places):
    planted = plant(rows, places, seed=3)
    out = beyond(rows, planted)
    assert out.mean() == pytest.approx(1 / 3, abs=0.02)
    for place in places:
        assert set(planted[place.name][~out].dropna()) <= set(rows[place.name].dropna())
    for name in NUMBERS:
        far, middle = rows[name].quantile(BEYOND), rows[name].median()
        assert planted[name].max() <= max(far + (far - middle) + 1, rows[name].max())


def test_the_same_seed_plants_the_same_and_another_does_not(rows, places):
    planted = plant(rows, places, seed=3)
    assert planted.equals(plant(rows, places, seed=3))
    assert not planted.equals(plant(rows, places, seed=4))


def test_no_planted_number_breaks_the_contract(rows):
    highest = float(rows["packets"].max())
    planted = plant(rows, [Place("packets", numeric=True, highest=highest)], seed=3)
    assert planted["packets"].max() <= highest
    full = [Place("packets", numeric=True, highest=float(rows["packets"].quantile(0.5)))]
    assert set(plant(rows, full, seed=3)["packets"]) <= set(rows["packets"])


@pytest.mark.parametrize(
    "column",
    [
        pd.Series([2**60 + at for at in range(60)]),
        pd.Series([None] * 59 + [1.0]),
        pd.Series([float("inf"), -1e308, 1e308] * 20),
        pd.Series([7] * 60),
        pd.Series([0] * 59 + [1]),
        pd.Series(pd.array([True, None, False] * 20, dtype="boolean")),
        pd.Series(["a", None, "b"] * 20),
    ],
    ids=["large integers", "one value", "extremes", "constant", "nearly constant", "booleans", "texts"],
)
def test_columns_of_every_kind_can_be_planted_in(column):
    numeric = pd.api.types.is_numeric_dtype(column.dtype) and column.dtype != "boolean"
    planted = plant(pd.DataFrame({"x": column}), [Place("x", numeric=numeric)], seed=1)
    assert planted["x"].dtype == column.dtype
    assert len(planted) == len(column)


def test_a_single_row_stays_what_it_is():
    frame = pd.DataFrame({"x": [1.5], "y": ["a"]})
    assert plant(frame, [Place("x", numeric=True), Place("y")], seed=1).equals(frame)
