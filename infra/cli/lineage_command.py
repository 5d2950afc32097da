"""`lineage`: from a night's scores back to files, detector and what trained it."""

from __future__ import annotations

from datetime import date as Date

import click

from infra.cli.invocation import Invocation, say, show, with_dataset, with_date
from infra.cli.opened import opened
from schemas.errors import Exit


@click.command()
@with_dataset
@with_date
@click.option("--key", metavar="KEY", help="A row's key: say also which line of which file it is.")
@click.option("--json", "as_json", is_flag=True, help="Print one OpenLineage RunEvent on stdout.")
def lineage(invocation: Invocation, dataset: str, night: Date, key: str | None, as_json: bool) -> int:
    """Say where the scores of one night of the dataset NAME came from.

    Files with the SHA-256 of their bytes, the dataset file's hash, the version that scored, and the nights that trained
    it with their files.
    """
    from tasks.lineage import as_lines, lineage_of
    from tasks.openlineage import run_event

    with opened(invocation, dataset) as (services, found):
        way = lineage_of(services, found, night, key)
        event = run_event(services, way)
    if as_json:
        show(event)
        return Exit.DONE
    for line in as_lines(way):
        say(line)
    return Exit.DONE
