"""Settings as a flat table: dotted name, value, where it came from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, SecretStr

from schemas.schedule import written_length

if TYPE_CHECKING:
    from schemas.settings import ResolvedSettings

MASK = "********"


def rows_of(resolved: ResolvedSettings) -> list[dict[str, Any]]:
    """One row a setting; a secret's value is masked."""
    return [
        {"name": name, "value": _shown(value), "origin": _origin(resolved, name)}
        for name, value in _flat(resolved.settings)
    ]


def _flat(model: BaseModel | Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in model.items() if isinstance(model, Mapping) else model:
        if isinstance(value, BaseModel) or (isinstance(value, Mapping) and value):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _origin(resolved: ResolvedSettings, name: str) -> str:
    return resolved.origin.get(name, "default")


def _shown(value: Any) -> Any:
    """A value for people and JSON; secrets at any depth are masked."""
    if isinstance(value, SecretStr):
        return MASK
    if isinstance(value, BaseModel):
        return {name: _shown(getattr(value, name)) for name in type(value).model_fields}
    if isinstance(value, Mapping):
        return {str(key): _shown(inner) for key, inner in value.items()}
    if isinstance(value, timedelta):
        return written_length(value)
    return [_shown(inner) for inner in value] if isinstance(value, tuple | list) else value
