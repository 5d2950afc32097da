"""`plan`: what a run would read, do and cost. Writes nothing."""

from __future__ import annotations

from datetime import date as Date

import click

from infra.cli.invocation import Invocation, say, show, with_dataset, with_date, with_json
from schemas.errors import Exit


@click.command()
@with_dataset
@with_date
@click.option("--no-train", is_flag=True, help="Plan a run that trains nothing.")
@with_json
def plan(invocation: Invocation, dataset: str, night: Date, no_train: bool, as_json: bool) -> int:
    """Say what a run of one night of the dataset NAME would read, do and cost; writes nothing."""
    from tasks.plan import plan_night

    project, resolved = invocation.resolved()
    found = invocation.dataset(project, dataset)
    planned = plan_night(project, resolved.settings, found, night, train=not no_train)
    if as_json:
        show(planned.model_dump(mode="json"))
    for line in () if as_json else planned.lines():
        say(line)
    return Exit.DONE if planned.files else Exit.NO_INPUT
