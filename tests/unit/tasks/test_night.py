from __future__ import annotations

from datetime import date
from types import SimpleNamespace

import pytest

from schemas.errors import ConfigError
from tasks.night import NightRequest, check_family, training_fingerprint, warm_start_of

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
        ({"options": {"corruption": "snow"}}, "corruption is 'snow'"),
    ],
)
def test_a_family_loss_or_option_that_does_not_exist_is_refused_before_anything_slow(make_dataset, detector, said):
    with pytest.raises(ConfigError, match=said):
        check_family(make_dataset(detector=detector))
    check_family(make_dataset())
