"""Drift of columns: planted moves are found and said, nights that only differ as nights do are steady."""

from __future__ import annotations

import time
from datetime import date

import numpy as np
import pyarrow as pa
import pytest

from schemas.features import ColumnType
from tasks.column_drift import bounded, by_night, drift_of, watched_columns
from tasks.column_measures import expected_index, stability_index

COLUMNS = {
    "size": ColumnType.NUMBER,
    "count": ColumnType.INTEGER,
    "flat": ColumnType.NUMBER,
    "kind": ColumnType.CATEGORY,
    "many": ColumnType.CATEGORY,
    "flag": ColumnType.BOOLEAN,
}
ROWS = 1_500


def a_night(seed, rows=ROWS):
    random = np.random.default_rng(seed)
    flat = np.where(random.random(rows) < 0.9, 0.0, random.normal(5, 1, rows))
    return {
        "size": np.exp(random.normal(6, 1, rows)),
        "count": random.poisson(2, rows),
        "flat": flat,
        "kind": random.choice(["tcp", "udp", "icmp"], rows, p=[0.7, 0.25, 0.05]),
        "many": np.char.add("h", np.minimum(random.zipf(1.3, rows), 10**6).astype(str)),
        "flag": random.random(rows) < 0.3,
    }


def table(values):
    return pa.table({name: pa.array(column, from_pandas=True) for name, column in values.items()})


@pytest.fixture(scope="module")
def window():
    return [table(a_night(seed)) for seed in range(14)]


def drifted(window, change, rows=ROWS):
    values = a_night(999, rows)
    change(values)
    found = drift_of(COLUMNS, table(values), window)
    return found, {column.column: column for column in found.columns}


def test_integers_beyond_what_a_float_holds_exactly_are_compared():
    nights = [table({"id": np.arange(50) + 2**60 + night}) for night in range(5)]
    assert drift_of({"id": ColumnType.INTEGER}, nights[-1], nights[:-1]).nights == 4


def test_where_no_column_is_watched_nothing_is_known(window):
    assert drift_of({}, window[0], window).verdict == "not known"


def test_equal_rows_are_bounded_too():
    same = {name: pa.array(["x"] * 50) for name in ("sereno_key", "sereno_file")}
    rows = pa.table({"sereno_hash": pa.array([7] * 50, pa.int64()), "sereno_line": pa.array(range(50)), **same})
    assert bounded(rows, 20)["sereno_line"].to_pylist() == list(range(20))


def test_exchangeable_nights_raise_no_alarm():
    nights = [table(a_night(seed)) for seed in range(20)]
    for tonight in range(3, 20):
        found = drift_of(COLUMNS, nights[tonight], nights[:tonight])
        assert (found.verdict, found.nights) == ("steady", tonight)
        assert all(column.message == "" for column in found.columns)


@pytest.mark.parametrize("rows", [20, 60, 200])
def test_small_nights_raise_no_alarm_either(rows):
    nights = [table(a_night(seed, rows)) for seed in range(40, 56)]
    verdicts = [drift_of(COLUMNS, nights[tonight], nights[:tonight]).verdict for tonight in range(3, 16)]
    assert verdicts.count("steady") >= len(verdicts) - 1
    assert "moved far" not in verdicts


def test_a_shift_is_found_and_said_with_both_medians(window):
    def shift(values):
        values["size"] = values["size"] * 4

    found, columns = drifted(window, shift)
    assert found.verdict == "moved far"
    assert [name for name, column in columns.items() if column.verdict != "steady"] == ["size"]
    assert found.columns[0].column == "size"
    assert columns["size"].message == "median 1,570, usually 387.1 to 431"
    assert "size: median" in found.message
    assert columns["size"].value > 3 * columns["size"].usual


@pytest.mark.parametrize(
    ("factor", "said"), [(0.4, "of the rows, usually"), (2.5, "of the values outside the range of the nights before")]
)
def test_a_scale_that_leaves_the_median_alone_is_said_by_the_bin_that_grew(window, factor, said):
    def scale(values):
        values["size"] = np.exp((np.log(values["size"]) - 6) * factor + 6)

    _, columns = drifted(window, scale)
    assert columns["size"].verdict == "moved far"
    assert said in columns["size"].message


def test_a_burst_of_missing_values_is_found_in_numbers_and_categories(window):
    def lose(values):
        values["size"][:300] = np.nan
        values["kind"] = values["kind"].astype(object)
        values["kind"][:300] = None

    _, columns = drifted(window, lose)
    for name in ("size", "kind"):
        assert columns[name].measure == "share of missing values"
        assert (columns[name].value, columns[name].usual) == (0.2, 0)
        assert columns[name].message == "missing in 20\N{NO-BREAK SPACE}% of the rows, usually 0\N{NO-BREAK SPACE}%"


def test_a_new_category_is_named(window):
    def add(values):
        values["kind"] = values["kind"].astype("<U8")
        values["kind"][:200] = "sctp"

    found, columns = drifted(window, add)
    assert columns["kind"].measure == "share of values never seen before"
    assert "most often 'sctp'" in columns["kind"].message
    assert columns["many"].verdict == "steady"  # it has new values every night
    assert "Look at the source" in found.message


def test_values_outside_the_range_so_far_are_counted(window):
    def beyond(values):
        values["flat"][:75] = 1e9

    _, columns = drifted(window, beyond)
    assert columns["flat"].measure == "share of values outside the range so far"
    assert columns["flat"].value == 0.05


