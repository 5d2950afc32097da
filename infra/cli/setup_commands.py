"""Commands of the first day: init, doctor, config."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from infra.cli.invocation import Invocation, on_terminal, say, show, with_json
from schemas.errors import Exit

if TYPE_CHECKING:
    from tasks.init import Proposal


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False))
@click.option(
    "--from", "patterns", metavar="GLOB", multiple=True, required=True, help="The files to look at; may be given again."
)
@click.option("--name", metavar="NAME", help="Name of the dataset; taken from the files where none is given.")
@click.option("--key", metavar="COLUMNS", help="Columns that name a row, joined by commas.")
@click.option("--time", "time", metavar="COLUMN", help="The column that says when a row happened.")
@click.option("--entity", metavar="COLUMN", help="The column that says which machine or host a row is about.")
@click.option(
    "--budget", type=click.FloatRange(min=0, min_open=True), help="About how many alerts a night you want to look at."
)
@click.option("--force", is_flag=True, help="Overwrite a dataset file that is there.")
@with_json
def init(  # noqa: PLR0917 -- click passes options by name
    folder: str,
    patterns: tuple[str, ...],
    name: str | None,
    key: str | None,
    time: str | None,
    entity: str | None,
    budget: float | None,
    force: bool,
    as_json: bool,
) -> int:
    """Look at real files and write DIR/sereno.yaml and DIR/datasets/NAME.yaml for them.

    DIR may exist. The dataset file holds the contract, expectations and features, with the reason of each decision as a
    comment; edit it as you like.
    """
    from tasks.init import propose_dataset, write_project

    root = Path(folder).expanduser().resolve()
    proposal = propose_dataset(
        patterns, root, name=name, key=key.split(",") if key else None, time=time, entity=entity, budget=budget
    )
    overwrite = force or (not as_json and _may_overwrite(root, proposal.dataset.name))
    written = write_project(root, proposal, overwrite=overwrite)
    if as_json:
        show(
            {
                "dataset": proposal.dataset.name,
                "written": [str(path) for path in written],
                "notes": list(proposal.notes),
            }
        )
        return Exit.DONE
    _tell_proposal(proposal, root, written)
    return Exit.DONE


def _may_overwrite(root: Path, name: str) -> bool:
    path = root / "datasets" / f"{name}.yaml"
    if not path.exists() or not (on_terminal() and sys.stdin.isatty()):
        return False
    return click.confirm(f"{path} is there already. Overwrite it?", err=True)


def _tell_proposal(proposal: Proposal, root: Path, written: tuple[Path, ...]) -> None:
    dataset = proposal.dataset
    left_out = sum(column.left_out is not None for column in dataset.columns.values())
    say(f"{dataset.name}: {len(dataset.columns)} columns, {len(dataset.features)} features, {left_out} left out")
    for note in proposal.notes:
        say(f"  {note}")
    for path in written:
        say(f"wrote {path}")
    first, last = proposal.nights or ("DATE", "DATE")
    say(f"next: sereno --project {root} plan {dataset.name} --date {last}")
    if first != last:
        say(f"then: sereno --project {root} backfill {dataset.name} --from {first} --to {last}")


MARKS = {"ok": "ok   ", "note": "note ", "wrong": "WRONG"}


@click.command()
@click.option(
    "--repair", "repairs", is_flag=True, help="First put right what stopped runs left, and say each thing that was."
)
@with_json
@click.pass_obj
def doctor(invocation: Invocation, repairs: bool, as_json: bool) -> int:
    """Check this machine and, in a project folder, the project: versions, settings, stores, dataset files, runs.

    Finds the misconfigurations that are most likely and names what mends each; docs/doctor.md lists them. Ends with 1
    where something is wrong.
    """
    from infra.cli.checkup import check_up, repair

    mended = repair(invocation) if repairs else []
    findings = check_up(invocation)
    if as_json:
        shown = [finding.as_dict() for finding in findings]
        show({"repaired": mended, "findings": shown} if repairs else shown)
    else:
        for sentence in mended or ["nothing to repair"] * repairs:
            say(f"mended {sentence}" if mended else sentence)
        for finding in findings:
            say(f"{MARKS[finding.level]} {finding.what}: {finding.found}")
            if finding.hint and finding.level != "ok":
                say(f"      Hint: {finding.hint}")
    return Exit.DONE if all(finding.ok for finding in findings) else Exit.FAILED


@click.group()
def config() -> None:
    """Show the settings in force."""


@config.command("show")
@click.option("--resolved", is_flag=True, help="Also the defaults, and where each value came from.")
@with_json
@click.pass_obj
def config_show(invocation: Invocation, resolved: bool, as_json: bool) -> int:
    """Print the settings; secrets are masked."""
    from infra.cli.settings_table import rows_of

    _, found = invocation.resolved()
    rows = [row for row in rows_of(found) if resolved or row["origin"] != "default"]
    if as_json:
        show(rows)
        return Exit.DONE
    for row in rows:
        say(f"{row['name']} = {row['value']}" + (f"    ({row['origin']})" if resolved else ""))
    if not rows:
        say("Every setting has its default; see them with: sereno config show --resolved")
    return Exit.DONE
