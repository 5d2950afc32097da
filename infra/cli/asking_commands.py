"""Commands about runs that the service does: cancel, retry, and what `--detach` and `--watch` of others ask for."""

from __future__ import annotations

from datetime import date as Date
from typing import TYPE_CHECKING, Any

import click

from infra.cli.invocation import Invocation, say, show, with_dataset, with_date, with_json
from infra.cli.opened import opened
from infra.cli.service_status import request_row
from schemas.errors import Exit, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from infra.runtime.requests import Request, Work
    from schemas.dataset import Dataset
    from tasks.night import NightOptions
    from tasks.services import Services

DETACH = click.option("--detach", is_flag=True, help="Have the service do it (`sereno up`), and come back at once.")
WATCH = click.option("--watch", is_flag=True, help="Have the service do it, and show its stages until it is over.")


def asked_of_service(
    invocation: Invocation,
    dataset: str,
    kind: Work,
    night: Date | None,
    options: Mapping[str, Any],
    *,
    watch: bool,
    as_json: bool,
) -> int:
    """Ask the service for a run, and come back at once or when it is over; returns the exit code."""
    from infra.cli.night_output import print_result
    from infra.cli.watching import code_of, watched

    with opened(invocation, dataset) as (services, found):
        request = _ask(services, found, kind, night, options)
        if not watch:
            _tell_asked(services, request, as_json)
            return Exit.DONE
        result = watched(services, request)
        request = services.state.request(request.id)
    if result is not None:
        print_result(result, as_json)
    elif as_json:
        show(request_row(request))
    else:
        say(f"request {request.id}: {request.status}  {request.reason}")
    return code_of(result)


def _ask(services: Services, dataset: Dataset, kind: Work, night: Date | None, options: Mapping[str, Any]) -> Request:
    from infra.runtime.requests import Asked
    from tasks.night import actor

    given = {name: value for name, value in options.items() if value is not None}
    request = services.state.ask(Asked(dataset.name, kind, "command", actor(), night, given))
    if request is None:
        raise UsageError(f"{dataset.name} {night}: the night is asked for already", hint="look at it: sereno status")
    return request


def _tell_asked(services: Services, request: Request, as_json: bool) -> None:
    from infra.service.addresses import read_note

    is_up = read_note(services.project) is not None
    if as_json:
        show({**request_row(request), "service": "up" if is_up else "down"})
        return
    asked = request.asked
    say(f"{asked.dataset} {asked.night or asked.kind}: asked for, as request {request.id}")
    if not is_up:
        say("  nothing is done before the service is up: sereno up")


@click.command()
@with_dataset
@with_date
@click.option("--by", metavar="NAME", help="Who says so; the user of this machine where no name is given.")
@with_json
def cancel(invocation: Invocation, dataset: str, night: Date, by: str | None, as_json: bool) -> int:
    """End the run of one night of the dataset NAME, wherever it works, and call off what waits for the night."""
    from infra.service.cancelling import cancel_night
    from tasks.night import actor

    with opened(invocation, dataset) as (services, found):
        done = cancel_night(services, found, night, (by or "").strip() or actor())
    if as_json:
        show(done.as_dict())
        return Exit.DONE
    for sentence in done.sentences:
        say(sentence)
    return Exit.DONE


@click.command()
@with_dataset
@with_date
@DETACH
@WATCH
@with_json
def retry(invocation: Invocation, dataset: str, night: Date, detach: bool, watch: bool, as_json: bool) -> int:
    """Do the failed and missing stages of one night of the dataset NAME; what was finished is taken over."""
    from infra.cli.night_output import exit_code, print_result
    from infra.cli.orchestrated import one_night

    with opened(invocation, dataset) as (services, found):
        options = _options_of_last(services, found, night)
    if detach or watch:
        kind: Work = "validation" if options.only_validate else "nightly"
        return asked_of_service(invocation, dataset, kind, night, {}, watch=watch, as_json=as_json)
    result = one_night(invocation, dataset, night, options)
    print_result(result, as_json)
    return exit_code(result)


def _options_of_last(services: Services, dataset: Dataset, night: Date) -> NightOptions:
    from tasks.night import NightOptions

    last = next(iter(services.state.recent(dataset.name, night=night, kinds=["run", "validate"], limit=1)), None)
    if last is None:
        raise UsageError(
            f"{dataset.name} {night}: nothing was tried yet", hint=f"sereno run {dataset.name} --date {night}"
        )
    if last.status == "running":
        services.state.check_free(dataset.name, night)
    if last.status == "done":
        raise UsageError(
            f"{dataset.name} {night}: the night is done",
            hint=f"do all of it again with: sereno run {dataset.name} --date {night} --force",
        )
    return NightOptions(only_validate=last.kind == "validate")
