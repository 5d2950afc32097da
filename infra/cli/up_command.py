"""`up`: the service of a project, for as long as it is wanted."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from infra.cli.invocation import Invocation, say
from schemas.errors import Exit

if TYPE_CHECKING:
    from infra.runtime.project import Project


@click.command()
@click.pass_obj
def up(invocation: Invocation) -> int:
    """Keep Sereno running: schedules, runs that are asked for, Prefect and MLflow servers, until it is stopped.

    Stops in good order on SIGTERM and Ctrl-C: nights at work are given up and go on behind their finished stages at the
    next start. What dies is started again.
    """
    from infra.runtime.logs import secrets_of, set_up_logging
    from infra.runtime.project import quiet_environment
    from infra.service.up import Service, stopped_by_signals

    project, resolved = invocation.resolved()
    quiet_environment(project)
    # What this command was told holds for its children, and for the flow runs that they start.
    os.environ.update(invocation.as_environment())
    set_up_logging(secrets=secrets_of(resolved.settings), level=logging.INFO)
    service = Service(project, resolved.settings)
    service.run(stopped_by_signals(), lambda addresses: _tell(project, addresses))
    return Exit.DONE


def _tell(project: Project, addresses: Mapping[str, str]) -> None:
    from infra.service.addresses import USER, password_file

    for name, address in addresses.items():
        say(f"{name}: {address}", err=True)
    say(f"Prefect and MLflow ask for the user {USER} and the password in {password_file(project)}", err=True)
    say("up", err=True)
