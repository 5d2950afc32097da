"""Times by their form, time zone and clock change."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import numpy as np
import pyarrow as pa
import pytest

from tasks.coerce_times import read_times

BERLIN = "Europe/Berlin"


def read(values, form=None, zone="UTC"):
    staged = values if isinstance(values, pa.Array) else pa.array(values, pa.string())
    moments, failed = read_times(staged, form, zone, ("", "NA"))
    assert moments.type == pa.timestamp("us", tz="UTC")
    texts = [None if m is None else m.astimezone(UTC).replace(tzinfo=None).isoformat() for m in moments.to_pylist()]
    return texts, np.flatnonzero(failed).tolist()


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-09-20T00:00:11Z", "2026-09-20T00:00:11"),
        ("2026-09-20 00:00:11", "2026-09-20T00:00:11"),
        ("2026-09-20", "2026-09-20T00:00:00"),
        ("2026-09-20T10:30", "2026-09-20T10:30:00"),
        ("2026-09-20T10:30Z", "2026-09-20T10:30:00"),
        ("2026-09-20T00:00:11+02:00", "2026-09-19T22:00:11"),
        ("2026-09-20T00:00:11 +0200", "2026-09-19T22:00:11"),
        ("2026-09-20T00:00:11-05", "2026-09-20T05:00:11"),
        ("2026-09-20 00:00:11 UTC", "2026-09-20T00:00:11"),
        ("2026-09-20T00:00:11.5", "2026-09-20T00:00:11.500000"),
        ("2026-09-20T00:00:11,25Z", "2026-09-20T00:00:11.250000"),
        ("2026-09-20T00:00:11.999999999Z", "2026-09-20T00:00:11.999999"),
        ("20260920T000011Z", "2026-09-20T00:00:11"),
        ("20260920", "2026-09-20T00:00:00"),
        (" 2026-09-20 ", "2026-09-20T00:00:00"),
    ],
)
def test_iso_times(text, moment):
    assert read([text]) == ([moment], [])
    assert read([text, "2026-02-30", "soon", "NA"]) == ([moment, None, None, None], [1, 2])


@pytest.mark.parametrize(
    "text", ["2026-13-01", "2026-02-30T10:00:00Z", "2026-09-20T25:00:00", "20.09.2026", "12", "now"]
)
def test_what_is_no_time_fails(text):
    assert read([text]) == ([None], [0])


def test_times_without_a_zone_are_read_in_the_datasets_zone():
    assert read(["2026-01-10 12:00:00", "2026-07-10 12:00:00", "2026-07-10T12:00:00Z"], zone=BERLIN) == (
        ["2026-01-10T11:00:00", "2026-07-10T10:00:00", "2026-07-10T12:00:00"],
        [],
    )


def test_an_hour_that_the_clock_skipped_is_read_with_the_offset_before_the_change():
    assert read(["2026-03-29 01:59:59", "2026-03-29 02:30:00", "2026-03-29 03:00:00"], zone=BERLIN) == (
        ["2026-03-29T00:59:59", "2026-03-29T01:30:00", "2026-03-29T01:00:00"],
        [],
    )
    # Lord Howe moves its clock by half an hour.
    assert read(["2026-10-04 02:15:00"], zone="Australia/Lord_Howe") == (["2026-10-03T15:45:00"], [])


def test_an_hour_that_the_clock_showed_twice_is_the_first_of_the_two():
    assert read(["2026-10-25 01:30:00", "2026-10-25 02:30:00", "2026-10-25 03:00:00"], zone=BERLIN) == (
        ["2026-10-24T23:30:00", "2026-10-25T00:30:00", "2026-10-25T02:00:00"],
        [],
    )


@pytest.mark.parametrize("zone", [BERLIN, "America/New_York", "Australia/Lord_Howe", "Europe/Dublin", "Asia/Kathmandu"])
def test_local_times_are_read_as_pythons_own_rule_does(zone):
    from zoneinfo import ZoneInfo

    locals_ = [datetime(2026, 1, 1) + timedelta(minutes=97 * i) for i in range(5400)]  # noqa: DTZ001 (local on purpose)
    moments, failed = read([t.isoformat() for t in locals_], zone=zone)
    assert not failed
    expected = [t.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC).replace(tzinfo=None).isoformat() for t in locals_]
    assert moments == expected


@pytest.mark.parametrize(
    ("form", "text", "moment"),
    [
        ("%d/%m/%y %H", "06/01/26 13", "2026-01-06T13:00:00"),
        ("%Y.%m.%d.%H.%M.%S", "2026.02.12.10.32.39", "2026-02-12T10:32:39"),
        ("%d/%b/%Y:%H:%M:%S %z", "20/Sep/2026:10:00:00 +0200", "2026-09-20T08:00:00"),
        ("unix_s", "1789862411", "2026-09-20T00:00:11"),
        ("unix_s", "1789862411.25", "2026-09-20T00:00:11.250000"),
        ("unix_ms", "1789862411500", "2026-09-20T00:00:11.500000"),
        ("unix_us", "1789862411500001", "2026-09-20T00:00:11.500001"),
        ("unix_ns", "1789862411500001999", "2026-09-20T00:00:11.500001"),
        ("unix_s", "-1", "1969-12-31T23:59:59"),
    ],
)
def test_other_forms(form, text, moment):
    assert read([text, "x", ""], form) == ([moment, None, None], [1])
    assert read([text, ""], form) == ([moment, None], [])


def test_counts_may_be_native_numbers():
    assert read(pa.array([1789862411, None]), "unix_s") == (["2026-09-20T00:00:11", None], [])
    assert read(pa.array([1789862411.25]), "unix_s") == (["2026-09-20T00:00:11.250000"], [])


@pytest.mark.parametrize("text", ["1e30", "-1e30", "99999999999999999999", "9223372036854775807"])
def test_a_count_beyond_the_calendar_fails(text):
    assert read([text], "unix_s") == ([None], [0])


def test_native_times_keep_their_zone_or_take_the_datasets():
    aware = pa.array(
        [datetime(2026, 7, 1, 12, tzinfo=timezone(timedelta(hours=2)))], pa.timestamp("ms", tz="Asia/Tokyo")
    )
    naive = pa.array([datetime(2026, 7, 1, 12)], pa.timestamp("ns"))  # noqa: DTZ001 (local on purpose)
    assert read(aware, zone=BERLIN) == (["2026-07-01T10:00:00"], [])
    assert read(naive, zone=BERLIN) == (["2026-07-01T10:00:00"], [])
    assert read(pa.array([date(2026, 7, 1), None]), zone=BERLIN) == (["2026-06-30T22:00:00", None], [])
