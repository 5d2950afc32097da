"""Who is told what: the settings of notifications."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import timedelta
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Literal, Self, TypeAlias, get_args

from pydantic import Field, PositiveInt, SecretStr, field_validator, model_validator

from schemas.detector import Frozen
from schemas.errors import ConfigError
from schemas.notify_address import check_address
from schemas.schedule import Length
from schemas.secrets import Secret

Kind: TypeAlias = Literal[
    "night_done",
    "night_partial",
    "night_failed",
    "night_blocked",
    "night_missing",
    "no_report",
    "incident",
    "fault",
    "digest",
    "test",
]
"""What a message is about: how a night ended, a report that did not come, an incident, something that broke, ..."""

Severity: TypeAlias = Literal["low", "medium", "high", "critical"]
KINDS: tuple[Kind, ...] = get_args(Kind)
BY_DEFAULT: tuple[Kind, ...] = tuple(kind for kind in KINDS if kind not in ("incident", "digest"))
"""One message a night is enough for most."""

SEVERITIES: tuple[Severity, ...] = get_args(Severity)
MOST_FILE_BYTES = 16_384

RouteName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,63}$")]


class Route(Frozen):
    """One receiver, and what it is told. Its address is a secret, and stands in one of three places.

    A message goes to every route whose filters it meets. One about no dataset (a fault of the machine) or no entity
    goes only where none is asked for.
    """

    url: Secret | None = Field(None, description="Its address, for example mailtos://user:password@host?to=name@host.")
    url_env: str | None = Field(
        None, description="The environment variable that holds its address.", pattern=r"^[A-Za-z_][A-Za-z0-9_]*$"
    )
    url_file: str | None = Field(
        None,
        description="The file that holds its address, relative to the project folder.",
        pattern=r"^[^:]+$",
    )
    datasets: tuple[str, ...] = Field(
        (), description="If given, only what is about these datasets: names, or `flows*`."
    )
    entities: tuple[str, ...] = Field((), description="If given, only what is about these entities: names, or `web-*`.")
    least_severity: Severity = Field("low", description="Nothing that matters less.")
    kinds: tuple[Kind, ...] = Field(
        BY_DEFAULT,
        description="Only messages of these kinds. How a night ended names its worst alerts and goes with the report; "
        "`incident` and `digest` tell of each incident beside it, or instead.",
    )
    without_alerts: bool = Field(False, description="Whether also nights that ended well without an alert are told.")
    attach_report: bool | None = Field(
        None, description="Whether the report goes along; where it is not said, with mail only."
    )
    insecure: bool = Field(
        False, description="Whether the way to another machine may be unencrypted, or its certificate unchecked."
    )

    @field_validator("url")
    @classmethod
    def _not_empty(cls, url: SecretStr | None) -> SecretStr | None:
        return url if url is None or url.get_secret_value().strip() else None

    @model_validator(mode="after")
    def _one_address(self) -> Self:
        if sum(place is not None for place in (self.url, self.url_env, self.url_file)) != 1:
            raise ValueError("give one of `url`, `url_env` and `url_file`")
        if self.url is not None:
            check_address(self.url.get_secret_value().strip(), insecure=self.insecure)
        return self

    def address(self, folder: Path, environ: Mapping[str, str] | None = None) -> str:
        """Return the address; a variable or file is read now.

        Args:
            folder: The project folder.
            environ: Environment; the process's own where none is given.

        Raises:
            ConfigError: It is not there, or not allowed; no part of it is in the error.
        """
        found, place = self._read(folder, os.environ if environ is None else environ)
        try:
            check_address(found, insecure=self.insecure)
        except ValueError as error:
            raise ConfigError(f"the address in {place} cannot be used: {error}") from None
        return found

    def _read(self, folder: Path, environ: Mapping[str, str]) -> tuple[str, str]:
        if self.url is not None:
            return self.url.get_secret_value().strip(), "`url`"
        if self.url_env is not None:
            if not environ.get(self.url_env, "").strip():
                raise ConfigError(f"the variable {self.url_env}, which holds the address, is not set")
            return environ[self.url_env].strip(), f"the variable {self.url_env}"
        return _first_line(folder / str(self.url_file)), f"the file {self.url_file}"

    def wants(self, kind: Kind, severity: Severity, dataset: str | None = None, entity: str | None = None) -> bool:
        """Whether a message that is about this goes here."""
        return (
            kind in self.kinds
            and SEVERITIES.index(severity) >= SEVERITIES.index(self.least_severity)
            and _is_among(dataset, self.datasets)
            and _is_among(entity, self.entities)
        )


class NotifySettings(Frozen):
    """Who is told what, and how hard it is tried."""

    routes: dict[RouteName, Route] = Field(
        default_factory=dict, description="A receiver by the name that commands and messages give it."
    )
    tries: PositiveInt = Field(12, description="How often a message is tried before it counts as failed.")
    timeout: Length = Field(
        timedelta(seconds=20),
        description="How long one try may take.",
        ge=timedelta(seconds=2),
        le=timedelta(minutes=5),
    )
    longest_wait: Length = Field(
        timedelta(hours=1),
        description="Tries are a minute apart, then two, four, and so on, up to this.",
        ge=timedelta(minutes=1),
    )


def _is_among(name: str | None, patterns: tuple[str, ...]) -> bool:
    return not patterns or (name is not None and any(fnmatchcase(name, pattern) for pattern in patterns))


def _first_line(path: Path) -> str:
    try:
        with path.open("rb") as file:
            text = file.read(MOST_FILE_BYTES).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: the file with the address is not UTF-8") from None
    except OSError as error:
        raise ConfigError(f"{path}: the file with the address cannot be read: {error.strerror or error}") from None
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    if not line:
        raise ConfigError(f"{path}: the file with the address is empty")
    return line
