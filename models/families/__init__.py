"""Autoencoder families, by name; one file a family.

A family is a frozen config, a builder and `@register`; its file has the family's name. An installed package adds one
through the entry point group `sereno.families`. Importing a family imports no Keras: builders import it themselves,
in the training process.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, get_type_hints

from pydantic import TypeAdapter, ValidationError

from models.losses import loss
from models.networks import Layered, Network
from models.plugins import load_plugins
from schemas.detector import DetectorSettings
from schemas.errors import ConfigError, listed
from schemas.yaml_source import nearest

GROUP = "sereno.families"

Builder = Callable[[int, Any], Network]


LEAST_EPOCHS = 20


@dataclass(frozen=True)
class Pace:
    """How a family is trained where nobody says otherwise.

    Args:
        learning_rate: First step size of Adam.
        epochs: Most epochs.
        least_steps: Steps of an epoch that a small sample is cut into.
        rows: Rows that pass through a training, each epoch counted, where that many leave it `LEAST_EPOCHS`: a large
            sample needs fewer epochs. No bound where none is given.
    """

    learning_rate: float = 2e-3
    epochs: int = 80
    least_steps: int = 40
    rows: int | None = None

    def epochs_of(self, rows: int) -> int:
        """Most epochs of a training on so many rows."""
        if self.rows is None:
            return self.epochs
        return min(self.epochs, max(LEAST_EPOCHS, self.rows // max(rows, 1)))


@dataclass(frozen=True)
class Family:
    """A way to build an autoencoder.

    Args:
        name: Its registered name, and its module's.
        config: Frozen dataclass of what shapes the network, a `Layered` with the family's own options and defaults.
        build: `(width, config)` to a `Network` from [rows, width] to [rows, width].
        paper: Where it comes from.
        use: What it is for, in a few words.
        prior: Whether its networks have one: codes drawn from it give plausible rows.
        pace: How it is trained where nobody says otherwise.
    """

    name: str
    config: type[Layered]
    build: Builder
    paper: str
    use: str
    prior: bool = False
    pace: Pace = Pace()

    @property
    def options(self) -> dict[str, Any]:
        """The family's own options and their defaults, without those that every family has."""
        shared = {field.name for field in fields(Layered)}
        return {f.name: f.default for f in fields(self.config) if f.name not in shared}

    def configure(self, settings: DetectorSettings) -> Layered:
        """The family's config, taken from a dataset's detector settings; what they leave open is the family's.

        Raises:
            ConfigError: When an option is not the family's, or not of its type.
        """
        named = {field.name for field in fields(self.config)} & set(DetectorSettings.model_fields)
        given = {name: getattr(settings, name) for name in named if getattr(settings, name) is not None}
        return self.with_options({**given, **settings.options})

    def with_options(self, given: Mapping[str, Any]) -> Layered:
        """The family's config with some of its options given.

        Raises:
            ConfigError: When an option is not the family's, or not of its type, or the loss is not known.
        """
        known = [field.name for field in fields(self.config)]
        for name in given:
            if name not in known:
                raise ConfigError(
                    f"the family {self.name} has no option {name!r}{nearest(name, known)}",
                    hint=f"its options: {listed(known)}",
                )
        try:
            config = TypeAdapter(self.config).validate_python(dict(given))
        except ValidationError as error:
            problems = [
                f"{'.'.join(map(str, each['loc']))} is {repr(each['input'])[:60]}: {each['msg']}"
                for each in error.errors(include_url=False)
            ]
            raise ConfigError(f"options of the family {self.name}: {listed(problems)}") from None
        loss(config.loss)
        return config


_FAMILIES: dict[str, Family] = {}


def register(
    name: str, *, paper: str, use: str, prior: bool = False, pace: Pace = Pace()
) -> Callable[[Builder], Builder]:
    """Make a builder known under a name.

    Args:
        name: Lower-case letters, digits and underscores.
        paper: Where the family comes from.
        use: What it is for, in a few words.
        prior: Whether its networks have a prior, as `Network.has_prior` says of each.
        pace: How it is trained where nobody says otherwise.

    Raises:
        TypeError: When the builder is not `(width: int, config: <frozen dataclass, a Layered>) -> Network`, or the
            name is taken.
    """

    def keep(build: Builder) -> Builder:
        if name in _FAMILIES and _FAMILIES[name].build is not build:
            raise TypeError(f"the family {name!r} is registered twice")
        _FAMILIES[name] = Family(name, _config_of(name, build), build, paper, use, prior, pace)
        return build

    return keep


def _config_of(name: str, build: Callable[..., Any]) -> type[Layered]:
    parameters = list(inspect.signature(build).parameters.values())
    hints = get_type_hints(build)
    plain = all(p.kind is p.POSITIONAL_OR_KEYWORD and p.default is p.empty for p in parameters)
    if [p.name for p in parameters] != ["width", "config"] or not plain or hints.get("width") is not int:
        raise TypeError(f"family {name!r}: the builder must be `(width: int, config: Config) -> Network`")
    if hints.get("return") is not Network:
        raise TypeError(f"family {name!r}: the builder must return a `models.networks.Network`")
    config = hints.get("config")
    made = getattr(config, "__dataclass_params__", None)
    if not (isinstance(config, type) and issubclass(config, Layered) and made is not None and made.frozen):
        raise TypeError(f"family {name!r}: `config` must be annotated with a frozen dataclass, a `Layered`")
    return config


def names() -> tuple[str, ...]:
    """All registered families; modules of this package and of installed packages are found by themselves."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    load_plugins(GROUP)
    return tuple(sorted(_FAMILIES))


def most_epochs(settings: DetectorSettings, rows: int) -> int:
    """Epochs that a training may use: the settings', or the family's where they say none; of candidates the most.

    Args:
        settings: The detector's part of a dataset file.
        rows: Rows of the training's sample.

    Raises:
        ConfigError: When the family is not known.
    """
    return settings.epochs or max(family(each.family).pace.epochs_of(rows) for each in settings.tried)


def with_prior() -> tuple[str, ...]:
    """The families that can make up rows."""
    return tuple(name for name in names() if _FAMILIES[name].prior)


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
