"""Where the service's parts listen, and the password that Prefect's and MLflow's servers ask for."""

from __future__ import annotations

import json
import os
import secrets
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infra.runtime.holder import Holder
from schemas.errors import ConfigError

if TYPE_CHECKING:
    from infra.runtime.project import Project

USER = "sereno"


LOOPBACK = "127.0.0.1"


def bound(port: int, setting: str) -> socket.socket:
    """A socket that listens on loopback; kept for as long as the service is up, nobody is turned away meanwhile.

    Raises:
        ConfigError: The port is taken.
    """
    try:
        return socket.create_server((LOOPBACK, port), backlog=128)
    except OSError as error:
        raise ConfigError(
            f"The service cannot listen on {LOOPBACK}, port {port}: {error.strerror or error}.",
            hint=f"Set `{setting}` to another port in sereno.yaml, or to 0 for a free one.",
        ) from error


def password_of(project: Project) -> str:
    """The password of Prefect's and MLflow's servers, made at the first start and kept for this user alone."""
    path = password_file(project)
    with suppress(OSError):
        if known := path.read_text(encoding="ascii").strip():
            return known
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    made = secrets.token_urlsafe(24)
    number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(number, "w", encoding="ascii") as file:
        file.write(f"{made}\n")
    return made


def password_file(project: Project) -> Path:
    """Where that password stands."""
    return project.state / "service" / "password"


@dataclass(frozen=True)
class ServiceNote:
    """What a running service says of itself, in ``state/service/up.json``; no secret in it.

    Args:
        holder: Its process.
        addresses: Part to address.
        children: Part to process number, moment of its start and number of restarts.
    """

    holder: Holder
    addresses: Mapping[str, str]
    children: Mapping[str, Mapping[str, Any]]

    @property
    def alive(self) -> bool:
        """Whether it is not known to be gone."""
        return self.holder.alive() is not False


def note_file(project: Project) -> Path:
    """Where a running service says what it is."""
    return project.state / "service" / "up.json"


def write_note(project: Project, note: ServiceNote) -> None:
    """Say what runs; the file appears as a whole."""
    path = note_file(project)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    beside = path.with_suffix(f".{os.getpid()}.tmp")
    told = {"holder": str(note.holder), "addresses": dict(note.addresses), "children": dict(note.children)}
    beside.write_text(json.dumps(told, indent=2), encoding="utf-8")
    beside.replace(path)


def read_note(project: Project) -> ServiceNote | None:
    """What the service says of itself; None where none is up."""
    try:
        told = json.loads(note_file(project).read_text(encoding="utf-8"))
        note = ServiceNote(Holder.parse(str(told["holder"])), dict(told["addresses"]), dict(told["children"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return note if note.alive else None
