"""`models`: the versions of a dataset's detector."""

from __future__ import annotations

import click

from infra.cli.invocation import Invocation, say, show, with_dataset, with_json
from infra.cli.opened import opened
from schemas.errors import Exit

REASON = click.option("--reason", default="", help="Why; stands in the ledger.")


@click.group()
def models() -> None:
    """List, show, promote, roll back and compare detector versions."""


@models.command("list")
@with_dataset
@with_json
def list_(invocation: Invocation, dataset: str, as_json: bool) -> int:
    """List the versions of the dataset NAME, newest first."""
    from tasks.versions import list_versions

    with opened(invocation, dataset) as (services, found):
        rows = list_versions(services.registry, services.state, found.name)
    if as_json:
        show([row.as_dict() for row in rows])
    for row in () if as_json else rows:
        say(row.line())
    if not rows and not as_json:
        say(f"{dataset} has no versions yet; train one: sereno train {dataset}")
    return Exit.DONE


@models.command("show")
@with_dataset
@click.argument("version")
@with_json
def show_(invocation: Invocation, dataset: str, version: str, as_json: bool) -> int:
    """Show one version: what it was trained on, its threshold, what the ledger says of it."""
    from tasks.versions import show_version

    with opened(invocation, dataset) as (services, found):
        facts = show_version(services.registry, services.state, found.name, version)
    if as_json:
        show(facts)
        return Exit.DONE
    for name, value in facts.items():
        say(f"{name}: {value}")
    return Exit.DONE


@models.command()
@with_dataset
@click.argument("version")
@click.option("--force", is_flag=True, help="Promote although the gate refused; needs --reason.")
@REASON
def promote(invocation: Invocation, dataset: str, version: str, force: bool, reason: str) -> int:
    """Make one version the champion."""
    from tasks.night import actor
    from tasks.versions import promote_version

    with opened(invocation, dataset) as (services, found):
        promote_version(
            services.registry, services.state, found.name, version, reason=reason, actor=actor(), force=force
        )
    say(f"{dataset}: version {version} is champion")
    return Exit.DONE


@models.command()
@with_dataset
@REASON
def rollback(invocation: Invocation, dataset: str, reason: str) -> int:
    """Make the champion before the present one champion again."""
    from tasks.night import actor
    from tasks.versions import rollback_version

    with opened(invocation, dataset) as (services, found):
        version = rollback_version(services.registry, services.state, found.name, reason=reason, actor=actor())
    say(f"{dataset}: version {version} is champion again")
    return Exit.DONE


@models.command()
@with_dataset
@click.argument("first")
@click.argument("second")
@with_json
def diff(invocation: Invocation, dataset: str, first: str, second: str, as_json: bool) -> int:
    """Compare two versions: data, configuration, threshold, scores."""
    from tasks.report_text import visible
    from tasks.version_diff_text import difference_lines
    from tasks.versions import diff_versions

    with opened(invocation, dataset) as (services, found):
        difference = diff_versions(services, found, first, second)
    if as_json:
        show(difference)
        return Exit.DONE
    for line in difference_lines(difference):
        say(visible(line))
    return Exit.DONE
