"""Autoencoder families, by name; one file a family.

A family is a frozen config, a builder and `@register`; its file has the family's name. Importing a family imports no
Keras: builders import it themselves, in the training process.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, get_type_hints

from schemas.detector import DetectorSettings
from schemas.errors import ConfigError, listed
from schemas.yaml_source import nearest


@dataclass(frozen=True)
class Family:
    """A way to build an autoencoder.

    Args:
        name: Its registered name, and its module's.
        config: Frozen dataclass of what shapes the network; each field is a field of `DetectorSettings`.
        build: `(width, config)` to a Keras model from [rows, width] to [rows, width].
    """

    name: str
    config: type[Any]
    build: Callable[[int, Any], Any]

    def configure(self, settings: DetectorSettings) -> Any:
        """The family's config, taken from a dataset's detector settings by name."""
        return self.config(**{field.name: getattr(settings, field.name) for field in fields(self.config)})


_FAMILIES: dict[str, Family] = {}


def register(name: str) -> Callable[[Callable[[int, Any], Any]], Callable[[int, Any], Any]]:
    """Make a builder known under a name.

    Raises:
        TypeError: When the builder is not `(width: int, config: <frozen dataclass of detector settings>)`, or the name
            is taken.
    """

    def keep(build: Callable[[int, Any], Any]) -> Callable[[int, Any], Any]:
        if name in _FAMILIES and _FAMILIES[name].build is not build:
            raise TypeError(f"the family {name!r} is registered twice")
        _FAMILIES[name] = Family(name, _config_of(name, build), build)
        return build

    return keep


def _config_of(name: str, build: Callable[..., Any]) -> type[Any]:
    parameters = list(inspect.signature(build).parameters.values())
    hints = get_type_hints(build)
    plain = all(p.kind is p.POSITIONAL_OR_KEYWORD and p.default is p.empty for p in parameters)
    if [p.name for p in parameters] != ["width", "config"] or not plain or hints.get("width") is not int:
        raise TypeError(f"family {name!r}: the builder must be `(width: int, config: Config)`")
    config = hints.get("config")
    made = getattr(config, "__dataclass_params__", None)
    if not (isinstance(config, type) and is_dataclass(config) and made is not None and made.frozen):
        raise TypeError(f"family {name!r}: `config` must be annotated with a frozen dataclass")
    unknown = [field.name for field in fields(config) if field.name not in DetectorSettings.model_fields]
    if unknown:
        raise TypeError(f"family {name!r}: the detector settings have no {listed(unknown)}")
    return config


def names() -> tuple[str, ...]:
    """All registered families; their modules in this package are found by themselves."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    return tuple(sorted(_FAMILIES))


def family(name: str) -> Family:
    """The family of that name.

    Raises:
        ConfigError: When there is none.
    """
    known = names()
    if name not in known:
        raise ConfigError(
            f"there is no autoencoder family {name!r}{nearest(name, known)}", hint=f"known: {listed(known)}"
        )
    return _FAMILIES[name]
