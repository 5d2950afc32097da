"""The simulated week: what is written, what is spoilt, and that finding the attacks needs more than single columns."""

import gzip
import json
import time
from datetime import date
from functools import cache

import numpy as np
import pandas as pd
import pytest

from tasks.simulate import CLEAN_NIGHTS, PLANTED_PER_NIGHT, SimulatedWeek, found, simulate_week, zscore_ranking

BUDGET = 20
NUMBERS = ["dst_port", "duration_s", "src_packets", "dst_packets", "src_bytes", "dst_bytes", "rtt_ms", "src_ttl"]
CATEGORIES = ["src_zone", "proto", "service", "state"]


@pytest.fixture(scope="module")
def week(tmp_path_factory) -> SimulatedWeek:
    return simulate_week(tmp_path_factory.mktemp("week") / "flows")


@cache
def delivered(path) -> pd.DataFrame:
    return pd.read_csv(path, dtype={"src_bytes": str}, keep_default_na=False, na_values={"rtt_ms": [""], "proto": [""]})


def bad_rows(path) -> pd.Series:
    frame = delivered(path)
    numbers = pd.to_numeric(frame["src_bytes"], errors="coerce")
    return numbers.isna() | (frame["dst_bytes"] < 0) | frame["proto"].isna() | frame["flow_id"].duplicated()


def accepted(path) -> pd.DataFrame:
    frame = delivered(path)[~bad_rows(path)]
    return frame.assign(src_bytes=pd.to_numeric(frame["src_bytes"]))


def nights_before(week, night) -> pd.DataFrame:
    return pd.concat(
        [accepted(path) for day, path in week.files.items() if day < night and day != week.blocked], ignore_index=True
    )


def planted_rows(week, *, inside: bool) -> pd.DataFrame:
    truth = pd.DataFrame([vars(row) for row in week.planted if row.inside_range is inside])
    nights = pd.concat([accepted(path) for path in week.files.values()])
    return truth.merge(nights, on="flow_id", validate="one_to_one")


def alerts_of(week, ranking) -> dict[date, list[str]]:
    alerts = {}
    for night in sorted({row.night for row in week.planted}):
        frame = accepted(week.files[night])
        best = np.argsort(-ranking(nights_before(week, night), frame), kind="stable")[:BUDGET]
        alerts[night] = frame["flow_id"].iloc[best].to_list()
    return alerts


def neighbour_distance(history: pd.DataFrame, night: pd.DataFrame) -> np.ndarray:
    """Score rows by the squared distance to their third nearest row of the past, which sees dependence."""
    both = pd.concat([history, night])
    numbers = np.log1p(both[[name for name in NUMBERS if name != "rtt_ms"]].to_numpy(dtype=float))
    past = numbers[: len(history)]
    columns = np.hstack(
        [(numbers - past.mean(0)) / past.std(0), pd.get_dummies(both[CATEGORIES]).to_numpy(dtype=float)]
    )
    old, new = columns[: len(history)], columns[len(history) :]
    squared = (new**2).sum(1)[:, None] + (old**2).sum(1) - 2 * new @ old.T
    return np.partition(squared, 3, axis=1)[:, 3]


def test_a_week_holds_one_file_a_night_under_its_date(week):
    assert [path.name for path in week.files.values()] == [f"flows-2026-03-{day:02d}.csv.gz" for day in range(2, 9)]
    rows = [len(delivered(path)) for night, path in week.files.items() if night != week.blocked]
    assert min(rows) > 2300
    assert max(rows) < 2700


def test_the_same_seed_gives_the_same_bytes_and_another_seed_does_not(tmp_path):
    week, again = (simulate_week(tmp_path / name / "flows", nights=5, rows_per_night=500) for name in "ab")
    other = simulate_week(tmp_path / "other" / "flows", nights=5, rows_per_night=500, seed=8)
    for night, path in week.files.items():
        assert again.files[night].read_bytes() == path.read_bytes()
        assert other.files[night].read_bytes() != path.read_bytes()
    assert again.planted == week.planted


def test_a_night_does_not_depend_on_how_many_nights_follow(week, tmp_path):
    shorter = simulate_week(tmp_path / "flows", nights=5)
    first = min(week.files)
    assert shorter.files[first].read_bytes() == week.files[first].read_bytes()


def test_a_week_is_made_in_a_moment(tmp_path):
    started = time.process_time()
    simulate_week(tmp_path / "flows")
    assert time.process_time() - started < 4


@pytest.mark.parametrize("wrong", [{"nights": 4}, {"rows_per_night": 100}], ids=["too few nights", "too few rows"])
def test_a_week_too_small_to_hold_its_parts_is_refused(tmp_path, wrong):
    with pytest.raises(ValueError, match="at least 5 nights and 500 rows"):
        simulate_week(tmp_path / "flows", **wrong)


def test_the_truth_lies_beside_the_folder_and_not_in_it(week):
    folder = next(iter(week.files.values())).parent
    assert sorted(folder.iterdir()) == sorted(week.files.values())
    truth = json.loads((folder.parent / "planted.json").read_text(encoding="utf-8"))
    assert truth["blocked"] == week.blocked.isoformat()
    assert [row["flow_id"] for row in truth["planted"]] == [row.flow_id for row in week.planted]


