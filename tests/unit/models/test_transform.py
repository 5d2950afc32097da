from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.numeric_encoder import NumericEncoder, hard_unbound, soft_bound
from models.transform import Transform, fit_transform
from schemas.errors import BundleError, TrainingFailed, UnreadableInput
from schemas.features import ColumnType, Feature, FeatureKind

FEATURES = (
    Feature("size", ColumnType.NUMBER),
    Feature("count", ColumnType.INTEGER),
    Feature("rank", ColumnType.NUMBER, FeatureKind.QUANTILE),
    Feature("proto", ColumnType.CATEGORY),
    Feature("host", ColumnType.TEXT, FeatureKind.HASH),
    Feature("port", ColumnType.INTEGER, FeatureKind.ONE_HOT),
    Feature("is_open", ColumnType.BOOLEAN),
    Feature("seen", ColumnType.TIME, FeatureKind.CYCLIC),
)


def made(rows=600, seed=0):
    random = np.random.default_rng(seed)
    size = np.exp(random.normal(3, 2, rows))
    size[random.random(rows) < 0.1] = np.nan
    return pd.DataFrame(
        {
            "size": size,
            "count": random.poisson(4, rows),
            "rank": random.exponential(1, rows),
            "proto": random.choice(["tcp", "udp", "icmp"], rows, p=[0.7, 0.2, 0.1]),
            "host": [f"h{n}" for n in random.integers(0, 200, rows)],
            "port": random.choice([80, 443, 53], rows),
            "is_open": random.random(rows) < 0.3,
            "seen": pd.Timestamp("2026-01-01", tz="UTC") + pd.to_timedelta(random.integers(0, 86400 * 20, rows), "s"),
        }
    )


@pytest.fixture(scope="module")
def transform():
    return fit_transform(made(), FEATURES)


def numeric(values, kind=FeatureKind.AUTO, column_type=ColumnType.NUMBER, **options):
    frame = pd.DataFrame({"x": values})
    return fit_transform(frame, [Feature("x", column_type, kind)], **options)


def encode(transform, values):
    return transform.apply(pd.DataFrame({"x": values}))


def test_a_frozen_transform_gives_the_same_numbers(transform):
    again = Transform.from_json(json.loads(json.dumps(transform.to_json())))
    assert again == transform
    assert np.array_equal(again.apply(made(seed=1)), transform.apply(made(seed=1)))


def test_the_matrix_is_finite_float32_with_one_group_a_column(transform):
    matrix = transform.apply(made(seed=1))
    assert matrix.dtype == np.float32
    assert matrix.shape == (600, transform.width)
    assert np.isfinite(matrix).all()
    assert list(transform.groups) == [feature.column for feature in FEATURES]
    assert (
        sum(group.stop - group.start for group in transform.groups.values())
        == transform.width
        == len(transform.weights)
    )


@pytest.mark.parametrize("rows", [slice(5, 6), slice(0, 300), slice(None, None, -1)], ids=["one", "half", "reversed"])
def test_a_row_does_not_depend_on_other_rows(transform, rows):
    frame = made(seed=1)
    assert np.array_equal(transform.apply(frame.iloc[rows]), transform.apply(frame)[rows])


def test_order_of_columns_and_further_columns_do_not_matter(transform):
    frame = made(seed=1)
    other = frame[frame.columns[::-1]].assign(further=1)
    assert np.array_equal(transform.apply(other), transform.apply(frame))


def test_no_rows_give_an_empty_matrix(transform):
    assert transform.apply(made().iloc[:0]).shape == (0, transform.width)


def test_missing_columns_are_all_named(transform):
    with pytest.raises(UnreadableInput, match="size, proto"):
        transform.apply(made().drop(columns=["size", "proto"]))


@pytest.mark.parametrize("kind", [FeatureKind.SIGNED_LOG, FeatureKind.ROBUST, FeatureKind.QUANTILE])
def test_an_extreme_value_stays_more_anomalous_than_a_large_one(kind):
    transform = numeric(np.random.default_rng(0).normal(0, 1, 500), kind)
    up = encode(transform, [0.0, 10.0, 1e3, 1e9, 1e100, 1e308, np.inf])[:, 0]
    down = encode(transform, [0.0, -10.0, -1e3, -1e9, -1e100])[:, 0]
    assert (np.diff(up[:-1]) > 0).all()
    assert up[-1] >= up[-2]
    assert (np.diff(down) < 0).all()
    assert np.isfinite(up).all()


@given(st.floats(-1e6, 1e6))
def test_the_soft_bound_has_an_inverse(number):
    assert hard_unbound(soft_bound(np.array([number])))[0] == pytest.approx(number, rel=1e-6, abs=1e-9)


def test_auto_takes_the_log_for_heavy_tails_only():
    random = np.random.default_rng(0)
    assert numeric(np.exp(random.normal(0, 3, 500))).encoders[0].kind == "signed_log"
    assert numeric(random.normal(0, 1, 500)).encoders[0].kind == "robust"
    assert numeric(random.integers(0, 4, 500), column_type=ColumnType.INTEGER).encoders[0].kind == "robust"


def test_a_constant_column_is_zero_and_a_new_value_is_not():
    transform = numeric([7.0] * 50)
    assert encode(transform, [7.0])[0, 0] == 0
    assert abs(encode(transform, [700.0])[0, 0]) > 3


def test_a_column_without_any_value_is_encoded():
    transform = numeric([np.nan] * 50)
    assert encode(transform, [np.nan, 1.0])[:, 1].tolist() == [1, 0]


