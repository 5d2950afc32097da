"""Labels of earlier nights on tonight's alerts: listed last or suppressed, told, and never lost."""

from __future__ import annotations

from collections import Counter
from datetime import date, timedelta
from types import SimpleNamespace

import numpy as np
import pytest

from schemas.tables import scores_schema
from tasks.labels import Said, label_rows
from tasks.reduce import extreme_score

FIRST_NIGHT, FIRST_DAYS = date(2026, 9, 20), (0, 1, 2)
WORD = {"backup": "false_alarm", "attack": "anomaly"}


def say(nights, words=WORD, days=FIRST_DAYS):
    """A person labels the alerts of the first nights, each by what it is; of others nothing is said."""
    said = [
        Said(FIRST_NIGHT + timedelta(days=day), key, words[kind], f"a {kind}")
        for day in days
        for key, kind in nights.alerts(day).items()
        if kind in words
    ]
    return label_rows(nights.services, nights.dataset, said, "ana")


@pytest.fixture
def labelled(labelled_nights):
    """Do three nights, label their alerts, then do the next one."""

    def do(words=WORD, **reducer):
        nights = labelled_nights(**reducer)
        for day in FIRST_DAYS:
            nights.do(day)
        say(nights, words)
        return nights, nights.do(3)

    return do


def kinds_of(nights, alerts):
    kinds = nights.alerts(3)
    return Counter(kinds[alert.key] for alert in alerts)


def test_nights_what_decides_are_as_they_were(labelled_nights):
    nights = labelled_nights(policy="hide")
    scored = nights.do(0)
    assert (scored.reduction, scored.suppressed) == (None, ())
    assert Counter(nights.alerts(0).values())["backup"] == Counter(nights.alerts(0).values())["attack"] == 15


def test_what_is_like_labelled_false_alarms_is_suppressed_and_told(labelled):
    nights, scored = labelled(policy="hide", keep_p_value=0)
    reduction = scored.reduction
    assert (reduction.policy, reduction.reason) == ("hide", "")
    assert (reduction.false_alarms, reduction.anomalies) == (45, 45)
    hidden = kinds_of(nights, scored.suppressed)
    assert hidden["backup"] >= 11
    assert hidden["attack"] == 0
    assert reduction.suppressed == reduction.alike == hidden.total() == len(scored.suppressed)
    assert kinds_of(nights, scored.top)["attack"] == 15
    assert len(scored.top) + len(scored.suppressed) == scored.alerts
    assert [alert.rank for alert in scored.suppressed] == list(range(1, len(scored.suppressed) + 1))
    like = scored.suppressed[0].said
    assert (like.note, like.night in {"2026-09-20", "2026-09-21", "2026-09-22"}) == ("a backup", True)


def test_suppressed_rows_stay_in_the_scores(labelled):
    nights, scored = labelled(policy="hide", keep_p_value=0)
    pins = nights.services.state.pins("flows", "scores")
    newest = max(pins)
    table = nights.services.lake.read(
        "flows", "scores", {newest: pins[newest]}, schema=scores_schema(nights.dataset)
    ).to_pandas()
    assert int(table["is_alert"].sum()) == scored.alerts
    assert set(table[table["suppressed"].eq(other=True)]["sereno_key"]) == {a.key for a in scored.suppressed}
    assert table[~table["is_alert"]][["suppressed", "reducer_score"]].isna().all(axis=None)
    assert table[table["is_alert"]]["reducer_score"].between(0, 1).all()


def test_by_default_they_are_listed_last_and_marked_and_none_is_suppressed(labelled):
    nights, scored = labelled(keep_p_value=0)
    marked = [alert.said is not None for alert in scored.top]
    assert sum(marked) == scored.reduction.alike >= 11
    assert marked == sorted(marked)
    assert [alert.rank for alert in scored.top] == list(range(1, len(scored.top) + 1))
    assert (scored.suppressed, scored.reduction.suppressed, scored.reduction.policy) == ((), 0, "rank")
    unmarked = [alert.score for alert in scored.top if alert.said is None]
    assert unmarked == sorted(unmarked, reverse=True)
    assert len(scored.top) == scored.alerts == len(nights.alerts(3))