def test_a_flag_that_turns_is_found(window):
    def turn(values):
        values["flag"] = ~values["flag"]

    _, columns = drifted(window, turn)
    assert columns["flag"].verdict == "moved far"
    assert "'no'" in columns["flag"].message or "'yes'" in columns["flag"].message


def test_a_column_that_differs_every_night_is_not_called_moved():
    def restless(seed):
        values = a_night(seed)
        values["size"] = values["size"] * np.exp(np.random.default_rng(seed + 77).normal(0, 1))
        return table(values)

    nights = [restless(seed) for seed in range(15)]
    found = {column.column: column for column in drift_of(COLUMNS, nights[-1], nights[:-1]).columns}
    assert found["size"].value > 0.1 or found["size"].usual > 0.1
    assert found["size"].verdict == "steady"


def test_one_spoilt_night_does_not_hide_the_next(window):
    spoilt = a_night(500)
    spoilt["size"] = spoilt["size"] * 50
    tonight = a_night(501)
    tonight["size"] = tonight["size"] * 50
    found = drift_of(COLUMNS, table(tonight), [*window, table(spoilt)])
    assert found.columns[0].column == "size"
    assert found.verdict == "moved far"


def test_a_move_that_went_on_for_nights_says_so(window):
    def later(seed):
        values = a_night(seed)
        values["size"] = values["size"] * 4
        return table(values)

    found = drift_of(COLUMNS, later(900), [*window, *window, *(later(seed) for seed in range(901, 904))])
    assert found.verdict != "steady"
    assert "The last nights moved the same way" in found.message


@pytest.mark.parametrize(("nights", "words"), [(0, "are 0 nights"), (1, "is 1 night before"), (2, "are 2 nights")])
def test_too_few_nights_give_no_verdict_and_say_so(window, nights, words):
    found = drift_of(COLUMNS, window[0], window[1 : 1 + nights])
    assert (found.verdict, found.columns, found.nights) == ("not known", (), nights)
    assert words in found.message


def test_columns_without_any_value_are_steady(window):
    empty = table({name: np.array([None] * 50, dtype=object) for name in COLUMNS})
    empty = pa.table({name: empty.column(name).cast(window[0].schema.field(name).type) for name in COLUMNS})
    assert drift_of(COLUMNS, empty, [empty] * 4).verdict == "steady"
    assert drift_of(COLUMNS, window[0], [empty] * 4).verdict != "steady"
    assert drift_of(COLUMNS, window[0].slice(0, 0), window).verdict == "not known"


def test_infinite_numbers_are_numbers(window):
    values = a_night(3)
    values["size"][0] = np.inf
    assert drift_of(COLUMNS, table(values), window).verdict == "steady"


def test_the_order_of_rows_changes_nothing(window):
    order = np.random.default_rng(0).permutation(ROWS)
    turned = [night.take(order) for night in window]
    assert drift_of(COLUMNS, turned[0], turned[1:]) == drift_of(COLUMNS, window[0], window[1:])


def test_the_index_of_two_samples_of_one_source_is_near_zero():
    random = np.random.default_rng(1)
    own, others = (random.multinomial(n, [0.1] * 10, size=400).astype(float) for n in (100, 3_000))
    assert float(np.mean(expected_index(own, others))) == pytest.approx(0.093, abs=0.001)
    assert float(np.median(stability_index(own, others))) < 0.02


def test_twenty_eight_nights_of_fifty_columns_take_about_a_second():
    random = np.random.default_rng(2)
    names = [f"c{at}" for at in range(50)]
    nights = [pa.table({name: random.lognormal(size=2_000) for name in names}) for _ in range(29)]
    start = time.process_time()
    drift_of(dict.fromkeys(names, ColumnType.NUMBER), nights[-1], nights[:-1])
    assert time.process_time() - start < 3.0


def test_keys_times_and_free_text_are_not_watched(make_dataset):
    dataset = make_dataset()
    assert list(watched_columns(dataset)) == ["sent", "got", "ratio", "packets", "proto", "quick", "host"]


def test_a_night_is_measured_by_the_same_rows_in_any_order(make_rows):
    rows = make_rows(3_000)
    turned = rows.take(np.random.default_rng(0).permutation(3_000))
    chosen = [sorted(bounded(table, 500).column("sereno_key").to_pylist()) for table in (rows, turned)]
    assert chosen[0] == chosen[1]
    assert len(chosen[0]) == 500


def test_rows_are_dealt_by_night():
    days = [date(2026, 9, day) for day in (2, 1, 2)]
    rows = pa.table({"night": pa.array(days, pa.date32()), "x": [1, 2, 3]})
    assert {day.day: part.column("x").to_pylist() for day, part in by_night(rows).items()} == {1: [2], 2: [1, 3]}


def test_of_a_night_that_is_held_it_does_not_speak_as_if_it_was_scored_or_trained_on(window):
    tonight = table(a_night(999) | {"size": np.full(ROWS, 7e9)})
    taken, held = (drift_of(COLUMNS, tonight, window, counts=counts).message for counts in (True, False))
    assert "the training takes it in" in taken
    assert "takes" not in held
    assert "Nothing was scored and no training sees these rows" in held
    assert taken.split(".")[0] == held.split(".")[0]
