"""Which rows train a night's challenger: those of the nights before, and tonight's where nothing else is like them."""

from __future__ import annotations

from datetime import date
from types import SimpleNamespace

import pyarrow.parquet as pq
import pytest

from schemas.results import ExpectationOutcome
from tasks import stages, training
from tasks.preprocess import Prepared

YESTERDAY = SimpleNamespace(night=date(2026, 9, 19), counters={"rows": 600}, result={}, accepted_by=None, gone={})
LET_IN = SimpleNamespace(**{**vars(YESTERDAY), "accepted_by": {"who": "ana", "of": "x", "columns": ["sent"]}})


def outcome(**changes):
    whole = {"expect": "median", "column": "sent", "policy": "block", "success": False}
    return ExpectationOutcome(**{**whole, **changes}, rule="r", observed="1", expected="2")


@pytest.fixture
def asked(make_dataset, make_rows, monkeypatch, tmp_path):
    """What the training process is asked on a night with these outcomes, and what the night warns of."""

    def call(*outcomes, rows_before=600, window=(YESTERDAY,), kind="run"):
        pq.write_table(make_rows(300, start=10_000), tmp_path / "tonight.parquet")
        monkeypatch.setattr(training, "window_samples", lambda *_: [make_rows(rows_before)])
        night = SimpleNamespace(
            dataset=make_dataset(),
            services=SimpleNamespace(
                registry=SimpleNamespace(prepare=lambda: None), state=SimpleNamespace(labels=lambda *_, **__: [])
            ),
            request=SimpleNamespace(iso="2026-09-20"),
            run=SimpleNamespace(kind=kind),
            window=window,
            validated=SimpleNamespace(outcomes=outcomes),
            prepared=Prepared({}, tmp_path / "tonight.parquet", 300),
            work=tmp_path,
            seed=1,
            warnings=[],
            training_failure="",
            records=None,
        )
        requests = []
        trainer = SimpleNamespace(train=lambda request, _: requests.append(request))
        stages.train(night, trainer, print, lambda: None)
        assert night.training_failure == ""
        return requests[0], night.warnings

    return call


def test_the_nights_before_train_and_tonight_does_not(asked):
    request, warnings = asked(outcome(success=True))
    assert (request.nights, request.in_sample, warnings) == (("2026-09-19",), False, [])
    assert pq.read_metadata(request.sample).num_rows == 600


def test_nights_whose_samples_retention_took_away_do_not_train_and_are_told(asked):
    gone = SimpleNamespace(**{**vars(YESTERDAY), "night": date(2026, 9, 18), "gone": {"samples": "2026-11-02"}})
    request, warnings = asked(outcome(success=True), window=(gone, YESTERDAY))
    assert request.nights == ("2026-09-19",)
    (said,) = warnings
    assert said.startswith(
        "samples of 1 night of the window (2026-09-18 to 2026-09-18) are gone by retention on 2026-11-02"
    )


def test_a_night_of_unusually_many_alerts_does_not_teach_unless_a_person_asks_for_the_training(asked):
    scored = [{"threshold": 1.0, "alerts": alerts, "above_usual": 0.5} for alerts in (20, 18, 25, 90)]
    window = tuple(
        SimpleNamespace(**{**vars(YESTERDAY), "id": at, "night": date(2026, 9, 16 + at), "result": result})
        for at, result in enumerate(scored)
    )
    request, warnings = asked(outcome(success=True), window=window)
    assert request.nights == ("2026-09-16", "2026-09-17", "2026-09-18")
    assert "1 night does not teach" in warnings[0]
    assert "2026-09-19 (90 alerts)" in warnings[0]
    request, warnings = asked(outcome(success=True), window=window, kind="train")
    assert (len(request.nights), warnings) == (4, [])


def test_a_night_that_was_let_in_although_its_values_moved_far_trains_as_well(asked):
    request, warnings = asked(outcome())
    assert (request.nights, request.in_sample) == (("2026-09-19", "2026-09-20"), True)
    assert pq.read_metadata(request.sample).num_rows == 900
    assert "unlike those of the nights before" in warnings[0]


@pytest.mark.parametrize(("nights", "trains_itself"), [(2, True), (3, False)])
def test_three_nights_of_a_new_kind_show_what_is_usual_so_the_next_one_is_scored_by_them(asked, nights, trains_itself):
    assert asked(outcome(), window=(LET_IN,) * nights)[0].in_sample is trains_itself


