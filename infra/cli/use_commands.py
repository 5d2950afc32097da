"""Commands that use a trained detector beside scoring: embed, clean, generate."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date as Date
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from infra.cli.invocation import Invocation, say, show, with_dataset, with_date, with_json
from infra.cli.opened import opened
from schemas.errors import Exit

if TYPE_CHECKING:
    from tasks.uses import Written

F = TypeVar("F", bound=Callable[..., Any])


def with_target(function: F) -> F:
    """Give a command `--to` and `--version`."""
    version = click.option("--version", metavar="V", help="The detector's version; the champion where none is given.")
    target = click.option(
        "--to",
        "target",
        required=True,
        metavar="FILE",
        type=click.Path(dir_okay=False),
        help="A .csv, .jsonl or .parquet file.",
    )
    return target(version(function))


@click.command()
@with_dataset
@with_date
@with_target
@with_json
def embed(invocation: Invocation, dataset: str, night: Date, *, target: str, version: str | None, as_json: bool) -> int:
    """Write the codes of one night's accepted rows of the dataset NAME to a file.

    Columns: the key columns, entity and event_time where the dataset has them, code_1, code_2 and so on.
    """
    from tasks.uses import embed as write_codes

    with opened(invocation, dataset) as (services, found):
        written = write_codes(services, found, night, Path(target), version=version)
    _tell(written, target, as_json=as_json, date=night.isoformat())
    return Exit.DONE


@click.command()
@with_dataset
@with_date
@with_target
@with_json
def clean(invocation: Invocation, dataset: str, night: Date, *, target: str, version: str | None, as_json: bool) -> int:
    """Write one night's accepted rows of the dataset NAME to a file, with values as the detector expected them.

    Missing values are filled. Columns that the detector does not read stay as they are; sensitive ones are left out.
    """
    from tasks.uses import clean as write_cleaned

    with opened(invocation, dataset) as (services, found):
        written = write_cleaned(services, found, night, Path(target), version=version)
    _tell(written, target, as_json=as_json, date=night.isoformat())
    return Exit.DONE


@click.command()
@with_dataset
@click.option("--rows", type=click.IntRange(min=1), required=True, metavar="N", help="How many rows to make up.")
@with_target
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    metavar="S",
    help="Decides the draws: the same seed gives the same rows.",
)
@with_json
def generate(
    invocation: Invocation, dataset: str, *, rows: int, target: str, version: str | None, seed: int, as_json: bool
) -> int:
    """Write made-up rows like those of the dataset NAME to a file; for detectors of a family with a prior.

    Columns: those that the detector reads, without sensitive ones.
    """
    from tasks.uses import generate as write_generated

    with opened(invocation, dataset) as (services, found):
        written = write_generated(services, found, rows, Path(target), version=version, seed=seed)
    _tell(written, target, as_json=as_json, seed=seed)
    return Exit.DONE


def _tell(written: Written, target: str, *, as_json: bool, **asked: Any) -> None:
    from dataclasses import asdict

    if as_json:
        show({**asdict(written), **asked, "file": target})
        return
    say(f"wrote {written.rows:,} rows to {target}, by version {written.version} of the detector")
    if written.left_out:
        say(f"left out, as they are sensitive: {', '.join(written.left_out)}")
