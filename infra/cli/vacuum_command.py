"""`vacuum`: take away what is older than the settings keep."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from infra.cli.invocation import Invocation, say, show, with_json
from schemas.errors import Exit, UsageError

if TYPE_CHECKING:
    from tasks.retention_plan import Plan


@click.command()
@click.argument("dataset", metavar="[NAME]", required=False)
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
@with_json
@click.pass_obj
def vacuum(invocation: Invocation, dataset: str | None, dry_run: bool, as_json: bool) -> int:
    """Take away what is older than `retention` in sereno.yaml keeps, of the dataset NAME or of all.

    Also files of tables that no version names any more. What is in use stays: nights that a run holds or may train on,
    detectors that are champion, were lately, or that kept scores came from. May be run at any time, also while nights
    are at work.
    """
    from infra.runtime.project import quiet_environment
    from tasks import retention
    from tasks.services import open_services

    project, resolved = invocation.resolved()
    quiet_environment(project)
    if resolved.settings.database is None and not (project.state / "state.db").is_file():
        say(f"No night was done yet in {project.root}: there is nothing to take away.", err=True)
        if as_json:
            show({"dry_run": dry_run, "bytes": 0, "going": [], "staying": [], "failures": []})
        return Exit.DONE
    with open_services(project, resolved.settings) as services:
        known = retention.known_datasets(services)
        if dataset is not None and dataset not in known:
            raise _unknown(dataset, known)
        done = (retention.plan_vacuum if dry_run else retention.vacuum)(services, dataset)
    if as_json:
        show(_as_json(done, dry_run))
    else:
        _tell(done, dry_run)
    return Exit.PARTIAL if done.failures else Exit.DONE


def _unknown(dataset: str, known: list[str]) -> UsageError:
    from schemas.yaml_source import nearest

    return UsageError(
        f"There is no dataset `{dataset}`{nearest(dataset, known)}; datasets here: {', '.join(known) or 'none'}"
    )


def _as_json(done: Plan, dry_run: bool) -> dict[str, Any]:
    return {
        "dry_run": dry_run,
        "bytes": done.bytes,
        "going": [one.as_dict() for one in done.going],
        "staying": [one.as_dict() for one in done.staying],
        "failures": list(done.failures),
    }


def _tell(done: Plan, dry_run: bool) -> None:
    from tasks.retention_plan import size_in_words

    for one in done.going:
        say(f"{'would go' if dry_run else 'gone'}  {one.in_words}: {size_in_words(one.bytes)}  ({one.why})")
    for stays in done.staying:
        say(f"stays  {stays.in_words}")
    for failure in done.failures:
        say(f"warning: {failure}", err=True)
    if done.going:
        say(f"{'would free' if dry_run else 'freed'} about {size_in_words(done.bytes)}")
    else:
        say("Nothing is older than the settings keep: see `retention` in sereno config show --resolved")