def test_the_nights_that_init_looks_at_are_clean(week):
    early = sorted(week.files)[:CLEAN_NIGHTS]
    assert not any(row.night in early for row in week.planted)
    assert [week.spoilt[night] for night in early] == [0] * CLEAN_NIGHTS
    assert not any(bad_rows(week.files[night]).any() for night in early)


def test_each_spoilt_row_is_counted_and_no_planted_row_is_spoilt(week):
    for night, path in week.files.items():
        assert bad_rows(path).sum() == week.spoilt[night]
    assert sum(count > 0 for count in week.spoilt.values()) == 3
    assert len(planted_rows(week, inside=True)) + len(planted_rows(week, inside=False)) == len(week.planted)


def test_spoilt_rows_break_rules_of_four_sorts(week):
    night = max(week.files)
    frame = delivered(week.files[night])
    assert (frame["src_bytes"] == "n/a").sum() == 5
    assert (frame["dst_bytes"] < 0).sum() == 3
    assert frame["proto"].isna().sum() == 3
    assert frame["flow_id"].duplicated().sum() == 3


def test_on_the_blocked_night_each_row_is_valid_but_the_night_is_not(week):
    frame = accepted(week.files[week.blocked])
    usual = nights_before(week, week.blocked)
    assert len(frame) == len(delivered(week.files[week.blocked])) < 300
    assert frame["src_bytes"].median() > 300 * usual["src_bytes"].median()
    assert week.blocked not in {row.night for row in week.planted}


def test_starts_increase_within_the_night_and_carry_their_zone(week):
    for night, path in week.files.items():
        starts = delivered(path)["start_time"]
        assert starts.is_monotonic_increasing
        assert starts.str.fullmatch(rf"{night}T\d\d:\d\d:\d\d\.\d{{3}}Z").all()


def test_volume_and_services_follow_the_hour_of_the_day(week):
    usual = nights_before(week, date(2026, 3, 5))
    hour = usual["start_time"].str[11:13].astype(int)
    assert ((hour >= 9) & (hour < 17)).sum() > 2 * (hour < 8).sum()
    assert hour[usual["service"] == "rsync"].median() < 5 < hour[usual["service"] == "https"].median()


def test_columns_that_a_detector_should_leave_out_are_there(week):
    usual = nights_before(week, date(2026, 3, 5))
    assert set(usual["collector"]) == {"edge-1"}
    assert usual["community_id"].is_unique
    assert usual["remark"].nunique() > 0.9 * len(usual)
    assert 200 < usual["dst_host"].nunique() < 1000


def test_at_least_six_kinds_are_planted_and_half_of_them_lie_inside_their_ranges(week):
    kinds = {row.kind: row.inside_range for row in week.planted}
    assert len(kinds) == 8
    assert sum(kinds.values()) == 4
    nights = {row.night for row in week.planted}
    assert len(week.planted) == PLANTED_PER_NIGHT * len(nights) == 36


@pytest.mark.parametrize("seed", [7, 11])
def test_inside_means_each_number_within_the_middle_98_percent_and_each_category_seen_often(tmp_path, seed):
    week = simulate_week(tmp_path / "flows", seed=seed)
    usual = nights_before(week, sorted(week.files)[CLEAN_NIGHTS])
    inside = planted_rows(week, inside=True)
    low, high = usual[NUMBERS].quantile(0.01), usual[NUMBERS].quantile(0.99)
    assert ((inside[NUMBERS] >= low) & (inside[NUMBERS] <= high)).all(axis=None)
    for name in CATEGORIES:
        assert inside[name].map(usual[name].value_counts()).min() > 100


def test_outside_means_some_number_beyond_what_was_seen_before(week):
    usual = nights_before(week, sorted(week.files)[CLEAN_NIGHTS])
    outside = planted_rows(week, inside=False)
    assert (outside[NUMBERS] > usual[NUMBERS].max()).any(axis=1).all()


@pytest.mark.parametrize("rarity", [True, False], ids=["with categories", "numbers alone"])
def test_a_z_score_per_column_finds_what_is_outside_but_less_than_half_of_what_is_inside(week, rarity):
    alerts = alerts_of(week, lambda history, night: zscore_ranking(history, night, rarity=rarity))
    lines = found(week.planted, alerts)
    inside = [line for line in lines if line.inside_range]
    outside = [line for line in lines if not line.inside_range]
    assert sum(line.found for line in inside) < 0.5 * sum(line.planted for line in inside)
    assert sum(line.found for line in outside) >= 0.9 * sum(line.planted for line in outside)


def test_a_detector_that_sees_dependence_finds_four_fifths_of_all_within_the_budget(week):
    lines = found(week.planted, alerts_of(week, neighbour_distance))
    assert sum(line.found for line in lines) >= 0.8 * len(week.planted)


def test_archives_open_with_any_gzip_reader(week):
    text = gzip.decompress(next(iter(week.files.values())).read_bytes()).decode()
    assert text.startswith("flow_id,community_id,start_time,collector,src_zone,")
