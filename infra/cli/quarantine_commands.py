"""`quarantine`: rows that did not meet the contract, looked at and released."""

from __future__ import annotations

from datetime import date as Date
from typing import TYPE_CHECKING, Any

import click

from infra.cli.invocation import DATE, Invocation, say, show, with_dataset, with_date, with_json
from infra.cli.opened import opened
from schemas.errors import Exit, UsageError

if TYPE_CHECKING:
    from infra.runtime.releases import Release
    from tasks.quarantine_list import Choice, Listed
    from tasks.release import ReleaseOutcome
    from tasks.release_rows import QuarantinedRow

MOST_SHOWN = 20
SOME_NIGHT = click.option(
    "--date", "night", type=DATE, metavar="DATE", help="One night, YYYY-MM-DD; the newest ones where none is given."
)
RULE = click.option("--rule", metavar="RULE", help="Rows that failed this rule, e.g. max, values, null.")
COLUMN = click.option("--column", metavar="COLUMN", help="Rows that failed in this column.")


@click.group()
def quarantine() -> None:
    """List, show and release rows that did not meet the contract."""


@quarantine.command("list")
@with_dataset
@SOME_NIGHT
@RULE
@COLUMN
@click.option("--last", type=click.IntRange(min=1), default=14, show_default=True, help="How many nights to look at.")
@click.option("--limit", type=click.IntRange(min=0), default=50, show_default=True, help="How many rows to list.")
@with_json
def list_(
    invocation: Invocation,
    dataset: str,
    night: Date | None,
    rule: str | None,
    column: str | None,
    last: int,
    limit: int,
    as_json: bool,
) -> int:
    """Count the quarantined rows of the dataset NAME by night, column and rule, then list them."""
    from tasks.quarantine_list import Choice, as_dict, list_quarantine, releases_like

    choice = Choice(column, rule)
    with opened(invocation, dataset) as (services, found):
        listed = list_quarantine(services, found, choice, night=night, most=limit, nights=last)
        released = releases_like(services, found, choice, night)
    if as_json:
        counts = [{"date": str(day), "column": c, "rule": r, "rows": rows} for day, c, r, rows in listed.counts]
        rows = [as_dict(day, row, found) for day, row in listed.rows]
        shown = [_release(release) for release in released]
        show({"dataset": dataset, "total": listed.total, "counts": counts, "rows": rows, "released": shown})
    else:
        _print_list(dataset, listed, released)
    return Exit.DONE


@quarantine.command("show")
@with_dataset
@click.argument("row", metavar="ROW")
@SOME_NIGHT
@with_json
def show_(invocation: Invocation, dataset: str, row: str, night: Date | None, as_json: bool) -> int:
    """Show one quarantined row of the dataset NAME: all that is wrong with it, and the row as it was read.

    ROW is FILE:LINE, or the row's key.
    """
    from tasks.quarantine_list import as_dict, show_row
    from tasks.release_rows import why_not

    with opened(invocation, dataset) as (services, found):
        rows = show_row(services, found, row, night=night)
    if as_json:
        show([as_dict(day, one, found) for day, one in rows])
        return Exit.DONE
    for day, one in rows:
        _print_row(day, one, why_not(one, found, as_missing=False))
    return Exit.DONE


@quarantine.command()
@with_dataset
@with_date
@click.option("--key", metavar="KEY", help="The row of this key.")
@click.option("--line", metavar="FILE:LINE", help="The row of this line.")
@click.option("--rule", metavar="RULE", help="All rows that failed this rule and nothing else.")
@click.option("--column", metavar="COLUMN", help="All rows that failed in this column and nowhere else.")
@click.option("--all", "everything", is_flag=True, help="All rows of the night that can be released.")
@click.option("--as-missing", is_flag=True, help="Take values that cannot be read (text for a number) as missing.")
@click.option("--reason", required=True, help="Why; it is recorded, and stands in the report.")
@with_json
def release(
    invocation: Invocation,
    dataset: str,
    *,
    night: Date,
    key: str | None,
    line: str | None,
    rule: str | None,
    column: str | None,
    everything: bool,
    as_missing: bool,
    reason: str,
    as_json: bool,
) -> int:
    """Let quarantined rows of one night of the dataset NAME pass: they are accepted and scored; the rest stays.

    Later runs of the night keep them. Ragged rows and repeated keys cannot be released.
    """
    from tasks.night import actor
    from tasks.release import ReleaseRequest
    from tasks.release import release as release_rows

    choice = _choice(key, line, rule, column, everything=everything)
    with opened(invocation, dataset) as (services, found):
        asked = ReleaseRequest(night, choice, reason, actor(), as_missing)
        outcome = release_rows(services, found, asked)
    if as_json:
        refused = [{"file": row.file, "line": row.line, "key": row.key, "why": why} for row, why in outcome.refused]
        facts = {"released": outcome.released, "already": outcome.already, "alerts": outcome.alerts}
        show({"dataset": dataset, "date": str(night), **facts, "refused": refused, "night": _night(outcome)})
    else:
        _print_outcome(dataset, night, outcome)
    return Exit.DONE


