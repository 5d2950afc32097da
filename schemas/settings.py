"""A project's settings: `sereno.yaml`, overridden by `SERENO_*` variables, overridden by flags.

Nested names are joined by two underscores: `SERENO_CLUSTER__KIND=threads`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, PositiveInt, SecretStr

from schemas import failpoints, moment
from schemas.dataset import NAME
from schemas.detector import Frozen
from schemas.errors import ConfigError
from schemas.notify import NotifySettings
from schemas.service import ServiceSettings
from schemas.yaml_source import Location, YamlSource, dotted, read_yaml, validate_model

PREFIX = "SERENO_"
NOT_SETTINGS = frozenset(
    {"SERENO_SHARED_DATA", "SERENO_PROJECT", failpoints.VARIABLE, failpoints.LOG_VARIABLE, moment.VARIABLE}
)


class InputSettings(Frozen):
    """What a dataset file may point at."""

    protocols: tuple[str, ...] = Field(
        ("file",), description="Allowed fsspec protocols of inputs, for example file, s3, gs, abfs, https."
    )
    roots: tuple[str, ...] = Field((), description="If given, inputs must lie below one of these addresses.")
    max_bytes: PositiveInt = Field(20_000_000_000, description="Largest decompressed size of one file.")


class ClusterSettings(Frozen):
    """Where Dask works."""

    kind: Literal["auto", "threads", "processes", "address"] = Field(
        "auto", description="Threads in this process, local processes, or an existing scheduler."
    )
    address: str | None = Field(None, description="Scheduler address, with kind: address.")
    workers: PositiveInt | None = Field(
        None, description="Local worker processes; the number of cores where none is given."
    )
    worker_memory: str = Field("2GiB", description="Memory limit of one local worker.")
    process_bytes: PositiveInt = Field(64_000_000, description="With kind auto: batches above this size get processes.")


class PrefectSettings(Frozen):
    """Which Prefect server records the runs."""

    api_url: str | None = Field(
        None, description="A server that is up; a private one is started for each run where none is known."
    )
    api_key: SecretStr | None = Field(
        None, description="Its key or `user:password`; better set by SERENO_PREFECT__API_KEY."
    )
    database: SecretStr | None = Field(
        None,
        description="Database of the server that `sereno up` starts, as postgresql+asyncpg://user@host/name; SQLite in "
        "the state folder where none is given.",
    )


class MlflowSettings(Frozen):
    """Where detectors are versioned."""

    tracking_uri: str | None = Field(None, description="MLflow server; SQLite in the state folder where none is given.")


class Settings(Frozen):
    """Everything that holds for all datasets of a project."""

    state: str = Field("state", description="Folder for all state, relative to the project folder.")
    reports: str = Field("reports", description="Folder for reports, relative to the project folder.")
    lake: str | None = Field(None, description="Address of the lake; `lake` in the state folder where none is given.")
    database: SecretStr | None = Field(
        None, description="SQLAlchemy URL of the state database; SQLite in the state folder where none is given."
    )
    seed: int = Field(20_260_301, ge=0, description="Seed of all random choices.")
    inputs: InputSettings = Field(default_factory=InputSettings, description="What a dataset file may point at.")
    cluster: ClusterSettings = Field(default_factory=ClusterSettings, description="Where Dask works.")
    prefect: PrefectSettings = Field(
        default_factory=PrefectSettings, description="Which Prefect server records the runs."
    )
    mlflow: MlflowSettings = Field(default_factory=MlflowSettings, description="Where detectors are versioned.")
    service: ServiceSettings = Field(
        default_factory=ServiceSettings, description="Where the service listens, and what it takes from whom."
    )
    notify: NotifySettings = Field(default_factory=NotifySettings, description="Who is told what.")


@dataclass(frozen=True)
class ResolvedSettings:
    """Settings, and where each value came from.

    Args:
        settings: The values in force.
        origin: Dotted name of each value that is not a default, to `sereno.yaml, line 3`, `SERENO_SEED` or `flag`.
    """

    settings: Settings
    origin: Mapping[str, str]


def load_settings(
    folder: Path, *, environ: Mapping[str, str] | None = None, flags: Mapping[str, Any] | None = None
) -> ResolvedSettings:
    """Read `sereno.yaml` of a project folder; precedence: flag, environment, file, default.

    Args:
        folder: The project folder.
        environ: Environment; the process's own where none is given.
        flags: Dotted names to values from the command line; None values are not set.

    Raises:
        ConfigError: With a line (or a variable's name) for each mistake.
    """
    source = read_yaml(folder / "sereno.yaml")
    origin = {dotted(where): f"sereno.yaml, line {line}" for where, line in source.lines.items() if where}
    values = source.values
    for where, text, name in _from_environment(os.environ if environ is None else environ):
        _put(values, where, _value_of(name, text))
        origin[dotted(where)] = name
    for dots, value in (flags or {}).items():
        if value is not None:
            _put(values, tuple(dots.split(".")), value)
            origin[dots] = "flag"
    merged = YamlSource(source.path, values, source.lines, _places(origin))
    return ResolvedSettings(validate_model(Settings, merged, "settings"), origin)


def _places(origin: Mapping[str, str]) -> dict[str, str]:
    """Names of variables and flags, for messages about values that stand in no file."""
    return {name: where for name, where in origin.items() if not where.startswith("sereno.yaml")}


def _from_environment(environ: Mapping[str, str]) -> list[tuple[Location, str, str]]:
    return [
        (tuple(name.removeprefix(PREFIX).lower().split("__")), text, name)
        for name, text in sorted(environ.items())
        if name.startswith(PREFIX) and name not in NOT_SETTINGS
    ]


def _value_of(name: str, text: str) -> Any:
    """What a variable says; its text may be a secret, and stands in no error."""
    try:
        return yaml.safe_load(text) if text else None
    except yaml.YAMLError:
        raise ConfigError(
            f"{name}: its text is not YAML", hint="put what has `: `, `#` or brackets in it in quotes"
        ) from None


def _put(values: dict[str, Any], where: Location, value: Any) -> None:
    for part in where[:-1]:
        inner = values.get(str(part))
        if not isinstance(inner, dict):
            inner = values[str(part)] = {}
        values = inner
    values[str(where[-1])] = value


__all__ = [
    "NAME",
    "ClusterSettings",
    "InputSettings",
    "NotifySettings",
    "ResolvedSettings",
    "Settings",
    "load_settings",
]
