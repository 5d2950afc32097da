"""`recalibrate`: another threshold, without training."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from infra.cli.invocation import Invocation, say, show, with_dataset, with_json
from infra.cli.opened import opened
from schemas.errors import Exit
from schemas.threshold import in_words

if TYPE_CHECKING:
    from tasks.recalibrate import Recalibration


@click.command()
@with_dataset
@click.option("--budget", type=float, metavar="N", help="About how many alerts a usual night shall raise.")
@click.option("--share", type=float, metavar="S", help="Which share of a usual night's rows, e.g. 0.01.")
@click.option("--p-value", type=float, metavar="P", help="Alert where the p-value is at most so much, e.g. 0.001.")
@click.option("--risk", type=float, metavar="R", help="Chance that a usual row is an alert, by the tail, e.g. 0.00001.")
@click.option("--threshold", type=float, metavar="T", help="The score itself above which a row is an alert.")
@click.option("--version", metavar="V", help="The version to recalibrate; the champion where none is given.")
@click.option("--dry-run", is_flag=True, help="Only say what the last nights would have raised; changes nothing.")
@click.option("--reason", default="", help="Why; stands in the ledger.")
@with_json
def recalibrate(
    invocation: Invocation,
    dataset: str,
    *,
    budget: float | None,
    share: float | None,
    p_value: float | None,
    risk: float | None,
    threshold: float | None,
    version: str | None,
    dry_run: bool,
    reason: str,
    as_json: bool,
) -> int:
    """Give the detector of the dataset NAME another threshold, without training, and make that the champion.

    The threshold comes from the version's calibration scores; without an option, by the rule of the dataset file.
    """
    from tasks.night import actor
    from tasks.recalibrate import Wish
    from tasks.recalibrate import recalibrate as set_threshold

    wish = Wish(budget=budget, share=share, p_value=p_value, risk=risk, threshold=threshold)
    with opened(invocation, dataset) as (services, found):
        outcome = set_threshold(services, found, wish, version=version, dry_run=dry_run, reason=reason, actor=actor())
    if as_json:
        show({**asdict(outcome), "dry_run": dry_run})
    else:
        _print(outcome, dry_run=dry_run)
    return Exit.DONE


def _print(outcome: Recalibration, *, dry_run: bool) -> None:
    before, after = outcome.before, outcome.after
    if dry_run:
        say(f"{outcome.dataset}: version {outcome.source} would become another version (dry run)")
    elif outcome.changed:
        say(f"{outcome.dataset}: version {outcome.version} is champion: version {outcome.source} recalibrated")
    else:
        say(f"{outcome.dataset}: version {outcome.version} is champion already, with this threshold")
    say(f"  threshold {before.threshold:.4f} -> {after.threshold:.4f} ({in_words(after.rule)})")
    say(
        f"  about {after.budget:,.3g} alerts among {after.rows:,.0f} rows of a usual night ({after.share:.3%}), "
        f"before {before.budget:,.3g} among {before.rows:,.0f}"
    )
    say(
        f"  of the last {outcome.nights_seen} scored nights {len(outcome.nights)} have scores of this detector:"
        if outcome.nights
        else f"  none of the last {outcome.nights_seen} scored nights has scores of this detector"
    )
    for night in outcome.nights:
        marked = "  (its own rows trained it)" if night.in_sample else ""
        say(f"    {night.date}  {night.rows:,} rows  {night.before:,} alerts -> {night.after:,}{marked}")
    for note in outcome.notes:
        say(f"  note: {note}")
