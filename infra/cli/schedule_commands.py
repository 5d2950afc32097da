"""`schedule`: which nights are done by themselves, and when."""

from __future__ import annotations

from datetime import UTC, datetime
from datetime import date as Date
from typing import TYPE_CHECKING, Any

import click

from infra.cli.invocation import DATE, Invocation, say, show, with_dataset, with_json
from infra.cli.opened import opened
from schemas.errors import Exit

if TYPE_CHECKING:
    from schemas.dataset import Dataset
    from schemas.schedule import ScheduleSettings
    from tasks.services import Services

BY = click.option("--by", metavar="NAME", help="Who does so; the user of this machine where no name is given.")


@click.group()
def schedule() -> None:
    """Turn schedules on and off, and see what comes."""


@schedule.command("list")
@click.argument("dataset", metavar="[NAME]", required=False)
@with_json
@click.pass_obj
def list_(invocation: Invocation, dataset: str | None, as_json: bool) -> int:
    """List the schedules of all datasets or of NAME: whether each is on, and its next night."""
    from schemas.dataset import load_dataset
    from tasks.services import open_services

    project, resolved = invocation.resolved()
    names = project.dataset_names() if dataset is None else [invocation.dataset(project, dataset).name]
    datasets = [load_dataset(project.dataset_file(name)) for name in names]
    with open_services(project, resolved.settings) as services:
        rows = [_row(services, one) for one in datasets]
    if as_json:
        show(rows)
        return Exit.DONE
    for row in rows:
        say(f"{row['dataset']}  {_words(row)}")
    return Exit.DONE


@schedule.command()
@with_dataset
@click.option(
    "--from",
    "first",
    type=DATE,
    metavar="DATE",
    help="The first logical date; nights from it on that are due are done at once. The next one where none is given.",
)
@BY
@with_json
def enable(invocation: Invocation, dataset: str, first: Date | None, by: str | None, as_json: bool) -> int:
    """Have the nights of the dataset NAME done by themselves, for as long as `sereno up` runs."""
    from infra.service.addresses import read_note
    from tasks.schedules import switch_on

    with opened(invocation, dataset) as (services, found):
        begins = switch_on(services, found, first, datetime.now(UTC), _actor(by))
        row = _row(services, found)
        is_up = read_note(services.project) is not None
    if as_json:
        show({**row, "service": "up" if is_up else "down"})
        return Exit.DONE
    say(f"{dataset}: {_words(row)}; the first night is {begins}")
    if not is_up:
        say("  nothing is done before the service is up: sereno up")
    return Exit.DONE


@schedule.command()
@with_dataset
@BY
@with_json
def disable(invocation: Invocation, dataset: str, by: str | None, as_json: bool) -> int:
    """Have no more nights of the dataset NAME done by themselves; what is asked for already is done."""
    from tasks.schedules import switch_off

    with opened(invocation, dataset) as (services, found):
        switch_off(services, found, datetime.now(UTC), _actor(by))
        row = _row(services, found)
    if as_json:
        show(row)
    else:
        say(f"{dataset}: {_words(row)}")
    return Exit.DONE


def _actor(by: str | None) -> str:
    from tasks.night import actor

    return (by or "").strip() or actor()


def _row(services: Services, dataset: Dataset) -> dict[str, Any]:
    from tasks.due_nights import next_due

    settings, switch = dataset.schedule, services.state.switches().get(dataset.name)
    coming = next_due(settings, datetime.now(UTC)) if settings is not None else None
    is_on = settings is not None and switch is not None and switch.enabled
    return {
        "dataset": dataset.name,
        "enabled": is_on,
        "since": switch.since.isoformat() if switch is not None and is_on else None,
        "by": switch.actor if switch is not None else None,
        "when": _when(settings),
        "next_night": coming.night.isoformat() if coming is not None else None,
        "next_at": coming.due_at.astimezone(settings.zone).isoformat() if settings and coming else None,
    }


def _when(settings: ScheduleSettings | None) -> str | None:
    if settings is None:
        return None
    if settings.cron is not None:
        return f"cron {settings.cron} ({settings.timezone})"
    if settings.at is None:
        return "when files arrive"
    every = "each day" if settings.every_days == 1 else f"every {settings.every_days} days"
    return f"{every} at {settings.at:%H:%M} ({settings.timezone})"


def _words(row: dict[str, Any]) -> str:
    if row["when"] is None:
        return "no schedule; write one under `schedule:` in its dataset file"
    coming = f"; next: the night {row['next_night']} at {row['next_at']}" if row["next_night"] else ""
    return f"{'on' if row['enabled'] else 'off'}, {row['when']}{coming if row['enabled'] else ''}"
