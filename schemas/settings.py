"""A project's settings: `sereno.yaml`, overridden by a profile, by `SERENO_*` variables, and by flags.

Nested names are joined by two underscores: `SERENO_CLUSTER__KIND=threads`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, PositiveInt

from schemas.dataset import NAME
from schemas.detector import Frozen
from schemas.notify import NotifySettings
from schemas.retention import RetentionSettings
from schemas.secrets import Secret, SecretPlaces, references_in
from schemas.service import ServiceSettings
from schemas.setting_sources import (
    FILE,
    chosen_profile,
    elsewhere,
    from_environment,
    lines_of,
    put,
    put_profile,
    read_elsewhere,
)
from schemas.yaml_source import YamlSource, dotted, read_yaml, validate_model


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
        "auto",
        description="Threads in this process, local processes (those of `sereno up`, where it is up), or an existing "
        "scheduler.",
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
    api_key: Secret | None = Field(None, description="Its key or `user:password`; better by reference.")
    database: Secret | None = Field(
        None,
        description="Database of the server that `sereno up` starts, as postgresql+asyncpg://user@host/name; SQLite in "
        "the state folder where none is given.",
    )


class MlflowSettings(Frozen):
    """Where detectors are versioned."""

    tracking_uri: str | None = Field(None, description="MLflow server; SQLite in the state folder where none is given.")


class Settings(Frozen):
    """Everything that holds for all datasets of a project."""

    profile: str | None = Field(
        None,
        description="The profile: `profiles/NAME.yaml`, whose values win over those of `sereno.yaml`; better chosen by "
        "`--profile` or SERENO_PROFILE.",
    )
    state: str = Field("state", description="Folder for all state, relative to the project folder.")
    reports: str = Field("reports", description="Folder for reports, relative to the project folder.")
    lake: str | None = Field(None, description="Address of the lake; `lake` in the state folder where none is given.")
    database: Secret | None = Field(
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
    retention: RetentionSettings = Field(default_factory=RetentionSettings, description="How long things are kept.")


@dataclass(frozen=True)
class ResolvedSettings:
    """Settings, and where each value came from.

    Args:
        settings: The values in force.
        origin: Dotted name of each value that is not a default, to `sereno.yaml, line 3`, `profiles/ci.yaml, line 2`,
            `SERENO_SEED` or `flag`; for a secret that is read elsewhere, also where: `sereno.yaml, line 3: env PG_URL`.
        profile: The profile in force, None where there is none.
        overruled: Dotted name of each value that a variable took the place of, to where the other one stands.
    """

    settings: Settings
    origin: Mapping[str, str]
    profile: str | None = None
    overruled: Mapping[str, str] = field(default_factory=dict)


def load_settings(
    folder: Path, *, environ: Mapping[str, str] | None = None, flags: Mapping[str, Any] | None = None
) -> ResolvedSettings:
    """Read `sereno.yaml` of a project folder; precedence: flag, environment, profile, file, default.

    Args:
        folder: The project folder.
        environ: Environment; the process's own where none is given.
        flags: Dotted names to values from the command line; None values are not set.

    Raises:
        ConfigError: With a line (or a variable's name) for each mistake.
    """
    variables = os.environ if environ is None else environ
    given = {name: value for name, value in (flags or {}).items() if value is not None}
    source = read_yaml(folder / FILE)
    values, origin = source.values, lines_of(source, FILE)
    chosen = chosen_profile(source, variables, given)
    profile = None if chosen is None else put_profile(folder, values, origin, chosen, Settings)
    referred = {reference.name for reference in references_in(values) if reference.kind == "env"}
    overruled = {}
    for where, value, name in from_environment(variables, referred, Settings):
        if (dots := dotted(where)) in origin:
            overruled[dots] = origin[dots]
        put(values, where, value)
        origin[dots] = name
    for dots, value in given.items():
        put(values, tuple(dots.split(".")), value)
        origin[dots] = "flag"
    merged = YamlSource(source.path, values, source.lines, elsewhere(origin))
    settings = validate_model(Settings, merged, "settings", context=SecretPlaces(folder, variables))
    return ResolvedSettings(settings, {**origin, **dict(read_elsewhere(settings, values, origin))}, profile, overruled)


__all__ = [
    "NAME",
    "ClusterSettings",
    "InputSettings",
    "NotifySettings",
    "ResolvedSettings",
    "Settings",
    "load_settings",
]
