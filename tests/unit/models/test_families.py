from __future__ import annotations

from dataclasses import dataclass

import pytest

from models import families
from models.families import Pace, most_epochs
from models.networks import Layered, Network
from schemas.detector import DetectorSettings
from schemas.errors import ConfigError


@dataclass(frozen=True)
class Good(Layered):
    depth: int = 2


@dataclass(frozen=True)
class NotLayered:
    code: int = 8


@pytest.mark.parametrize("name", families.names())
def test_a_family_takes_what_it_is_not_given_from_itself(name):
    chosen = families.family(name)
    assert chosen.config.__dataclass_params__.frozen
    assert chosen.configure(DetectorSettings()) == chosen.config()
    given = chosen.configure(DetectorSettings(code=3, loss="huber"))
    assert (given.code, given.loss) == (3, "huber")
    assert chosen.paper
    assert chosen.use


def test_an_unknown_family_names_the_nearest():
    with pytest.raises(ConfigError, match="did you mean `denoising`"):
        families.family("denoisin")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"corruptoin": "ones"}, "no option 'corruptoin' .did you mean `corruption`"),
        ({"corruption": "snow"}, "corruption is 'snow': Input should be 'gaussian', 'masking'"),
        ({"high": "much"}, "high is 'much': Input should be a valid number"),
        ({"noise": -1}, "noise is -1: Input should be greater than or equal to 0"),
        ({"hidden": [0]}, "hidden.0 is 0: Input should be greater than 0"),
        ({"loss": "mes"}, "no loss 'mes' .did you mean `mse`"),
    ],
)
def test_a_wrong_option_says_what_and_where(options, said):
    with pytest.raises(ConfigError, match=said):
        families.family("denoising").configure(DetectorSettings(options=options))


def _other_names(size: int, config: Good) -> Network: ...


def _no_hint(width, config): ...


def _extra(width: int, config: Good, depth: int) -> Network: ...


def _default(width: int, config: Good = Good()) -> Network: ...


def _not_layered(width: int, config: NotLayered) -> Network: ...


def _other_result(width: int, config: Good) -> int: ...


@pytest.mark.parametrize("build", [_other_names, _no_hint, _extra, _default, _not_layered, _other_result])
def test_a_wrong_builder_is_refused(build):
    with pytest.raises(TypeError, match="family 'odd'"):
        families.register("odd", paper="none", use="none")(build)
    assert "odd" not in families.names()


def test_a_name_is_registered_once():
    def build(width: int, config: Good) -> Network: ...

    with pytest.raises(TypeError, match="twice"):
        families.register("denoising", paper="none", use="none")(build)


def test_a_large_sample_has_fewer_epochs_but_some():
    pace = Pace(epochs=160, rows=5_000_000)
    assert [pace.epochs_of(rows) for rows in (0, 4_000, 50_000, 200_000, 9_000_000)] == [160, 160, 100, 25, 20]
    assert Pace(epochs=80).epochs_of(9_000_000) == 80


def test_the_epochs_that_a_person_gave_hold_for_any_sample():
    assert most_epochs(DetectorSettings(epochs=7), 9_000_000) == 7
    assert most_epochs(DetectorSettings(), 9_000_000) < most_epochs(DetectorSettings(), 1_000)
