"""Profiles: `profiles/NAME.yaml` says what is other than in `sereno.yaml` in one environment, such as `production`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from schemas.errors import ConfigError, listed
from schemas.secrets import is_secret
from schemas.yaml_source import Location, YamlSource, kind_at, nearest, read_yaml

FOLDER = "profiles"
NAME = r"[a-z][a-z0-9_-]{0,63}"
KEY = "profile"


def profile_names(folder: Path) -> list[str]:
    """The profiles of a project folder, sorted."""
    found = (path.stem for path in (folder / FOLDER).glob("*.yaml"))
    return sorted(name for name in found if re.fullmatch(NAME, name))


def read_profile(folder: Path, name: Any, place: str) -> YamlSource:
    """Read one profile.

    Args:
        folder: The project folder.
        name: What was asked for.
        place: Where it was asked for, for messages.

    Raises:
        ConfigError: There is none of this name, or it names another profile.
    """
    path = folder / FOLDER / f"{name}.yaml"
    if not isinstance(name, str) or not re.fullmatch(NAME, name) or not path.is_file():
        raise _unknown(folder, name, place)
    source = read_yaml(path)
    if KEY in source.values:
        raise ConfigError(
            f"{path}, {source.place((KEY,))}: a profile cannot choose a profile",
            hint="take the line away; a profile is chosen by --profile, SERENO_PROFILE or `profile` in sereno.yaml",
        )
    return source


def lay_over(values: dict[str, Any], profile: YamlSource, model: type[BaseModel]) -> list[Location]:
    """Write a profile's values over those of `sereno.yaml`: blocks key by key, everything else as a whole.

    Args:
        values: Those of `sereno.yaml`, which are changed.
        profile: The profile.
        model: Says what a block is: a reference to a secret is one value, although it is written as a block.

    Returns:
        What was put in the place of something else, with all that stood below it.
    """
    return list(_laid(values, profile.values, model, ()))


def _laid(below: dict[str, Any], above: dict[str, Any], model: type[BaseModel], where: Location) -> Iterator[Location]:
    for key, value in above.items():
        here = (*where, key)
        if isinstance(value, dict) and isinstance(below.get(key), dict) and not is_secret(kind_at(model, here)):
            yield from _laid(below[key], value, model, here)
        else:
            below[key] = value
            yield here


def _unknown(folder: Path, name: Any, place: str) -> ConfigError:
    known = profile_names(folder)
    return ConfigError(
        f"There is no profile {str(name)[:80]!r} in {folder / FOLDER}{nearest(str(name), known)}, which {place} asks "
        f"for; profiles here: {listed(known) or 'none'}",
        hint=f"Make {FOLDER}/NAME.yaml (a small letter, then small letters, digits, - and _) with the keys of "
        "sereno.yaml that differ, or name one that is there.",
    )
