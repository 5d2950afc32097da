"""Commands that read what nights left behind: report, status, scores."""

from __future__ import annotations

from datetime import date as Date
from pathlib import Path

import click

from infra.cli.invocation import Invocation, say, show, show_json, with_dataset, with_date, with_json
from infra.cli.opened import opened
from schemas.errors import Exit, UsageError


@click.command()
@click.argument("dataset", metavar="[NAME]", required=False)
@with_date
@with_json
@click.pass_obj
def report(invocation: Invocation, dataset: str | None, night: Date, as_json: bool) -> int:
    """Say where the report of one night of the dataset NAME is, or print it as JSON.

    Without NAME: write the overview of all datasets on that night, and say where it is.
    """
    if dataset is None:
        return _overview(invocation, night, as_json)
    from infra.runtime.retention import PAGE
    from tasks.gone import refuse_gone
    from tasks.page_drafts import recover_page

    with opened(invocation, dataset) as (services, found):
        recover_page(services, found, night)
        project = services.project
        if not project.report_file(dataset, night.isoformat()).is_file():
            refuse_gone(services.state, dataset, night, PAGE)
    page = project.report_file(dataset, night.isoformat())
    if not page.is_file():
        raise UsageError(
            f"{dataset} {night}: there is no report", hint=f"do the night first: sereno run {dataset} --date {night}"
        )
    if as_json:
        show_json(project.report_file(dataset, night.isoformat(), "json").read_text(encoding="utf-8"))
    else:
        say(f"report: {page}")
    return Exit.DONE


def _overview(invocation: Invocation, night: Date, as_json: bool) -> int:
    from tasks.overview import overview_json, write_overview
    from tasks.overview_rows import overview_of
    from tasks.services import open_services

    project, resolved = invocation.resolved()
    with open_services(project, resolved.settings) as services:
        page = write_overview(services, night)
        if as_json:
            show({**overview_json(overview_of(services, night)), "report": str(page)})
        else:
            say(f"overview: {page}")
    return Exit.DONE


@click.command()
@click.argument("dataset", metavar="[NAME]", required=False)
@click.option("--last", type=click.IntRange(min=1), default=14, show_default=True, help="How many nights to show.")
@click.option("--service", "only_service", is_flag=True, help="Only the service: what is up, waits, or went wrong.")
@click.option("--disk", is_flag=True, help="Also what each thing takes on the disk, and what room is left.")
@with_json
@click.pass_obj
def status(
    invocation: Invocation, dataset: str | None, *, last: int, only_service: bool, disk: bool, as_json: bool
) -> int:
    """Show what became of the last nights of the dataset NAME, or of every dataset, and how the service is."""
    from infra.cli.service_status import service_lines, service_of
    from infra.cli.status_table import disk_lines, nights_of, notices_said, room_line
    from tasks.disk_use import disk_use
    from tasks.services import open_services

    project, resolved = invocation.resolved()
    if dataset is not None:
        invocation.dataset(project, dataset)
    names = [dataset] if dataset else sorted(path.stem for path in project.datasets.glob("*.yaml"))
    with open_services(project, resolved.settings) as services:
        nights = [] if only_service else [night for name in names for night in nights_of(services, name, last)]
        service = service_of(services, dataset)
        notices = notices_said(services.state)
        use = disk_use(services, dataset) if disk else None
        room = room_line(services)
    if as_json:
        shown = service if only_service else nights
        show(shown if use is None else {"nights": nights, "disk": use.as_dict()})
        return Exit.DONE
    for night in nights:
        say("  ".join(str(night[column]) for column in ("dataset", "date", "status", "summary")))
    for line in service_lines(service):
        say(line)
    if not nights and not only_service:
        say(f"No night was done yet in {project.root}; begin with: sereno run NAME --date DATE")
    for line in [*notices, *([room] if use is None else disk_lines(use))]:
        say(line)
    return Exit.DONE


@click.command()
@with_dataset
@with_date
@click.option(
    "--to",
    "target",
    required=True,
    metavar="FILE",
    type=click.Path(dir_okay=False),
    help="A .csv, .jsonl or .parquet file.",
)
def scores(invocation: Invocation, dataset: str, night: Date, target: str) -> int:
    """Write the scores of one night of the dataset NAME to a file.

    Columns: the key columns, entity and event_time where the dataset has them, score, p_value, is_alert, in_sample,
    model_version, contributions.
    """
    from tasks.alert import export_scores, scores_of_night
    from tasks.services import open_services

    project, resolved = invocation.resolved()
    found = invocation.dataset(project, dataset)
    with open_services(project, resolved.settings) as services:
        table = scores_of_night(services, found, night)
    export_scores(found, table, Path(target))
    say(f"wrote {len(table):,} rows to {target}")
    return Exit.DONE
