"""`tokens` and `audit`: who may speak to the HTTP side, and who did what."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, time, timedelta
from datetime import date as Date
from typing import TYPE_CHECKING, Any

import click

from infra.cli.invocation import DATE, Invocation, say, show, with_json
from schemas.errors import Exit

if TYPE_CHECKING:
    from infra.runtime.events import Event
    from infra.runtime.state import State
    from infra.runtime.tokens import Role, Token

LONGEST_DAYS = 36_500


@click.group()
def tokens() -> None:
    """Say who may speak to the HTTP side."""


@tokens.command()
@click.argument("name")
@click.option(
    "--role",
    type=click.Choice(["read", "operate", "admin"]),
    required=True,
    help="read: look; operate: also ask for runs, label, switch schedules; admin: also revoke tokens.",
)
@click.option(
    "--expires",
    "days",
    type=click.IntRange(1, LONGEST_DAYS),
    metavar="DAYS",
    help="Valid for so many days; until it is revoked where none are given.",
)
@with_json
@click.pass_obj
def add(invocation: Invocation, name: str, role: Role, days: int | None, as_json: bool) -> int:
    """Make a token called NAME and print it, this once: only a hash of it is kept.

    NAME stands in the records as who did what was done with it.
    """
    from tasks.night import actor

    until = datetime.now(UTC) + timedelta(days=days) if days is not None else None
    with _state(invocation) as state:
        token, text = state.add_token(name, role, actor=actor(), expires_at=until)
    if as_json:
        show({**_as_dict(token), "token": text})
        return Exit.DONE
    # The token alone on stdout, so that a script can take it.
    say(f"{name}: role {role}, {_validity(token)}; it is shown this once", err=True)
    say(text)
    return Exit.DONE


@tokens.command("list")
@with_json
@click.pass_obj
def list_(invocation: Invocation, as_json: bool) -> int:
    """List the tokens, the expired and revoked ones included."""
    with _state(invocation) as state:
        found = state.tokens()
    if as_json:
        show([_as_dict(token) for token in found])
        return Exit.DONE
    for token in found:
        say(f"{token.name}  {token.role}  {_validity(token)}  (made by {token.actor}, {token.at:%Y-%m-%d %H:%M} UTC)")
    if not found:
        say("there are no tokens; make one: sereno tokens add NAME --role read")
    return Exit.DONE


@tokens.command()
@click.argument("name")
@click.pass_obj
def revoke(invocation: Invocation, name: str) -> int:
    """Make the token called NAME worthless, from now on."""
    from tasks.night import actor

    with _state(invocation) as state:
        state.revoke_token(name, actor=actor())
    say(f"{name}: revoked")
    return Exit.DONE


@click.command()
@click.argument("dataset", metavar="[NAME]", required=False)
@click.option("--since", type=DATE, metavar="DATE", help="Only from this day on (UTC), YYYY-MM-DD.")
@click.option("--last", type=click.IntRange(min=1), default=50, show_default=True, help="At most so many.")
@with_json
@click.pass_obj
def audit(invocation: Invocation, dataset: str | None, since: Date | None, last: int, as_json: bool) -> int:
    """Show what happened and who did it, of the dataset NAME or of all, oldest first.

    Who promoted, rolled back, recalibrated, labelled, released, took a blocked night, switched a schedule, asked for a
    run, made or revoked a token; and the faults of the service.
    """
    begins = datetime.combine(since, time(), UTC) if since is not None else None
    with _state(invocation) as state:
        found = state.events(dataset, since=begins, limit=last)[::-1]
    if dataset is not None and not found:
        # Of a dataset whose file is gone the record stays; one that never was is a slip.
        invocation.dataset(invocation.resolved()[0], dataset)
    if as_json:
        show([_event_dict(event) for event in found])
        return Exit.DONE
    for event in found:
        say(f"{event.at:%Y-%m-%d %H:%M:%S} UTC  {event.level:<7}  {event.kind:<18}  {_one_line(event.text)}")
    if not found:
        say("nothing was done yet that is recorded here")
    return Exit.DONE


@contextmanager
def _state(invocation: Invocation) -> Iterator[State]:
    from tasks.services import open_services

    project, resolved = invocation.resolved()
    with open_services(project, resolved.settings) as services:
        yield services.state


def _validity(token: Token) -> str:
    if token.revoked_at is not None:
        return f"revoked {token.revoked_at:%Y-%m-%d %H:%M} UTC"
    if token.expires_at is None:
        return "valid until it is revoked"
    return f"{'valid until' if token.standing() == 'valid' else 'expired'} {token.expires_at:%Y-%m-%d %H:%M} UTC"


def _as_dict(token: Token) -> dict[str, Any]:
    return {
        "name": token.name,
        "role": token.role,
        "standing": token.standing(),
        "made_by": token.actor,
        "made_at": _iso(token.at),
        "expires_at": _iso(token.expires_at),
        "revoked_at": _iso(token.revoked_at),
    }


def _event_dict(event: Event) -> dict[str, Any]:
    return {
        "id": event.id,
        "at": _iso(event.at),
        "kind": event.kind,
        "level": event.level,
        "dataset": event.dataset,
        "date": event.night.isoformat() if event.night else None,
        "actor": event.actor,
        "text": event.text,
        "detail": dict(event.detail),
    }


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="seconds")


def _one_line(text: str) -> str:
    return " ".join(text.split())
