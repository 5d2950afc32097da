"""`incidents list` and `incidents show`."""

from __future__ import annotations

from datetime import date as Date

import click

from infra.cli.incident_words import with_incident
from infra.cli.invocation import DATE, Invocation, say, show, with_dataset, with_json
from infra.cli.opened import opened
from schemas.errors import Exit


@click.command("list")
@click.argument("dataset", metavar="[NAME]", required=False)
@click.option("--date", "night", type=DATE, metavar="DATE", help="Those of one night, as they stood on it, YYYY-MM-DD.")
@click.option("--all", "over", is_flag=True, help="Also those that are over.")
@with_json
@click.pass_obj
def list_(invocation: Invocation, dataset: str | None, night: Date | None, over: bool, as_json: bool) -> int:
    """List the incidents of the dataset NAME, or of every dataset, the worst first."""
    from infra.cli.incident_table import line_of
    from tasks.incident_views import listed
    from tasks.services import open_services

    project, resolved = invocation.resolved()
    names = [dataset] if dataset else project.dataset_names()
    datasets = {name: invocation.dataset(project, name) for name in names}
    with open_services(project, resolved.settings) as services:
        found = {name: listed(services, known, night, over=over) for name, known in datasets.items()}
    if as_json:
        show({"incidents": [one.model_dump(mode="json") for some in found.values() for one in some]})
        return Exit.DONE
    for name, some in found.items():
        say(f"{name}: {len(some):,} incident{'' if len(some) == 1 else 's'}{_which(night, over)}")
        for one in some:
            say(f"  {line_of(one)}")
    return Exit.DONE


def _which(night: Date | None, over: bool) -> str:
    if night is not None:
        return f" on {night}"
    return "" if over else " under way"


@click.command("show")
@with_dataset
@with_incident
@with_json
def show_(invocation: Invocation, dataset: str, number: int, as_json: bool) -> int:
    """Show incident ID of the dataset NAME: its nights, what people did, some of its rows."""
    from infra.cli.incident_table import lines_of
    from tasks.incident_acts import history

    with opened(invocation, dataset) as (services, found):
        told = history(services, found, number)
    if as_json:
        show(told.model_dump(mode="json"))
        return Exit.DONE
    for line in lines_of(told):
        say(line)
    return Exit.DONE
