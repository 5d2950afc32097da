"""Where settings come from besides `sereno.yaml`: a profile, variables, flags; and who wins."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from schemas import failpoints, moment
from schemas.errors import ConfigError
from schemas.profiles import FOLDER, KEY, lay_over, read_profile
from schemas.secrets import is_secret, reference_of, secrets_in
from schemas.yaml_source import Location, YamlSource, dotted, kind_at

FILE = "sereno.yaml"
PREFIX = "SERENO_"
NOT_SETTINGS = frozenset(
    {"SERENO_SHARED_DATA", "SERENO_PROJECT", failpoints.VARIABLE, failpoints.LOG_VARIABLE, moment.VARIABLE}
)


def lines_of(source: YamlSource, name: str) -> dict[str, str]:
    """Where each value of a file stands, by its dotted name."""
    return {dotted(where): f"{name}, line {line}" for where, line in source.lines.items() if where}


def chosen_profile(source: YamlSource, environ: Mapping[str, str], flags: Mapping[str, Any]) -> tuple[Any, str] | None:
    """The profile that is asked for, and where; a variable that is empty asks for none."""
    if KEY in flags:
        return flags[KEY], "the command line"
    if (variable := f"{PREFIX}{KEY.upper()}") in environ:
        return (environ[variable], variable) if environ[variable] else None
    named = source.values.get(KEY)
    return None if named is None else (named, f"{FILE}, {source.place((KEY,))},")


def put_profile(
    folder: Path, values: dict[str, Any], origin: dict[str, str], chosen: tuple[Any, str], model: type[BaseModel]
) -> str:
    """Write a profile's values over those of the file, and return its name.

    Args:
        folder: The project folder.
        values: Those of `sereno.yaml`, which are changed.
        origin: Where each stands, likewise.
        chosen: The profile, and where it was asked for.
        model: The settings.

    Raises:
        ConfigError: There is no such profile, or it cannot be read.
    """
    name, place = chosen
    profile = read_profile(folder, name, place)
    replaced = lay_over(values, profile, model)
    gone = tuple(f"{dotted(where)}{mark}" for where in replaced for mark in ".[")
    for dots in [dots for dots in origin if dots.startswith(gone)]:
        del origin[dots]
    origin.update(lines_of(profile, f"{FOLDER}/{name}.yaml"))
    return str(name)


def elsewhere(origin: Mapping[str, str]) -> dict[str, str]:
    """Profiles, variables and flags by the values that they gave: for messages about what no line of the file says."""
    return {name: where for name, where in origin.items() if not where.startswith(f"{FILE},")}


def from_environment(
    environ: Mapping[str, str], referred: Collection[str], model: type[BaseModel]
) -> Iterator[tuple[Location, Any, str]]:
    """Yield settings that variables give: place, value, variable; one that a reference to a secret names is none."""
    for name, text in sorted(environ.items()):
        if name.startswith(PREFIX) and name not in NOT_SETTINGS and name not in referred:
            where = tuple(name.removeprefix(PREFIX).lower().split("__"))
            yield where, _value(name, text, is_secret(kind_at(model, where))), name


def _value(name: str, text: str, secret: bool) -> Any:
    """A variable's text as a YAML value; a secret is a text, also where it looks like a number.

    Raises:
        ConfigError: It is not YAML; it may still hold a secret, and is not shown.
    """
    if not text:
        return None
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        if secret:
            return text
        hint = "put what has `: `, `#` or brackets in it in quotes"
        raise ConfigError(f"{name}: its text is not YAML", hint=hint) from None
    return text if secret and reference_of(value) is None else value


def put(values: dict[str, Any], where: Location, value: Any) -> None:
    """Write one value into plain values, at its place."""
    for part in where[:-1]:
        inner = values.get(str(part))
        if not isinstance(inner, dict):
            inner = values[str(part)] = {}
        values = inner
    values[str(where[-1])] = value


def read_elsewhere(
    settings: BaseModel, values: Mapping[str, Any], origin: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    """Yield the secrets that stand somewhere else: dotted name, and where the reference and what it names stand."""
    for name, _ in secrets_in(settings):
        if (reference := reference_of(_found(values, name))) is not None:
            yield name, f"{origin.get(name, FILE)}: {reference}"


def _found(values: Any, dots: str) -> Any:
    for part in re.findall(r"[^.\[\]]+", dots):
        values = (
            values.get(part) if isinstance(values, dict) else values[int(part)] if isinstance(values, list) else None
        )
    return values
