"""`notify`: try the routes, see what was told, send what waits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from infra.cli.invocation import Invocation, say, show, with_json
from schemas.errors import Exit, UsageError

if TYPE_CHECKING:
    from infra.runtime.notices import Notice
    from tasks.services import Services


@click.group()
def notify() -> None:
    """Try the routes, see what was told, and send what waits."""


@notify.command()
@click.argument("route", metavar="[ROUTE]", required=False)
@with_json
@click.pass_obj
def test(invocation: Invocation, route: str | None, as_json: bool) -> int:
    """Send a test message on ROUTE, or on every route, and say whether it was taken.

    Filters of the route do not count here. Nothing is written down, and nothing is tried again.
    """
    from tasks.notify_trial import try_routes

    with _opened(invocation) as services:
        tried = try_routes(services, _names(services, route))
    if as_json:
        show([each.as_dict() for each in tried])
    else:
        for each in tried:
            say(f"{each.route}: {'taken' if each.taken else f'NOT taken: {each.reason}'}  {each.seconds:.1f} s")
    return Exit.DONE if all(each.taken for each in tried) else Exit.FAILED


@notify.command("list")
@click.option("--failed", is_flag=True, help="Only those that were not taken: given up, or waiting for another try.")
@click.option("--route", metavar="ROUTE", help="Only those on this route.")
@click.option(
    "--last", type=click.IntRange(min=1), default=20, show_default=True, help="How many to show, newest first."
)
@with_json
@click.pass_obj
def list_(invocation: Invocation, failed: bool, route: str | None, last: int, as_json: bool) -> int:
    """Show messages: what was told on which route, what waits, and why it was not taken."""
    with _opened(invocation) as services:
        found = services.state.notices(
            statuses=("failed", "waiting", "sending") if failed else None, route=route, limit=None if failed else last
        )
    shown = [notice for notice in found if not failed or notice.error][:last]
    if as_json:
        show([_as_dict(notice) for notice in shown])
        return Exit.DONE
    for notice in shown:
        say(_line(notice))
    if not shown:
        say("No message failed." if failed else "No message was written yet.")
    return Exit.DONE


@notify.command()
@click.option("--failed", is_flag=True, help="Also what was given up, once its route is mended.")
@with_json
@click.pass_obj
def send(invocation: Invocation, failed: bool, as_json: bool) -> int:
    """Send what waits now, also what waits for its next try."""
    from datetime import UTC, datetime

    from tasks.notify import send_waiting

    now = datetime.now(UTC)
    with _opened(invocation) as services:
        if failed:
            services.state.revive_notices(now)
        sending = send_waiting(services, now, early=True)
        left = sum(services.state.notice_counts().get(status, 0) for status in ("waiting", "sending"))
    if as_json:
        refused = [{**vars(each), "next_try": _moment(each.next_try)} for each in sending.refusals]
        show({"taken": sending.taken, "not_taken": refused, "waiting": left})
    else:
        say(f"{sending.taken} taken, {len(sending.refusals)} not taken, {left} waiting")
        for each in sending.refusals:
            again = f"again at {_moment(each.next_try)}" if each.next_try else "given up"
            say(f"  {each.route}: {each.reason} ({each.subject}; tries: {each.tries}; {again})")
    return Exit.FAILED if sending.refusals else Exit.DONE


@notify.command()
@click.argument("numbers", metavar="[NUMBER]...", nargs=-1, type=int)
@click.option("--failed", is_flag=True, help="All that were given up.")
@click.option("--by", metavar="NAME", help="Who says so; the user of this machine where no name is given.")
@with_json
@click.pass_obj
def forget(invocation: Invocation, numbers: tuple[int, ...], failed: bool, by: str | None, as_json: bool) -> int:
    """Let nobody be reminded of messages that were given up; NUMBER is that of `notify list`."""
    from tasks.night import actor

    if bool(numbers) == failed:
        raise UsageError("say which messages are meant, in one way", hint="sereno notify forget NUMBER, or --failed")
    with _opened(invocation) as services:
        count = services.state.forget_notices((by or "").strip() or actor(), None if failed else numbers)
    if as_json:
        show({"forgotten": count})
    else:
        say(f"{count} forgotten")
    return Exit.DONE


@contextmanager
def _opened(invocation: Invocation) -> Iterator[Services]:
    from infra.runtime.project import quiet_environment
    from tasks.services import open_services

    project, resolved = invocation.resolved()
    quiet_environment(project)
    with open_services(project, resolved.settings) as services:
        yield services


def _names(services: Services, route: str | None) -> list[str]:
    from schemas.yaml_source import nearest

    known = list(services.settings.notify.routes)
    if not known:
        raise UsageError(
            "There are no routes.", hint="name one in sereno.yaml: `notify.routes.NAME.url`; see docs/notifications.md"
        )
    if route is not None and route not in known:
        raise UsageError(
            f"There is no route `{route}`{nearest(route, known)}; routes here: {', '.join(known)}",
            hint="they stand in sereno.yaml below `notify.routes`",
        )
    return known if route is None else [route]


def _line(notice: Notice) -> str:
    message = notice.message
    why = f": {notice.error}" if notice.error else ""
    then = f", next try {_moment(notice.not_before)}" if notice.status == "waiting" and notice.error else ""
    tries = f" (tries: {notice.attempts}{then})" if notice.attempts > 1 or then else ""
    return f"{notice.id}  {_moment(notice.made_at)}  {notice.route}  {notice.status}{tries}  {message.subject}{why}"


def _as_dict(notice: Notice) -> dict[str, Any]:
    moments = {name: _moment(getattr(notice, name)) for name in ("made_at", "not_before", "sent_at")}
    plain = {name: getattr(notice, name) for name in ("id", "route", "status", "attempts", "error", "attachment")}
    return {**plain, **moments, "message": notice.message.model_dump(mode="json")}


def _moment(moment: Any) -> str | None:
    return None if moment is None else moment.isoformat(timespec="seconds").replace("+00:00", "Z")
