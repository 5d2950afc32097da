"""Commands that work on nights: run, backfill, validate, train, score."""

from __future__ import annotations

from datetime import date as Date
from typing import TYPE_CHECKING

import click

from infra.cli.asking_commands import DETACH, WATCH, asked_of_service
from infra.cli.invocation import DATE, Invocation, say, show, with_dataset, with_date, with_json
from schemas.errors import Exit, UsageError

if TYPE_CHECKING:
    from infra.runtime.requests import Work
    from schemas.results import NightResult

SEED = click.option(
    "--seed", type=click.IntRange(min=0), help="Seed of this training, instead of the dataset's or project's."
)
FORCE = click.option("--force", is_flag=True, help="Do the night again although it is done.")


@click.command()
@with_dataset
@with_date
@click.option("--no-train", is_flag=True, help="Score with the champion; train nothing.")
@SEED
@FORCE
@click.option("--accept", is_flag=True, help="Take a night that the expectations hold; who did so is recorded.")
@DETACH
@WATCH
@with_json
def run(
    invocation: Invocation,
    dataset: str,
    night: Date,
    *,
    no_train: bool,
    seed: int | None,
    force: bool,
    accept: bool,
    detach: bool,
    watch: bool,
    as_json: bool,
) -> int:
    """Do one night of the dataset NAME: ingest, validate, train, score, report.

    Asked twice for the same night and inputs, it says that the night is already done.
    """
    if detach or watch:
        asked = {"train": not no_train, "seed": seed, "force": force, "accept": accept}
        return asked_of_service(invocation, dataset, "nightly", night, asked, watch=watch, as_json=as_json)
    from infra.cli.night_output import exit_code, print_result
    from infra.cli.orchestrated import one_night
    from tasks.night import NightOptions

    options = NightOptions(train=not no_train, seed=seed, force=force, accept=accept)
    result = one_night(invocation, dataset, night, options)
    print_result(result, as_json)
    return exit_code(result)


@click.command()
@with_dataset
@click.option("--from", "first", type=DATE, required=True, metavar="DATE", help="First logical date.")
@click.option("--to", "last", type=DATE, required=True, metavar="DATE", help="Last logical date, included.")
@click.option("--no-train", is_flag=True, help="Score with the champion; train nothing.")
@SEED
@FORCE
@click.option("--version", metavar="N", help="Only score the validated nights again, with this detector version.")
@click.option(
    "--parallel",
    type=click.IntRange(1, 64),
    metavar="K",
    help="With --version: so many nights at once; the number of cores where none is given.",
)
@click.option("--plan", "only_plan", is_flag=True, help="Say what there is to do, and how long it takes; do nothing.")
@DETACH
@WATCH
@with_json
def backfill(
    invocation: Invocation,
    dataset: str,
    first: Date,
    last: Date,
    *,
    no_train: bool,
    seed: int | None,
    force: bool,
    version: str | None,
    parallel: int | None,
    only_plan: bool,
    detach: bool,
    watch: bool,
    as_json: bool,
) -> int:
    """Do a range of nights of the dataset NAME, in order, a line each.

    Says first how many nights there are to do, and about how long that takes. Nights that are done are skipped, so that
    a stopped backfill goes on; a night that fails or is blocked does not stop the next ones. The exit code is
    that of the worst night.

    Nights depend on the nights before them, so they are done in order. With --version nothing is read or trained again:
    the rows that were accepted are scored with that version, side by side.
    """
    from infra.cli.night_output import one_line, worst
    from infra.cli.orchestrated import many_nights, many_scored
    from infra.runtime.compute import cores
    from tasks.night import NightOptions

    if parallel is not None and version is None:
        raise UsageError("--parallel needs --version", hint="nights that are more than scored depend on each other")

    def told(result: NightResult) -> None:
        if not as_json:
            say(one_line(result))

    if only_plan or not (as_json or version or detach or watch):
        _tell_plan(invocation, dataset, first, last, no_train=no_train, force=force, as_json=as_json)
    if only_plan:
        return Exit.DONE
    side_by_side = parallel or cores()
    if detach or watch:
        asked = {"first": first.isoformat(), "last": last.isoformat(), "force": force}
        how = {"version": version, "parallel": side_by_side} if version else {"train": not no_train, "seed": seed}
        kind: Work = "rescoring" if version else "backfill"
        return asked_of_service(invocation, dataset, kind, None, {**asked, **how}, watch=watch, as_json=as_json)
    if version is not None:
        nights = many_scored(invocation, dataset, first, last, version, told, parallel=side_by_side, force=force)
    else:
        nights = many_nights(
            invocation, dataset, first, last, NightOptions(train=not no_train, seed=seed, force=force), told
        )
    if as_json:
        show([result.model_dump(mode="json") for result, _ in nights])
    elif not nights:
        say(f"{dataset}: version {version} scored these nights already; score them again with --force")
    return worst(code for _, code in nights)


def _tell_plan(
    invocation: Invocation, name: str, first: Date, last: Date, *, no_train: bool, force: bool, as_json: bool
) -> None:
    from tasks.plan_range import plan_range

    if last < first:
        raise UsageError(f"--from {first} is after --to {last}", hint="swap the two dates")
    project, resolved = invocation.resolved()
    found = invocation.dataset(project, name)
    ahead = plan_range(project, resolved.settings, found, first, last, train=not no_train, force=force)
    if as_json:
        show(ahead.model_dump(mode="json"))
    else:
        say(ahead.line())


@click.command()
@with_dataset
@with_date
@FORCE
@click.option("--accept", is_flag=True, help="Take a night that the expectations hold; who did so is recorded.")
@with_json
def validate(invocation: Invocation, dataset: str, night: Date, force: bool, accept: bool, as_json: bool) -> int:
    """Ingest and validate one night of the dataset NAME; trains and scores nothing."""
    from infra.cli.night_output import VALIDATED_FIELDS, exit_code, print_result
    from infra.cli.orchestrated import one_night
    from tasks.night import NightOptions

    result = one_night(invocation, dataset, night, NightOptions(force=force, accept=accept, only_validate=True))
    print_result(result, as_json, VALIDATED_FIELDS)
    return exit_code(result)


@click.command()
@with_dataset
@click.option(
    "--from",
    "first",
    type=DATE,
    metavar="DATE",
    help="First night of the window; the dataset's window where none is given.",
)
@click.option("--to", "last", type=DATE, metavar="DATE", help="Last night of the window, included.")
@SEED
@with_json
def train(
    invocation: Invocation, dataset: str, first: Date | None, last: Date | None, seed: int | None, as_json: bool
) -> int:
    """Train a detector for the dataset NAME on nights that were validated, and let the gate judge it."""
    from infra.cli.night_output import print_training
    from infra.cli.orchestrated import one_training

    outcome = one_training(invocation, dataset, first, last, seed)
    return print_training(outcome, as_json)


@click.command()
@with_dataset
@with_date
@click.option("--version", "version", metavar="N", help="The detector version; the champion where none is given.")
@with_json
def score(invocation: Invocation, dataset: str, night: Date, version: str | None, as_json: bool) -> int:
    """Score one validated night of the dataset NAME again."""
    from infra.cli.night_output import exit_code, print_result
    from infra.cli.orchestrated import one_night
    from tasks.night import NightOptions

    result = one_night(invocation, dataset, night, NightOptions(train=False, only_score=True, version=version))
    print_result(result, as_json)
    return exit_code(result)