def _choice(key: str | None, line: str | None, rule: str | None, column: str | None, *, everything: bool) -> Choice:
    from tasks.quarantine_list import Choice, place_of

    given = [key is not None, line is not None, rule is not None or column is not None, everything]
    if sum(given) != 1:
        raise UsageError(
            "say which rows are meant, in one way",
            hint="--key K, --line FILE:LINE, --rule R and/or --column C, or --all",
        )
    return Choice(column, rule, key, place_of(line) if line is not None else None)


def _release(release: Release) -> dict[str, Any]:
    row = release.row
    return {
        "date": str(release.night),
        "file": row.file,
        "line": row.line,
        "key": row.key,
        "failures": [{"column": column, "rule": rule} for column, rule in row.failures],
        "by": release.actor,
        "at": release.at.isoformat(timespec="seconds"),
        "reason": release.reason,
        "run": release.run_id,
    }


def _night(outcome: ReleaseOutcome) -> dict[str, Any]:
    return outcome.result.model_dump(mode="json")


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count:,} rows"


def _print_list(name: str, listed: Listed, released: tuple[Release, ...]) -> None:
    from tasks.report_text import visible

    for day, column, rule, rows in listed.counts:
        say(f"{day}  {rows:>9,}  {visible(column)}  {visible(rule)}")
    if listed.rows:
        say("")
    for day, row in listed.rows:
        failed = "; ".join(f"{f.column} {f.rule}: {f.value!r}" for f in row.failures)
        say(visible(f"{day}  {row.file}:{row.line}  {row.key or '-'}  {failed}"))
    if listed.total > len(listed.rows):
        say(f"... {listed.total - len(listed.rows):,} more rows; see more with --limit, or fewer with --rule, --column")
    if not listed.total:
        say(f"{name}: no quarantined rows")
    for past in released[-MOST_SHOWN:]:
        who = f"{past.at:%Y-%m-%d %H:%M} UTC by {past.actor}: {past.reason}"
        say(visible(f"{past.night}  {past.row.file}:{past.row.line}  {past.row.key or '-'}  released {who}"))
    if len(released) > MOST_SHOWN:
        say(f"... {len(released) - MOST_SHOWN:,} earlier releases; see them with --json")


def _print_row(night: Date, row: QuarantinedRow, refused: str | None) -> None:
    from tasks.report_text import visible

    say(visible(f"{night}  {row.file}, line {row.line}, key {row.key or '-'}"))
    for failure in row.failures:
        say(visible(f"  {failure.column}  {failure.rule}: {failure.value!r}"))
    say(f"  row: {visible(row.raw)}")
    say(f"  it can be released: {'yes' if refused is None else visible(f'no, {refused}')}")


def _print_outcome(name: str, night: Date, outcome: ReleaseOutcome) -> None:
    from tasks.report_text import visible

    if outcome.released:
        scored = f", {outcome.alerts:,} of them alerts" if outcome.alerts is not None else ""
        say(f"{name} {night}: released {_rows(outcome.released)}{scored}")
        rows = outcome.result.rows
        say(f"  {rows.read:,} read, {rows.accepted:,} accepted, {rows.quarantined:,} quarantined")
    if outcome.already:
        say(f"{name} {night}: {_rows(outcome.already)} released before")
    for row, why in outcome.refused[:MOST_SHOWN]:
        say(visible(f"  stays: {row.file}:{row.line}  {why}"))
    if len(outcome.refused) > MOST_SHOWN:
        say(f"  ... and {len(outcome.refused) - MOST_SHOWN:,} more rows stay; see them with --json")
    if outcome.result.report:
        say(f"report: {outcome.result.report}")
