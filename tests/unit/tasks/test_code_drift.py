"""Drift as the detector sees it: each verdict comes where it should, says why with numbers, and what to type."""

from __future__ import annotations

import re
import shlex
from dataclasses import replace
from datetime import date, timedelta
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

from models.bundle import open_bundle
from schemas.results import Drift
from tasks.code_drift import ScoreSeries, detector_drift, onset_of
from tasks.column_drift import drift_of, watched_columns

FIRST = date(2026, 9, 1)


def day(at):
    return FIRST + timedelta(days=at)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory, make_detector, make_rows):
    made = make_detector(tmp_path_factory.mktemp("drift") / "bundle", make_rows(3_000))
    return open_bundle(made.folder, made.hash)


@pytest.fixture(scope="module")
def nights(make_rows):
    return [make_rows(500, seed=100 + at, start=10_000 * (at + 1)) for at in range(12)]


@pytest.fixture
def judge(bundle, make_dataset):
    def run(before, tonight, *, by=bundle, name="flows"):
        window = {day(at): rows for at, rows in enumerate(before)}
        columns = drift_of(watched_columns(make_dataset()), tonight, list(before))
        return detector_drift(by, "7", window, (day(len(before)), tonight), columns, name)

    return run


def changed(rows, column, change):
    values = change(rows.column(column).to_numpy(zero_copy_only=False).astype(float))
    place = rows.column_names.index(column)
    return rows.set_column(
        place, column, pa.array(values, from_pandas=True).cast(rows.schema.field(column).type, safe=False)
    )


def permuted(rows, columns, seed=0):
    """The columns keep their values and go together among themselves, and no longer with the others."""
    order = pa.array(np.random.default_rng(seed).permutation(len(rows)))
    for column in columns:
        rows = rows.set_column(rows.column_names.index(column), column, rows.column(column).take(order))
    return rows


def larger(rows, times=6):
    return changed(rows, "sent", lambda values: values * times)


def test_nights_like_those_before_are_steady(judge, nights):
    for tonight in range(3, len(nights)):
        found = judge(nights[:tonight], nights[tonight])
        assert (found.verdict, found.nights, found.version) == ("steady", tonight, "7")
        assert (found.onset, found.since, found.is_far) == ("", None, False)
        assert "usually" in found.message
        assert found.advice.startswith("Nothing to do")


def test_broken_relations_are_found_though_no_column_moved_and_the_columns_are_named(judge, nights):
    found = judge(nights[:-1], permuted(nights[-1], ["ratio"]))
    assert found.verdict == "relations moved"
    assert found.columns[0].column == "ratio"
    assert found.columns[0].times > 3
    assert "No column moved by itself" in found.message
    assert f"ratio ({found.columns[0].times:.2g} times)" in found.message
    assert (found.onset, found.since) == ("sudden", day(11).isoformat())
    assert found.is_far
    assert found.command == "sereno scores flows --date 2026-09-12 --to scores.csv"
    assert "sereno train flows --to 2026-09-12" in found.advice


def test_columns_that_moved_where_the_detector_copes_need_nobody(judge, nights):
    # Another mix of the same rows: those of small flows only.
    def mixed(rows):
        return rows.filter(pa.array(rows["packets"].to_numpy() < 12))

    found = judge(nights[:-1], mixed(nights[-1]))
    assert found.verdict == "columns moved"
    assert "and the detector copes" in found.message
    assert not found.wants_a_person
    assert found.advice.startswith("Nothing to do for the detector")


def test_values_that_the_detector_does_not_know_are_told_from_those_it_copes_with(judge, nights):
    found = judge(nights[:-1], larger(nights[-1]))
    assert found.verdict == "beyond the detector"
    assert "1 column moved (sent)" in found.message
    assert "sent" in [column.column for column in found.columns]
    assert found.command == "sereno train flows --to 2026-09-12"


@pytest.mark.parametrize(("up", "verdict"), [(1, "beyond the detector"), (2, "stale"), (4, "stale")])
def test_a_detector_is_stale_once_scores_were_up_for_three_nights(judge, nights, up, verdict):
    found = judge([*nights[: 11 - up], *map(larger, nights[11 - up : 11])], larger(nights[11]))
    assert found.verdict == verdict
    assert (found.onset, found.since) == ("sudden", day(11 - up).isoformat())
    if verdict == "stale":
        assert f"for {up + 1} nights" in found.message
        assert found.command == f"sereno train flows --from {day(11 - up)} --to 2026-09-12"
        assert "sereno models promote flows VERSION --force --reason WHY" in found.advice
        assert found.is_far


