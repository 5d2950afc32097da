"""Secrets of a settings file: as text, or by reference to a variable or a file, which is read when settings are.

A field of type `Secret` takes ``{env: NAME}`` and ``{file: PATH}`` instead of the text itself.
"""

from __future__ import annotations

import os
import re
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, SecretStr, ValidationInfo, WithJsonSchema

MAX_BYTES = 65_536
KINDS = ("env", "file")
FORM = "a text, {env: NAME} or {file: PATH}"
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True)
class SecretPlaces:
    """Where references lead to: the context of a validation.

    Args:
        folder: What a relative path starts at: the project folder.
        environ: The environment.
    """

    folder: Path
    environ: Mapping[str, str]


@dataclass(frozen=True)
class SecretReference:
    """Where a secret is to be read.

    Args:
        kind: `env` or `file`.
        name: The variable, or the path.
    """

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


def reference_of(value: Any) -> SecretReference | None:
    """The reference that a value of a settings file is, None where it is none."""
    if not isinstance(value, dict) or len(value) != 1:
        return None
    ((kind, name),) = value.items()
    return SecretReference(kind, name) if kind in KINDS and isinstance(name, str) and name.strip() else None


def read_secret(reference: SecretReference, places: SecretPlaces) -> str:
    """Read what a reference leads to.

    Raises:
        ValueError: The variable or the file is not there, or holds nothing; never with what it holds.
    """
    text = _variable(reference.name, places) if reference.kind == "env" else _file(reference.name, places)
    if "\0" in text:
        raise ValueError(f"{reference} holds a zero byte, which no secret does")
    return text


def _variable(name: str, places: SecretPlaces) -> str:
    if not _VARIABLE.fullmatch(name):
        raise ValueError("`env` must be the name of an environment variable")
    if not (text := places.environ.get(name, "")):
        raise ValueError(f"the environment variable {name} is not set, or empty; set it where this process starts")
    return text


def _file(name: str, places: SecretPlaces) -> str:
    try:
        path = places.folder / Path(name).expanduser()
    except RuntimeError:
        raise ValueError(f"the file {name}: this user has no home folder") from None
    try:
        if not path.is_file():  # a pipe would keep us waiting
            raise ValueError(f"the file {path} is not there, or is no plain file")
        with path.open("rb") as opened:
            raw = opened.read(MAX_BYTES + 1)
        text = raw.decode("utf-8-sig").rstrip("\r\n")
    except OSError as error:
        raise ValueError(f"the file {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError(f"the file {path} is not UTF-8 text") from None
    if not text or len(raw) > MAX_BYTES:
        raise ValueError(f"the file {path} is empty" if not text else f"the file {path} is larger than any secret")
    return text


def _resolved(value: Any, info: ValidationInfo) -> Any:
    if isinstance(value, str | SecretStr):
        return value
    if (reference := reference_of(value)) is None:
        raise ValueError(f"a secret is {FORM}; put a number in quotes")
    places = info.context if isinstance(info.context, SecretPlaces) else SecretPlaces(Path(), os.environ)
    return read_secret(reference, places)


_SCHEMA = {
    "anyOf": [
        {"type": "string", "format": "password"},
        *(
            {
                "type": "object",
                "properties": {kind: {"type": "string"}},
                "required": [kind],
                "additionalProperties": False,
            }
            for kind in KINDS
        ),
    ]
}

Secret = Annotated[SecretStr, BeforeValidator(_resolved), WithJsonSchema(_SCHEMA)]
"""A secret in a settings model."""


def is_secret(kind: Any) -> bool:
    """Whether an annotated type is a secret itself, and no model, list or map that may hold one."""
    if typing.get_origin(kind) in (typing.Union, types.UnionType, Annotated):
        return any(is_secret(inner) for inner in typing.get_args(kind))
    return kind is SecretStr


def holds_secret(kind: Any) -> bool:
    """Whether a value of an annotated type may be, or hold, a secret."""
    return _holds_secret(kind, set())


def _holds_secret(kind: Any, seen: set[Any]) -> bool:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        if kind in seen:
            return False
        seen.add(kind)
        return any(_holds_secret(field.annotation, seen) for field in kind.model_fields.values())
    return kind is SecretStr or any(_holds_secret(inner, seen) for inner in typing.get_args(kind))


def secrets_in(value: Any, name: str = "") -> Iterator[tuple[str, SecretStr]]:
    """Yield the secrets of a settings model at any depth, each with its dotted name."""
    if isinstance(value, SecretStr):
        yield name, value
    elif isinstance(value, BaseModel):
        for field in type(value).model_fields:
            yield from secrets_in(getattr(value, field), f"{name}.{field}" if name else field)
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from secrets_in(inner, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list | tuple):
        for position, inner in enumerate(value):
            yield from secrets_in(inner, f"{name}[{position}]")


def references_in(value: Any) -> Iterator[SecretReference]:
    """Yield what looks like a reference in the plain values of a settings file, at any depth."""
    if (reference := reference_of(value)) is not None:
        yield reference
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from references_in(inner)
