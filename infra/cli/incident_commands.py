"""`incidents`: what alerts come to, and what people say of them."""

from __future__ import annotations

from datetime import date as Date
from pathlib import Path
from typing import TYPE_CHECKING

import click

from infra.cli.incident_list import list_, show_
from infra.cli.incident_words import NUMBER, ack, close, mute, note, unmute
from infra.cli.invocation import DATE, Invocation, say, show, with_dataset, with_json
from infra.cli.opened import opened
from schemas.errors import Exit, UsageError

if TYPE_CHECKING:
    from infra.runtime.labels import Label
    from tasks.labels import Said

FILE = click.Path(path_type=Path, dir_okay=False)
SOME_NIGHT = click.option(
    "--date", "night", type=DATE, metavar="DATE", help="The night, YYYY-MM-DD; all nights where none is given."
)


@click.group()
def incidents() -> None:
    """See which incidents alerts make, act on them, and say what alerts were."""


for command in (list_, show_, ack, mute, unmute, note, close):
    incidents.add_command(command)


@incidents.command()
@with_dataset
@click.option(
    "--date", "night", type=DATE, metavar="DATE", help="The row's night, YYYY-MM-DD; a file may have a column `date`."
)
@click.option("--key", metavar="KEY", help="The row's key, as the report shows it.")
@click.option(
    "--incident", "number", type=NUMBER, metavar="ID", help="All rows of an incident; of one night by --date."
)
@click.option("--as", "word", metavar="LABEL", help="anomaly, false_alarm or expected (unusual, and known why).")
@click.option("--note", default="", metavar="TEXT", help="Anything worth knowing, e.g. of what kind it is.")
@click.option(
    "--from",
    "source",
    type=FILE,
    metavar="FILE",
    help="A .csv, .jsonl or .parquet file with the columns `key` and `label`, and `note` and `date` where wanted.",
)
@click.option("--by", metavar="NAME", help="Who says it; the user of this machine where no name is given.")
@with_json
def label(
    invocation: Invocation,
    dataset: str,
    *,
    night: Date | None,
    key: str | None,
    number: int | None,
    word: str | None,
    note: str,
    source: Path | None,
    by: str | None,
    as_json: bool,
) -> int:
    """Say of rows of the dataset NAME that they are an anomaly, a false alarm, or expected.

    The newest word on a row counts, from the next run on. Rows labelled `anomaly` leave later trainings, and alerts
    like labelled false alarms are listed last or suppressed (`reducer` in the dataset file).
    """
    from tasks.incident_acts import label_incident
    from tasks.labels import label_rows
    from tasks.night import actor

    said = None if number is not None else _said(night, key, word, note, source)
    who = (by or "").strip() or actor()
    with opened(invocation, dataset) as (services, found):
        if number is not None:
            label = _label_of_incident(key, word, source)
            done = label_incident(services, found, number, label, actor=who, note=note, night=night)
        else:
            done = label_rows(services, found, said or [], who)
    if as_json:
        show({"dataset": dataset, "labelled": done.rows, "unsaid": done.unsaid})
        return Exit.DONE
    counts = ", ".join(f"{rows:,} {name}" for name, rows in done.rows.items()) or "nothing"
    say(f"{dataset}: labelled {counts}")
    if done.unsaid:
        say(f"  of {done.unsaid:,} other alerts of these nights nothing is said; alerts like them stay in sight")
    return Exit.DONE


@incidents.command("labels")
@with_dataset
@SOME_NIGHT
@click.option(
    "--to",
    "target",
    type=FILE,
    metavar="FILE",
    help="Write them to a .csv, .jsonl or .parquet file, which `label --from` reads.",
)
@with_json
def labels_(invocation: Invocation, dataset: str, night: Date | None, target: Path | None, as_json: bool) -> int:
    """List what people said of rows of the dataset NAME: the newest word on each."""
    from tasks.labels import as_dict, export_labels

    with opened(invocation, dataset) as (services, found):
        labels = services.state.labels(found.name, night)
    if target is not None:
        export_labels(labels, target)
    if as_json:
        show({"dataset": dataset, "labels": [as_dict(label) for label in labels]})
    elif target is not None:
        say(f"{dataset}: {len(labels):,} labels written to {target}")
    else:
        _print(dataset, labels)
    return Exit.DONE


def _label_of_incident(key: str | None, word: str | None, source: Path | None) -> str:
    if key is not None or source is not None:
        raise UsageError(
            "say which rows are meant, in one way", hint="--incident ID --as LABEL, without --key and --from"
        )
    if word is None:
        raise UsageError("--as is missing", hint="--incident ID --as anomaly|false_alarm|expected")
    return word


def _said(night: Date | None, key: str | None, word: str | None, note: str, source: Path | None) -> list[Said]:
    from tasks.labels import Said
    from tasks.labels_file import read_labels

    if (key is None) == (source is None):
        raise UsageError(
            "say which rows are meant, in one way",
            hint="--key KEY --as LABEL, --incident ID --as LABEL, or --from FILE",
        )
    if source is not None:
        if word is not None or note:
            raise UsageError("a file says the label and the note of each row", hint="leave --as and --note out")
        return read_labels(source, night)
    if night is None or word is None:
        missing = "--date" if night is None else "--as"
        raise UsageError(f"{missing} is missing", hint="--date DATE --key KEY --as anomaly|false_alarm|expected")
    return [Said(night, key or "", word, note)]


def _print(name: str, labels: list[Label]) -> None:
    from tasks.report_text import visible

    for one in labels:
        note = f"  {one.row.note}" if one.row.note else ""
        say(visible(f"{one.night}  {one.row.key}  {one.row.word}{note}  ({one.actor}, {one.at:%Y-%m-%d %H:%M} UTC)"))
    if not labels:
        say(f"{name}: no labels")
