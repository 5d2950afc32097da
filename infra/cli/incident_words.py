"""`incidents`: what to do about an incident, one command each."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date as Date
from typing import TYPE_CHECKING, Any, TypeVar

import click

from infra.cli.invocation import DATE, Invocation, say, show, with_dataset, with_json
from infra.cli.opened import opened
from schemas.errors import Exit

if TYPE_CHECKING:
    from infra.runtime.incident_words import Word

F = TypeVar("F", bound=Callable[..., Any])

NUMBER = click.IntRange(min=1)


def with_incident(function: F) -> F:
    """Give a command the argument `ID` of an incident."""
    return click.argument("number", metavar="ID", type=NUMBER)(function)


def with_person(function: F) -> F:
    """Give a command who does it, and why."""
    by = click.option("--by", metavar="NAME", help="Who does it; the user of this machine where no name is given.")
    return by(click.option("--note", default="", metavar="TEXT", help="Anything worth knowing.")(function))


@click.command()
@with_dataset
@with_incident
@with_person
@with_json
def ack(invocation: Invocation, dataset: str, number: int, note: str, by: str | None, as_json: bool) -> int:
    """Take up incident ID of the dataset NAME: people hear of it again only when it gets worse."""
    return _said(invocation, dataset, number, "ack", note, by, as_json)


@click.command()
@with_dataset
@with_incident
@click.option("--until", type=DATE, required=True, metavar="DATE", help="The last night that stays silent, YYYY-MM-DD.")
@with_person
@with_json
def mute(
    invocation: Invocation, dataset: str, number: int, *, until: Date, note: str, by: str | None, as_json: bool
) -> int:
    """Silence incident ID of the dataset NAME until a night; it comes back when it gets worse.

    Until then it is not over either, however quiet it is: what happens again belongs to it.
    """
    return _said(invocation, dataset, number, "mute", note, by, as_json, until=until)


@click.command()
@with_dataset
@with_incident
@with_person
@with_json
def unmute(invocation: Invocation, dataset: str, number: int, note: str, by: str | None, as_json: bool) -> int:
    """End the mute of incident ID of the dataset NAME."""
    return _said(invocation, dataset, number, "unmute", note, by, as_json)


@click.command()
@with_dataset
@with_incident
@click.argument("text", metavar="TEXT")
@click.option("--by", metavar="NAME", help="Who says it; the user of this machine where no name is given.")
@with_json
def note(invocation: Invocation, dataset: str, number: int, text: str, by: str | None, as_json: bool) -> int:
    """Write TEXT down beside incident ID of the dataset NAME."""
    return _said(invocation, dataset, number, "note", text, by, as_json)


@click.command()
@with_dataset
@with_incident
@with_person
@with_json
def close(invocation: Invocation, dataset: str, number: int, note: str, by: str | None, as_json: bool) -> int:
    """Call incident ID of the dataset NAME over: the same alerts on a later night are a new one."""
    return _said(invocation, dataset, number, "close", note, by, as_json)


def _said(
    invocation: Invocation,
    name: str,
    number: int,
    word: Word,
    note: str,
    by: str | None,
    as_json: bool,
    *,
    until: Date | None = None,
) -> int:
    from infra.cli.incident_table import line_of
    from tasks.incident_acts import say as say_of
    from tasks.night import actor

    with opened(invocation, name) as (services, dataset):
        who = (by or "").strip() or actor()
        incident = say_of(services, dataset, number, word, actor=who, note=note, until=until)
    if as_json:
        show(incident.model_dump(mode="json"))
    else:
        say(line_of(incident))
    return Exit.DONE
