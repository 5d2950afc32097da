from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from models import families
from schemas.detector import DetectorSettings
from schemas.errors import ConfigError


@dataclass(frozen=True)
class Good:
    code: int


@dataclass
class Loose:
    code: int


@dataclass(frozen=True)
class Unknown:
    depth: int


def test_every_family_takes_the_default_settings():
    for name in families.names():
        chosen = families.family(name)
        assert chosen.config.__dataclass_params__.frozen
        assert chosen.configure(DetectorSettings()).code == DetectorSettings().code


def test_an_unknown_family_names_the_nearest():
    with pytest.raises(ConfigError, match="dense_denoising"):
        families.family("dense_denoisin")


def _other_names(size: int, config: Good) -> Any: ...


def _no_hint(width, config): ...


def _extra(width: int, config: Good, depth: int) -> Any: ...


def _default(width: int, config: Good = Good(1)) -> Any: ...


def _loose(width: int, config: Loose) -> Any: ...


def _unknown(width: int, config: Unknown) -> Any: ...


@pytest.mark.parametrize("build", [_other_names, _no_hint, _extra, _default, _loose, _unknown])
def test_a_wrong_builder_is_refused(build):
    with pytest.raises(TypeError, match="family 'odd'"):
        families.register("odd")(build)
    assert "odd" not in families.names()


def test_a_name_is_registered_once():
    def build(width: int, config: Good) -> Any: ...

    with pytest.raises(TypeError, match="twice"):
        families.register("dense_denoising")(build)