def test_what_creeps_up_is_gradual_and_dated_from_its_beginning(judge, nights):
    steps = [1.05, 1.1, 1.15, 1.2, 1.25]
    crept = [larger(rows, times) for rows, times in zip(nights[6:11], steps, strict=True)]
    found = judge([*nights[:6], *crept], larger(nights[11], 1.35))
    assert found.onset == "gradual"
    assert day(6).isoformat() <= found.since <= day(9).isoformat(), found.scores.nights
    assert "little by little" in found.message


def test_one_spoilt_night_before_is_over(judge, nights):
    assert judge([*nights[:8], larger(nights[8]), *nights[9:11]], nights[11]).verdict == "steady"


@pytest.mark.parametrize(("before", "said"), [(0, "are 0 nights"), (1, "is 1 night"), (2, "are 2 nights")])
def test_the_first_nights_are_not_known(judge, nights, before, said):
    found = judge(nights[:before], nights[before])
    assert (found.verdict, found.scores, found.codes) == ("not known", None, None)
    assert said in found.message
    assert found.command == "sereno status flows"


def test_without_an_encoder_the_codes_are_not_known_and_the_scores_still_tell(judge, nights, bundle):
    bare = replace(bundle, encoder=None)
    usual, bad = (judge(nights[:-1], rows, by=bare) for rows in (nights[-1], larger(nights[-1])))
    assert (usual.verdict, usual.codes) == ("not known", None)
    assert "no encoder" in usual.message
    assert "are as usual" in usual.message
    assert bad.verdict == "beyond the detector"
    assert "its codes are not known" in bad.message


def test_a_night_without_rows_is_not_known(judge, nights):
    assert judge(nights[:4], nights[4].slice(0, 0)).message == "Tonight has no rows to look at."
    empty = [nights[0].slice(0, 0)] * 3
    assert "are 2 nights" in judge([*empty, *nights[:2]], nights[4]).message


def test_rows_that_the_version_was_fitted_to_are_left_out_of_the_nights_that_it_learned_from(bundle, nights):
    trained = replace(bundle, detector={**bundle.detector, "nights": [day(at).isoformat() for at in range(11)]})
    window = {day(at): rows for at, rows in enumerate(nights[:11])}
    one, other = (detector_drift(b, "7", window, (day(11), nights[11]), Drift(), "flows") for b in (trained, bundle))
    assert one.verdict == other.verdict == "steady"
    assert one.scores.nights[1] != other.scores.nights[1]
    assert one.scores.nights[-1] == other.scores.nights[-1]


def test_the_order_of_rows_changes_nothing(judge, nights):
    order = pa.array(np.random.default_rng(0).permutation(500))
    turned = [rows.take(order) for rows in nights]
    assert judge(turned[:-1], turned[-1]) == judge(nights[:-1], nights[-1])


def test_a_name_in_a_command_is_quoted_and_every_verdict_has_numbers_and_a_command(judge, nights):
    cases = (
        (nights[:-1], nights[-1]),
        (nights[:-1], permuted(nights[-1], ["ratio"])),
        (nights[:-1], larger(nights[-1])),
        ([*nights[:8], *map(larger, nights[8:11])], larger(nights[11])),
    )
    for before, tonight in cases:
        found = judge(before, tonight, name="a b")
        assert shlex.split(found.command)[:1] == ["sereno"]
        assert "a b" in shlex.split(found.command)
        assert re.search(r"\d", found.message)
        assert found.advice


def test_quantiles_of_tonight_stand_beside_the_calibrations(judge, nights):
    found = judge(nights[:-1], larger(nights[-1]))
    assert [q.quantile for q in found.quantiles] == [0.25, 0.5, 0.75, 0.9]
    assert all(q.tonight > q.calibration for q in found.quantiles)


@pytest.mark.parametrize(
    ("rise", "at", "kind"),
    [
        ([0, 0, 0, 1], 3, "sudden"),
        ([0, 0.1, 0.9, 1], 2, "sudden"),
        ([0, 0.1, 0.3, 0.6, 1], 2, "gradual"),
        ([1, 1, 1], 0, "sudden"),
        ([0.9, 0, 0, 1], 3, "sudden"),
    ],
)
def test_an_onset_is_the_first_night_like_the_last(rise, at, kind):
    found = onset_of(rise)
    assert (found.at, found.kind) == (at, kind)


def test_a_detector_below_whose_median_hardly_a_row_lies_is_no_division_by_nought(bundle):
    class Seen:
        score = np.full(500, 50.0)

    looked = [SimpleNamespace(night=str(at), seen=Seen, trained=at < 8) for at in range(12)]
    series = ScoreSeries.of(looked, bundle.calibration)
    assert series.values[-1] == 1.0
    assert series.usual < series.limit < 1.0
    assert series.measure.verdict != "steady"