def test_nights_let_in_for_another_column_show_nothing(asked):
    assert asked(outcome(column="ratio"), window=(LET_IN,) * 3)[0].in_sample


@pytest.mark.parametrize(("others", "trains_itself"), [(1, False), (2, True)])
def test_it_is_enough_when_the_nights_before_show_half_of_what_moved(asked, others, trains_itself):
    moved = [outcome(), *(outcome(column=name) for name in ("ratio", "rate")[:others])]
    assert asked(*moved, window=(LET_IN,) * 3)[0].in_sample is trains_itself


@pytest.mark.parametrize(
    "changes", [{"policy": "warn"}, {"expect": "freshness"}, {"expect": "volume", "column": None}], ids=str
)
def test_a_night_that_came_late_or_small_or_was_only_warned_of_does_not(asked, changes):
    assert not asked(outcome(**changes))[0].in_sample


def test_with_hardly_any_rows_before_tonight_trains_without_a_warning(asked):
    request, warnings = asked(rows_before=50)
    assert (request.in_sample, warnings) == (True, [])


# --- what a stopped night may rely on -------------------------------------------------------------------------------


def let_in(*, blocking=(), accept=False, given=None, asked_by=None, told=None):
    """Whether a night is let in, and what it noted and warned of; `given`: what a run before was accepted for."""
    noted, heard = [], [] if told is None else told
    before = [SimpleNamespace(accepted_by=given)]
    state = SimpleNamespace(
        recent=lambda *_, **__: before, note=lambda _id, accepted_by: noted.append(accepted_by), tell=heard.append
    )
    night = SimpleNamespace(
        dataset=SimpleNamespace(name="flows"),
        done=lambda _: SimpleNamespace(blocking=blocking),
        validated=SimpleNamespace(outcomes=()),
        acceptance=None,
        acceptance_key="these inputs",
        request=SimpleNamespace(date=None, iso="2026-09-20", options=SimpleNamespace(accept=accept, asked_by=asked_by)),
        run=SimpleNamespace(id="run-2"),
        services=SimpleNamespace(state=state),
        warnings=[],
    )
    return stages._let_in(night), noted, night.warnings


def test_a_night_that_nothing_blocks_is_let_in_without_a_word():
    assert let_in() == (True, [], [])


def test_a_blocked_night_that_was_stopped_after_a_person_took_it_is_still_taken():
    given = {"who": "ana", "of": "these inputs", "held_because": ["few rows"], "columns": []}
    assert let_in(blocking=("few rows",), given=given) == (True, [given], ["accepted by ana although: few rows"])


@pytest.mark.parametrize("given", [None, {"who": "ana", "of": "other inputs"}], ids=["never", "other-inputs"])
def test_a_blocked_night_that_nobody_took_is_not_let_in(given):
    assert let_in(blocking=("few rows",), given=given) == (False, [], [])


def test_a_blocked_night_is_let_in_by_who_takes_it_now():
    taken, (noted,), (warning,) = let_in(blocking=("few rows",), accept=True)
    assert (taken, noted["of"], noted["held_because"]) == (True, "these inputs", ["few rows"])
    assert warning.startswith("accepted by ")


def test_a_night_that_is_taken_over_the_network_is_taken_by_whose_token_it_was_and_told_of_once():
    told = []
    _, (noted,), _ = let_in(blocking=("few rows",), accept=True, asked_by="ci", told=told)
    assert noted["who"] == "ci"
    assert [(event.kind, event.actor, event.detail["held_because"]) for event in told] == [
        ("night_accepted", "ci", ["few rows"])
    ]
    again = []
    let_in(blocking=("few rows",), given=noted, told=again)
    assert again == []


@pytest.mark.parametrize(
    ("known", "changes", "holds"),
    [
        ("2", {}, True),
        ("1", {}, False),
        (None, {}, False),
        ("2", {"decision": None}, False),
        ("2", {"trained": None}, False),
    ],
    ids=["there", "another-version", "gone", "no-decision", "no-training"],
)
def test_a_decision_is_relied_on_while_the_registry_has_the_version_that_it_is_about(known, changes, holds):
    """The store of MLflow may be another one by the time that the night is asked for again."""
    registry = SimpleNamespace(find=lambda _name, _digest: known)
    whole = {"decision": object(), "trained": SimpleNamespace(bundle_hash="a" * 64), "challenger": "2", **changes}
    night = SimpleNamespace(dataset=SimpleNamespace(name="flows"), services=SimpleNamespace(registry=registry), **whole)
    assert stages._is_judged(night) is holds
