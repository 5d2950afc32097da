from __future__ import annotations

from datetime import date
from types import SimpleNamespace

import pytest

from infra.runtime.labels import SaidRow
from infra.runtime.state import State
from schemas.errors import ConfigError
from tasks import done_before
from tasks.done_before import find_done
from tasks.night import (
    NightRequest,
    check_family,
    fingerprint,
    training_fingerprint,
    warm_start_of,
)

LEDGER = [SimpleNamespace(version=version, bundle_hash=f"hash {version}") for version in ("1", "2", "3")]


def run(night, champion):
    return SimpleNamespace(
        night=date(2026, 9, night), fingerprint=f"print {night}", result={"model": {"champion": champion}}
    )


@pytest.fixture
def services():
    """A ledger of three versions."""
    state = SimpleNamespace(ledger=lambda _name: LEDGER, labels=lambda *_args, **_asked: [])
    return SimpleNamespace(state=state, settings=SimpleNamespace(seed=1))


@pytest.mark.parametrize(
    ("window", "found"),
    [
        pytest.param([run(1, "1"), run(2, "2")], "2", id="of the newest night"),
        pytest.param([run(1, "1"), run(2, None)], "1", id="of the night before one without a champion"),
        pytest.param([run(1, None)], None, id="none yet"),
        pytest.param([], None, id="no night before"),
        pytest.param([run(1, "9")], None, id="not in the ledger any more"),
    ],
)
def test_a_training_starts_from_the_champion_that_the_nights_before_left(make_dataset, services, window, found):
    dataset = make_dataset(detector={"warm_start": True})
    start = warm_start_of(dataset, services, window)
    assert (start and start.version) == found
    assert warm_start_of(make_dataset(), services, window) is None


def test_what_a_training_starts_from_decides_whether_it_is_done_already(make_dataset, services):
    window = [run(1, "1"), run(2, "2")]
    other = [run(1, "1"), run(2, "3")]

    def prints(**detector):
        request = NightRequest(make_dataset(detector=detector), date(2026, 9, 3))
        return [training_fingerprint(request, services, nights) for nights in (window, window, other)]

    warm, again, another = prints(warm_start=True)
    assert warm == again != another
    assert len(set(prints())) == 1


@pytest.mark.parametrize(
    ("detector", "said"),
    [
        ({"family": "denoisin"}, "did you mean `denoising`"),
        ({"loss": "hubr"}, "did you mean `huber`"),
        ({"family": "denoising", "options": {"corruption": "snow"}}, "corruption is 'snow'"),
    ],
)
def test_a_family_loss_or_option_that_does_not_exist_is_refused_before_anything_slow(make_dataset, detector, said):
    with pytest.raises(ConfigError, match=said):
        check_family(make_dataset(detector=detector))
    check_family(make_dataset())


FIRST, SECOND, THIRD = date(2026, 9, 20), date(2026, 9, 21), date(2026, 9, 22)


@pytest.fixture
def done_nights(tmp_path, make_dataset, monkeypatch):
    """Two nights done with nothing labelled; whether each still is, and what somebody says of the first one's rows."""
    monkeypatch.setattr(done_before, "input_hashes", lambda *_: {"in.csv": "hash"})
    with State(f"sqlite:///{tmp_path / 'state.db'}") as state:
        services = SimpleNamespace(state=state, settings=SimpleNamespace(seed=1))

        def request(night, **changes):
            return NightRequest(make_dataset(**changes), night)

        def do(night):
            run = state.start_run("flows", night, "run", fingerprint(request(night), services, {"in.csv": "hash"}))
            state.finish_run(run.id, "done", versions={"accepted": 1})

        def say(word, key="k", night=FIRST):
            state.label("flows", night, [SaidRow(key, "a.csv", 2, word)], "ana")

        def is_done(night, **changes):
            return find_done(services, request(night, **changes)) is not None

        do(FIRST)
        do(SECOND)
        yield SimpleNamespace(do=do, say=say, is_done=is_done)


def test_after_new_labels_the_newest_night_is_due_again_and_older_ones_stay_done(done_nights):
    nights = done_nights
    assert nights.is_done(FIRST)
    assert nights.is_done(SECOND)
    nights.say("anomaly")
    assert nights.is_done(FIRST)
    assert not nights.is_done(SECOND)
    nights.do(SECOND)
    assert nights.is_done(SECOND)
    nights.do(THIRD)
    nights.say("false_alarm")
    assert not nights.is_done(THIRD)
    assert nights.is_done(SECOND)
    nights.do(SECOND)
    assert nights.is_done(SECOND)


def test_labels_of_a_night_do_not_make_it_due_itself(done_nights):
    done_nights.say("anomaly", night=SECOND)
    assert done_nights.is_done(SECOND)


def test_what_the_dataset_file_says_of_labels_decides_nothing_where_there_are_none(done_nights):
    hiding = {"reducer": {"policy": "hide"}}
    assert done_nights.is_done(SECOND, **hiding)
    done_nights.say("anomaly")
    done_nights.do(SECOND)
    assert done_nights.is_done(SECOND)
    assert not done_nights.is_done(SECOND, **hiding)


def test_an_old_night_with_another_dataset_file_is_due_whatever_was_said(done_nights):
    done_nights.say("anomaly")
    assert not done_nights.is_done(FIRST, detector={"alert_budget": 3})


def test_which_nights_teach_decides_whether_a_training_night_is_done_already(make_dataset):
    def prints(alerts, **detector):
        window = [
            SimpleNamespace(
                id=str(at),
                night=date(2026, 9, at),
                fingerprint="same",
                counters={"rows": 900},
                accepted_by=None,
                result={"threshold": 1.0, "alerts": count, "above_usual": 0.5},
            )
            for at, count in enumerate(alerts, 1)
        ]
        state = SimpleNamespace(
            ledger=lambda _name: LEDGER,
            labels=lambda *_args, **_asked: [],
            history=lambda *_args, **_asked: window[::-1],
        )
        services = SimpleNamespace(state=state, settings=SimpleNamespace(seed=1))
        request = NightRequest(make_dataset(detector=detector), date(2026, 9, 9))
        return fingerprint(request, services, {"in.csv": "hash"})

    quiet, busy = [20, 19, 21, 20, 22], [20, 19, 21, 20, 90]
    assert prints(quiet) == prints([20, 19, 21, 20, 23])
    assert prints(quiet) != prints(busy)
    assert prints(quiet, unusual_nights="teach") == prints(busy, unusual_nights="teach")