def test_missing_values_get_the_median_and_an_indicator_where_they_were_seen():
    transform = numeric([1.0, 2.0, 3.0, np.nan])
    matrix = encode(transform, [2.0, np.nan])
    assert matrix[:, 0].tolist() == [matrix[0, 0]] * 2
    assert matrix[:, 1].tolist() == [0, 1]
    assert numeric([1.0, 2.0, 3.0]).width == 1
    assert numeric([1.0, 2.0, 3.0], nullable=["x"]).width == 2


def test_numbers_as_text_are_read_and_other_text_is_missing():
    transform = numeric([1.0, 2.0, np.nan, 4.0])
    assert np.array_equal(encode(transform, ["2", "many"]), encode(transform, [2.0, np.nan]))


def test_categories_have_rare_and_unseen_buckets():
    values = ["a"] * 60 + ["b"] * 40 + ["once"]
    transform = numeric(values, column_type=ColumnType.CATEGORY)
    matrix = encode(transform, ["a", "b", "once", "never seen", None])
    assert np.argmax(matrix, axis=1).tolist() == [0, 1, 2, 3, 3]
    assert matrix.sum(axis=1).tolist() == [1] * 5


def test_many_valued_categories_are_hashed_into_a_bounded_number_of_buckets():
    transform = numeric([f"v{n}" for n in range(300)] * 3, column_type=ColumnType.CATEGORY)
    assert transform.encoders[0].name == "hash"
    assert transform.width == 32
    assert encode(transform, ["v1", "other"]).sum(axis=1).tolist() == [1, 1]


def test_the_hash_is_the_same_everywhere():
    from models.category_encoders import bucket

    assert [bucket(text, 32) for text in ("tcp", "udp", "é")] == [19, 20, 15]


def test_equal_counts_do_not_depend_on_the_order_of_rows():
    values = ["b", "a", "c"] * 30
    assert numeric(values, column_type=ColumnType.CATEGORY) == numeric(values[::-1], column_type=ColumnType.CATEGORY)


def test_whole_numbers_as_categories_match_whatever_their_type():
    transform = numeric([80, 443] * 20, FeatureKind.ONE_HOT, ColumnType.INTEGER)
    assert np.array_equal(encode(transform, [80, 443]), encode(transform, [80.0, 443.0]))


@pytest.mark.parametrize(("days", "width"), [(13, 2), (15, 4)])
def test_the_day_of_week_counts_where_the_sample_has_two_weeks(days, width):
    times = pd.date_range("2026-01-01", periods=24 * days, freq="h", tz="UTC")
    assert numeric(times, FeatureKind.CYCLIC, ColumnType.TIME).width == width


def test_times_count_by_the_local_clock():
    times = pd.date_range("2026-01-01", periods=48, freq="h", tz="UTC")
    transform = numeric(times, FeatureKind.CYCLIC, ColumnType.TIME, timezone="Asia/Tokyo")
    frame = pd.DataFrame({"x": times[:1]})
    assert transform.actual_text("x", frame).tolist() == ["Thu 09:00"]
    assert transform.expected_text("x", transform.apply(frame)).tolist() == ["09:00"]


def test_a_missing_or_impossible_time_is_encoded():
    times = pd.date_range("2026-01-01", periods=48, freq="h", tz="UTC")
    transform = numeric(times, FeatureKind.CYCLIC, ColumnType.TIME)
    assert encode(transform, [None, "yesterday"]).tolist() == [[0, 0], [0, 0]]


def test_expected_and_actual_values_are_words(transform):
    frame = made(seed=1).iloc[:50]
    matrix = transform.apply(frame)
    for column in transform.columns:
        actual, expected = transform.actual_text(column, frame), transform.expected_text(column, matrix)
        assert all(isinstance(text, str) and text for text in [*actual, *expected])
        if column in ("proto", "port", "is_open", "count"):
            assert actual.tolist() == expected.tolist()


def test_made_up_rows_can_be_scored(transform):
    assert np.isfinite(transform.apply(transform.examples(100))).all()


def test_an_unknown_encoder_or_field_is_refused(transform):
    for change in ({"encoder": "pickle"}, {"further": 1}):
        values = transform.to_json()
        values[0] |= change
        with pytest.raises(BundleError, match=r"transform\.json"):
            Transform.from_json(values)


def test_a_dataset_without_features_cannot_be_fitted():
    with pytest.raises(TrainingFailed, match="no feature"):
        fit_transform(made(), [])


def test_a_small_expected_count_keeps_its_fraction():
    encoder = NumericEncoder("n", "integer", "robust", 0.0, 1.0, 0.0, -5.0, 500.0, indicator=False)
    expected = encoder.expected(np.array([[0.314], [-0.0001], [3.0], [4.9]]))
    assert expected.tolist() == ["0.31", "0", "3", "4.9"]
    wide = NumericEncoder("n", "integer", "robust", 0.0, 100.0, 0.0, -5.0, 500.0, indicator=False)
    assert wide.expected(np.array([[1.234]])).tolist() == ["123"]


def test_what_says_nothing_of_a_column_is_its_mean_no_category_and_the_usual_truth(transform):
    neutral = transform.neutral
    assert neutral.shape == (transform.width,)
    assert neutral[transform.groups["is_open"].start] == pytest.approx(0.3, abs=0.1)
    assert not np.delete(neutral, transform.groups["is_open"].start).any()
    assert transform.apply(made())[:, transform.groups["count"]].mean() == pytest.approx(0.0, abs=0.05)
