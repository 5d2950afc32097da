"""What `doctor` looks at of the service and of messages: ports that others have, addresses that are not there."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import TYPE_CHECKING

from infra.runtime.holder import Holder
from schemas.errors import ConfigError
from tasks.doctor import Check, Finding, Patient

if TYPE_CHECKING:
    from infra.runtime.project import Project

LOOPBACK = "127.0.0.1"


def _ports(patient: Patient) -> Iterator[Finding]:
    """Whether the service could listen; where it is up itself it has its ports, of course."""
    if _is_up(patient.project):
        return
    service = patient.settings.service
    wanted = {
        "service.port": (service.host, service.port),
        "service.prefect_port": (LOOPBACK, service.prefect_port),
        "service.mlflow_port": (LOOPBACK, service.mlflow_port),
    }
    for name, (host, port) in wanted.items():
        if (why := _refused(host, port)) is not None:
            hint = f"set {name} to a free port in sereno.yaml, or to 0 for any"
            yield Finding(name, "note", f"{host}, port {port}: {why}", hint)


def _is_up(project: Project) -> bool:
    """Whether the service is not known to be gone; one that was killed leaves its note behind."""
    try:
        told = json.loads((project.state / "service" / "up.json").read_text(encoding="utf-8"))
        return Holder.parse(str(told["holder"])).alive() is not False
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _refused(host: str, port: int) -> str | None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        return error.strerror or str(error)
    return None


def _routes(patient: Patient) -> Iterator[Finding]:
    for name, route in patient.settings.notify.routes.items():
        try:
            route.address(patient.project.root)
        except ConfigError as error:
            hint = "mend it in sereno.yaml, or where it says that the address is"
            yield Finding(f"route {name}", "wrong", error.message, error.hint or hint)
        else:
            yield Finding(f"route {name}", "ok", f"its address is there; does it work? sereno notify test {name}")


SERVICE_CHECKS = (
    Check(
        "ports",
        "a port of the service is taken by another program, or its host is not this machine's",
        "name a free port, or 0 for any, in `service`",
        _ports,
    ),
    Check(
        "routes",
        "the address of a notification route is missing, or cannot be one",
        "set the variable or write the file that the route names; try it with `sereno notify test`",
        _routes,
    ),
)