def test_an_extreme_score_is_always_shown_unless_the_dataset_file_says_so(labelled):
    _, scored = labelled(policy="hide", keep_p_value=0.5)
    assert (scored.suppressed, scored.reduction.suppressed) == ((), 0)
    assert scored.reduction.extreme >= 11
    assert all(alert.said is None for alert in scored.top)


def test_off_means_that_labels_change_no_alert(labelled):
    _, scored = labelled(policy="off")
    assert scored.reduction is None


@pytest.mark.parametrize("words", [{"backup": "false_alarm"}, {"attack": "anomaly"}], ids=["alarms", "anomalies"])
def test_labels_of_one_sort_only_change_nothing_and_it_is_told_why(labelled, words):
    nights, scored = labelled(words, policy="hide")
    assert "of each sort 20 are needed" in scored.reduction.reason
    assert (scored.suppressed, scored.reduction.alike) == ((), 0)
    assert len(scored.top) == len(nights.alerts(3))


def test_expected_rows_teach_nothing(labelled):
    _, scored = labelled({"backup": "expected", "attack": "anomaly"}, policy="hide")
    assert scored.reduction.false_alarms == 0
    assert scored.reduction.reason


def test_alerts_that_nobody_judged_stay_in_sight_unless_the_dataset_file_says_so(labelled, labelled_nights):
    nights, scored = labelled(policy="hide", keep_p_value=0)
    everyone = Counter(kind for day in FIRST_DAYS for kind in nights.alerts(day).values())
    assert scored.reduction.unjudged == everyone["usual"]
    nights.dataset = nights.dataset.model_copy(
        update={"reducer": nights.dataset.reducer.model_copy(update={"unjudged": "ignore"})}
    )
    assert nights.do(4).reduction.unjudged == 0


def test_the_night_done_again_gives_the_same(labelled):
    nights, scored = labelled(policy="hide", keep_p_value=0)
    again = nights.do(3)
    assert (again.top, again.suppressed, again.reduction) == (scored.top, scored.suppressed, scored.reduction)


def test_labels_of_tonight_and_later_nights_count_for_nothing_tonight(labelled):
    nights, scored = labelled(policy="hide", keep_p_value=0)
    say(nights, days=(3,))
    assert nights.do(3).reduction == scored.reduction
    assert nights.do(4).reduction.false_alarms == 60


def test_what_was_at_work_is_told_by_its_hash_and_kept_nowhere(labelled):
    nights, scored = labelled(policy="hide")
    assert len(scored.reduction.hash) == 64
    assert 0.0 <= scored.reduction.expected_alike <= 1.0
    assert not list(nights.services.project.state.rglob("*reducer*"))
    assert nights.do(3).reduction.hash == scored.reduction.hash


def test_a_suppressed_alert_is_none_that_somebody_looked_at(labelled):
    nights, scored = labelled(policy="hide", keep_p_value=0)
    hidden = {alert.key for alert in scored.suppressed}
    assert hidden
    shown = [key for key in nights.alerts(3) if key not in hidden]
    night = FIRST_NIGHT + timedelta(days=3)
    label_rows(nights.services, nights.dataset, [Said(night, shown[0], "anomaly")], "ana")
    said = nights.services.state.labels("flows", night, unsaid=True)
    assert {label.row.key for label in said} == set(shown)


def test_an_extreme_score_has_a_bound_where_a_budget_is_less_than_one_calibration_row(make_dataset):
    calibration = np.sort(np.random.default_rng(0).exponential(size=4_000))
    bundle = SimpleNamespace(detector={"alerts": {"share": 2e-5}})
    scorer = SimpleNamespace(calibration=calibration, threshold=calibration[-1] + 1.0, bundle=bundle)
    bound = extreme_score(make_dataset(), scorer)
    assert calibration[-1] + 1.0 < bound < float("inf")
