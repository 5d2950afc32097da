"""From numbers back to raw values: what was encoded comes back, and made-up numbers become values."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.category_encoders import BooleanEncoder, HashEncoder, OneHotEncoder, bucket
from models.numeric_encoder import NumericEncoder
from models.time_encoder import CyclicEncoder
from models.transform import fit_transform
from schemas.features import ColumnType, Feature, FeatureKind

NUMERIC_KINDS = (FeatureKind.ROBUST, FeatureKind.SIGNED_LOG, FeatureKind.QUANTILE)
ZONES = ("UTC", "Asia/Tokyo", "Europe/Madrid", "America/St_Johns")
MOMENTS = st.datetimes(pd.Timestamp("1970-01-01"), pd.Timestamp("2199-12-31"))


def fitted(values, kind=FeatureKind.AUTO, column_type=ColumnType.NUMBER, **options):
    """The encoder of one column."""
    return fit_transform(pd.DataFrame({"x": values}), [Feature("x", column_type, kind)], **options).encoders[0]


def there_and_back(encoder, values, near=None):
    matrix = encoder.encode(pd.Series(values)).astype(np.float32).astype(np.float64)
    return encoder.decode(matrix, near)


def one_hot(kind="category", rare=("odd", "once"), levels=("tcp", "udp"), indicator=False):
    return OneHotEncoder("x", kind, levels, rare, indicator=indicator)


# --- numbers ---------------------------------------------------------------------------------------------------------


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=40), st.sampled_from(NUMERIC_KINDS[:2]))
def test_a_number_of_the_sample_comes_back(numbers, kind):
    encoder = fitted(numbers, kind)
    allowed = 1e-5 * (encoder.high - encoder.low) + 1e-6 * max(map(abs, numbers)) + 1e-9
    found = there_and_back(encoder, numbers)
    assert found.dtype == np.float64
    assert np.abs(found.to_numpy() - np.array(numbers)).max() <= allowed


def test_evenly_spread_numbers_come_back_through_ranks():
    numbers = np.linspace(-3.0, 7.0, 400)
    found = there_and_back(fitted(numbers, FeatureKind.QUANTILE), numbers)
    assert np.abs(found - numbers).max() < 0.01


@given(st.lists(st.integers(-(10**6), 10**6), min_size=2, max_size=40), st.sampled_from(NUMERIC_KINDS[:2]))
def test_a_whole_number_comes_back_as_one(numbers, kind):
    found = there_and_back(fitted(numbers, kind, ColumnType.INTEGER), numbers)
    assert found.dtype == np.int64
    assert np.abs(found - np.array(numbers)).max() <= 1e-6 * max(map(abs, numbers))


@given(
    st.lists(st.floats(-1e300, 1e300), min_size=1, max_size=20),
    st.sampled_from(NUMERIC_KINDS),
    st.sampled_from([ColumnType.NUMBER, ColumnType.INTEGER]),
    st.lists(st.floats(-1e30, 1e30), min_size=1, max_size=10),
)
def test_whatever_is_reconstructed_lies_within_the_sample(sample, kind, column_type, reconstructed):
    encoder = fitted(sample, kind, column_type)
    found = encoder.decode(np.array(reconstructed)[:, None])
    assert len(found) == len(reconstructed)
    if column_type is ColumnType.NUMBER:
        assert found.between(encoder.low, encoder.high).all()
    else:
        assert found.dtype == np.int64


def test_a_missing_number_is_filled_whatever_its_indicator_says():
    encoder = fitted([1.0, 2.0, 3.0, np.nan])
    assert there_and_back(encoder, [np.nan])[0] == pytest.approx(2.0)
    assert encoder.decode(np.array([[0.0, 1.0]])).notna().all()


def test_the_words_for_what_was_expected_are_those_of_the_decoded_number():
    encoder = NumericEncoder("x", "number", "robust", 10.0, 2.0, 10.0, 0.0, 15.0, indicator=False)
    reconstructed = np.array([[-9.0], [0.25], [9.0]])
    assert encoder.decode(reconstructed).tolist() == [0.0, 10.5, 15.0]
    assert encoder.expected(reconstructed).tolist() == ["0", "10.5", "15"]


# --- categories ------------------------------------------------------------------------------------------------------


def test_a_frequent_value_comes_back_and_what_has_no_value_becomes_the_likeliest_that_has():
    encoder = one_hot(indicator=True)
    assert there_and_back(encoder, ["tcp", "udp"]).tolist() == ["tcp", "udp"]
    reconstructed = np.array([[0.1, 0.2, 0.9, 0.0, 0.0], [0.2, 0.1, 0.0, 0.9, 0.0], [0.2, 0.1, 0.0, 0.0, 0.9]])
    assert encoder.decode(reconstructed).tolist() == ["udp", "tcp", "tcp"]


def test_a_rows_own_value_stays_where_its_number_was_expected():
    encoder = one_hot(indicator=True)
    rare = np.array([[0.4, 0.0, 0.6, 0.0, 0.0]] * 4)
    assert encoder.decode(rare, pd.Series(["once", "odd", "udp", None])).tolist() == ["once", "odd", "tcp", "tcp"]


def test_without_a_frequent_value_a_rare_one_stands_for_all():
    assert one_hot(levels=()).decode(np.array([[0.0, 1.0]])).tolist() == ["odd"]
    assert one_hot(levels=(), rare=()).decode(np.array([[0.0, 1.0]])).tolist() == [None]


@given(st.lists(st.sampled_from([22, 53, 80, 443, -1, 2**62]), min_size=6, max_size=50))
def test_whole_numbers_as_categories_come_back_as_whole_numbers(ports):
    encoder = fitted(ports * 2, FeatureKind.ONE_HOT, ColumnType.INTEGER)
    assert there_and_back(encoder, ports).tolist() == ports
    assert there_and_back(encoder, ports).dtype == "Int64"


def test_a_large_whole_number_of_a_row_keeps_each_digit():
    encoder = HashEncoder("x", "integer", 32, ("",) * 32, indicator=True)
    own = pd.Series([2**60 + 1, None], dtype="Int64")
    found = there_and_back(encoder, own, own)
    assert found[0] == 2**60 + 1
    assert found[1] is pd.NA


def test_the_largest_whole_numbers_do_not_overflow():
    encoder = fitted([2**63 - 1] * 50 + [0] * 50, FeatureKind.ONE_HOT, ColumnType.INTEGER)
    assert set(there_and_back(encoder, [2**63 - 1, 0])) == {2**63 - 1, 0}


def test_a_bucket_gives_its_most_frequent_value_and_a_rows_own_where_it_is_of_that_bucket():
    values = [f"v{n}" for n in range(300)] * 3 + ["v7"] * 20
    encoder = fitted(values, column_type=ColumnType.TEXT)
    assert encoder.name == "hash"
    own = pd.Series(["v1", "v7", "never seen"])
    assert there_and_back(encoder, own, own).tolist() == own.tolist()
    common = [encoder.common[bucket(text, 32)] for text in own]
    assert there_and_back(encoder, own).tolist() == common
    assert common[1] == "v7"


def test_buckets_without_a_value_are_passed_over():
    encoder = HashEncoder("x", "text", 3, ("", "b", "c"), indicator=False)
    assert encoder.decode(np.array([[0.9, 0.1, 0.3]])).tolist() == ["c"]
    assert HashEncoder("x", "text", 2, ("", ""), indicator=False).decode(np.array([[0.9, 0.1]])).tolist() == [None]


@given(st.lists(st.booleans(), min_size=1), st.booleans())
def test_truth_comes_back_as_bool(truth, indicator):
    found = there_and_back(BooleanEncoder("x", 0.25, indicator), truth)
    assert found.dtype == bool
    assert found.tolist() == truth


# --- times -----------------------------------------------------------------------------------------------------------


@given(st.lists(MOMENTS, min_size=1, max_size=10), st.sampled_from(ZONES), st.booleans(), st.booleans())
def test_a_moment_near_itself_comes_back_with_its_fraction(moments, zone, weekly, indicator):
    encoder = CyclicEncoder("x", zone, weekly, indicator)
    own = pd.Series(moments).dt.tz_localize("UTC")
    assert there_and_back(encoder, own, own).tolist() == own.tolist()


@given(MOMENTS, MOMENTS, st.booleans())
def test_the_moment_lies_near_the_rows_own_and_the_clock_shows_what_was_expected(wanted, own, weekly):
    encoder = CyclicEncoder("x", "UTC", weekly, indicator=False)
    wanted, own = (pd.Series([moment]).dt.tz_localize("UTC").dt.floor("s") for moment in (wanted, own))
    found = there_and_back(encoder, wanted, own)
    assert (found - own).abs()[0] <= pd.Timedelta(days=3.5 if weekly else 0.5)
    assert found.dt.time[0] == wanted.dt.time[0]
    assert not weekly or found.dt.day_of_week[0] == wanted.dt.day_of_week[0]


def test_just_past_midnight_is_near_just_before_it():
    encoder = CyclicEncoder("x", "Europe/Madrid", weekly=False, indicator=False)
    wanted = pd.Series(pd.to_datetime(["2026-01-01T00:01:00+01:00"], utc=True))
    own = pd.Series(pd.to_datetime(["2026-03-02T23:59:00+01:00", None], utc=True))
    found = encoder.decode(np.repeat(encoder.encode(wanted), 2, axis=0), own).dt.tz_convert("Europe/Madrid")
    assert found[0].isoformat() == "2026-03-03T00:01:00+01:00"
    assert found[1].isoformat() == "2024-01-01T00:01:00+01:00"


@pytest.mark.parametrize(
    ("own", "shown"),
    [
        ("2026-03-29T12:00:00+02:00", "2026-03-29T01:00:00+01:00"),
        ("2026-10-25T12:00:00+01:00", "2026-10-25T01:00:00+02:00"),
    ],
    ids=["an hour is left out", "an hour comes twice"],
)
def test_a_clock_that_is_changed_in_between_shows_what_was_expected(own, shown):
    encoder = CyclicEncoder("x", "Europe/Madrid", weekly=False, indicator=False)
    one = encoder.encode(pd.Series(pd.to_datetime(["2026-01-01T01:00:00+01:00"], utc=True)))
    found = encoder.decode(one, pd.Series(pd.to_datetime([own], utc=True)))
    assert found.dt.tz_convert("Europe/Madrid")[0].isoformat() == shown


# --- the whole transform ---------------------------------------------------------------------------------------------

FEATURES = (
    Feature("size", ColumnType.NUMBER),
    Feature("count", ColumnType.INTEGER),
    Feature("proto", ColumnType.CATEGORY),
    Feature("host", ColumnType.TEXT, FeatureKind.HASH),
    Feature("is_open", ColumnType.BOOLEAN),
    Feature("seen", ColumnType.TIME, FeatureKind.CYCLIC),
)


def made(rows=400):
    random = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "size": random.normal(50, 9, rows),
            "count": random.poisson(40, rows),
            "proto": random.choice(["tcp", "udp"], rows),
            "host": [f"h{n}" for n in random.integers(0, 200, rows)],
            "is_open": random.random(rows) < 0.3,
            "seen": pd.Timestamp("2026-01-01", tz="UTC") + pd.to_timedelta(random.integers(0, 86400, rows), "s"),
        }
    )


def test_rows_come_back_whatever_their_index():
    frame = made()
    transform = fit_transform(frame, FEATURES)
    rows = frame.iloc[300:100:-1]
    found = transform.decode(transform.apply(rows), rows)
    assert found["size"].to_numpy() == pytest.approx(rows["size"].to_numpy(), rel=1e-5)
    for column in ("count", "proto", "host", "is_open", "seen"):
        assert found[column].tolist() == rows[column].tolist()


def test_no_rows_give_an_empty_frame_and_made_up_numbers_give_values():
    transform = fit_transform(made(), FEATURES)
    assert transform.decode(np.empty((0, transform.width))).shape == (0, len(FEATURES))
    found = transform.decode(np.random.default_rng(0).normal(size=(100, transform.width)).astype(np.float32))
    assert list(found.columns) == [feature.column for feature in FEATURES]
    assert not found.isna().any(axis=None)
    assert np.isfinite(transform.apply(found)).all()
