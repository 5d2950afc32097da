"""The second stage: what it calls like a labelled false alarm, what it never does, and when it does nothing."""

from __future__ import annotations

import numpy as np
import pytest

from models.reducer import (
    ANOMALY,
    FALSE_ALARM,
    UNJUDGED,
    Abstained,
    Examples,
    Reducer,
    _below,
    fit,
)

WIDTH, LEAST = 8, 30


def cluster(rows, seed, **centers):
    """Rows around a center: the numbers that are named lie there, the others at 0."""
    found = np.random.default_rng(seed).normal(scale=0.6, size=(rows, WIDTH))
    for name, center in centers.items():
        found[:, int(name[1:])] += center
    return found.astype(np.float32)


def examples(*parts, nights=4):
    """Clusters of rows with what people said of them, dealt over nights."""
    rows = np.concatenate([part for part, _ in parts])
    words = np.concatenate([np.full(len(part), word, np.int8) for part, word in parts])
    return Examples(rows, rows, words, np.arange(len(rows)) % nights)


def usual(**more):
    """Two sorts of false alarms, one of anomalies, and whatever else."""
    parts = [
        (cluster(80, 1, n0=4), FALSE_ALARM),
        (cluster(60, 2, n1=4), FALSE_ALARM),
        (cluster(60, 3, n2=4), ANOMALY),
        *more.pop("parts", ()),
    ]
    return examples(*parts, **more)


@pytest.fixture(scope="module")
def reducer():
    found = fit(usual(), least=LEAST, seed=1)
    assert isinstance(found, Reducer)
    return found


def test_rows_like_labelled_false_alarms_are_called_so_and_anomalies_are_not(reducer):
    alarms, anomalies = cluster(200, 10, n0=4), cluster(200, 11, n2=4)
    assert reducer.find(alarms, alarms).alike.mean() > 0.75
    assert reducer.find(anomalies, anomalies).alike.mean() < 0.05
    assert reducer.skill.alike > 0.75
    assert reducer.skill.lost <= 0.08
    assert reducer.skill.auroc > 0.95


@pytest.mark.parametrize("far", [6.0, 30.0, 1e6])
@pytest.mark.parametrize("number", range(3, WIDTH))
def test_a_row_unlike_anything_labelled_is_never_called_so(reducer, far, number):
    new = cluster(100, 12, **{f"n{number}": far})
    assert not reducer.find(new, new).alike.any()


def test_what_nobody_judged_keeps_rows_like_it_in_sight():
    near = {"n0": 4, "n5": 2.5}
    new = cluster(200, 13, **near)
    silent = fit(usual(), least=LEAST, seed=1).find(new, new).alike.mean()
    told = fit(usual(parts=[(cluster(40, 14, **near), UNJUDGED)]), least=LEAST, seed=1)
    assert told.find(new, new).alike.mean() < 0.1 < silent
    assert told.skill.unjudged <= 0.06


def test_the_nearest_labelled_false_alarm_is_named(reducer):
    known = usual()
    alarms = known.rows[known.words == FALSE_ALARM]
    np.testing.assert_array_equal(reducer.find(alarms[:9], alarms[:9]).nearest, np.arange(9))


def test_a_row_alone_gets_what_it_gets_among_others(reducer):
    rows = np.concatenate([cluster(700, 15, n0=4), cluster(700, 16, n4=3)])
    whole, alone = reducer.find(rows, rows), reducer.find(rows[900:901], rows[900:901])
    assert (whole.score[900], whole.alike[900]) == (alone.score[0], alone.alike[0])


@pytest.mark.parametrize(("alarms", "anomalies"), [(29, 60), (80, 29), (0, 60), (80, 0)])
def test_with_few_labels_there_is_no_reducer(alarms, anomalies):
    few = examples((cluster(alarms, 1, n0=4), FALSE_ALARM), (cluster(anomalies, 3, n2=4), ANOMALY))
    found = fit(few, least=LEAST, seed=1)
    assert isinstance(found, Abstained)
    assert f"{alarms:,} alerts are labelled false_alarm and {anomalies:,} anomaly" in found.reason


@pytest.mark.parametrize("nights", [1, 4])
@pytest.mark.parametrize("seed", range(4))
def test_with_shuffled_labels_there_is_no_reducer(seed, nights):
    known = usual(nights=nights)
    words = np.random.default_rng(seed).permutation(known.words)
    found = fit(Examples(known.rows, known.places, words, known.nights), least=LEAST, seed=1)
    assert isinstance(found, Abstained)
    assert "no better than chance" in found.reason


def test_where_alerts_that_nobody_judged_lie_among_all_false_alarms_nothing_is_called_so():
    among = [(cluster(80, 20, n0=4), UNJUDGED), (cluster(60, 21, n1=4), UNJUDGED)]
    found = fit(usual(parts=among), least=LEAST, seed=1)
    alarms = cluster(200, 10, n0=4)
    calls = 0.0 if isinstance(found, Abstained) else found.find(alarms, alarms).alike.mean()
    assert calls < 0.25


def test_many_labelled_nights_are_learnt_from_in_a_few_forests(monkeypatch):
    from models import reducer

    grown = []
    grow = reducer.grow
    monkeypatch.setattr(reducer, "grow", lambda *args, **more: grown.append(1) or grow(*args, **more))
    assert isinstance(fit(usual(nights=40), least=LEAST, seed=1), Reducer)
    assert len(grown) == reducer.FOLDS + 1


def test_one_labelled_night_is_enough_where_the_sorts_differ():
    assert isinstance(fit(usual(nights=1), least=LEAST, seed=1), Reducer)


def test_the_same_labels_give_the_same_reducer_and_others_another(reducer):
    assert fit(usual(), least=LEAST, seed=1).digest == reducer.digest
    assert fit(usual(), least=LEAST, seed=2).digest != reducer.digest
    assert fit(usual(nights=1), least=LEAST, seed=1).digest != reducer.digest


@pytest.mark.parametrize("equal", [1, 20, 50])
def test_among_equal_scores_no_more_lie_below_the_cut_than_may(equal):
    scores = np.sort(np.concatenate([np.full(equal, 0.3), np.linspace(0.4, 0.9, 50 - equal)]))
    for most in (0.0, 0.08, 0.5, 1.0):
        assert np.mean(scores <= _below(scores, most)) <= most * 51 / 50
