"""`demo`: a simulated week of network flows, watched from the first file to the last report."""

from __future__ import annotations

import shutil
from dataclasses import asdict
from datetime import date as Date
from pathlib import Path
from typing import TYPE_CHECKING

import click

from infra.cli.invocation import Invocation, say, show, with_json
from schemas.errors import Exit, UsageError

if TYPE_CHECKING:
    from schemas.results import NightResult
    from tasks.simulate import KindFound, SimulatedWeek

NAME = "flows"
BUDGET = 20
LOOKED_AT = 3
MARK = ".sereno-demo"


@click.command()
@click.argument("folder", metavar="[DIR]", default="sereno-demo", type=click.Path(file_okay=False))
@click.option("--seed", type=click.IntRange(min=0), default=7, show_default=True, help="Seed of the simulated week.")
@with_json
@click.pass_obj
def demo(invocation: Invocation, folder: str, seed: int, as_json: bool) -> int:
    """Simulate a week of network flows in DIR and keep watch over it.

    Attacks are planted at known rows, some rows are spoilt, and one night's delivery is broken. The last lines say how
    many of the planted rows were found within the alert budget, kind by kind, and where the report is.
    """
    from infra.cli.orchestrated import many_nights
    from tasks.init import propose_dataset, write_project
    from tasks.night import NightOptions
    from tasks.simulate import simulate_week

    root = _fresh_folder(Path(folder).expanduser().resolve())
    week = simulate_week(root / "incoming", seed=seed)
    first, last = min(week.files), max(week.files)
    looked_at = [str(path) for path in list(week.files.values())[:LOOKED_AT]]
    proposal = propose_dataset(looked_at, root, name=NAME, key=["flow_id"], time="start_time", budget=BUDGET)
    write_project(root, proposal)
    if not as_json:
        say(f"A simulated week of network flows lies in {root / 'incoming'}.")
        say(f"sereno init looked at the first {LOOKED_AT} nights and wrote {root / 'datasets' / f'{NAME}.yaml'}.")
    inside = Invocation(str(root), invocation.overrides, invocation.verbose, invocation.profile)
    nights = many_nights(inside, NAME, first, last, NightOptions(), _say_nothing if as_json else _tell)
    results = [result for result, _ in nights]
    lines = _found(inside, week)
    if as_json:
        found = [asdict(line) for line in lines]
        show({"nights": [r.model_dump(mode="json") for r in results], "found": found, "report": results[-1].report})
    else:
        _tell_found(lines, week, results)
    wrong = [r for r in results if r.status != ("blocked" if r.date == week.blocked.isoformat() else "done")]
    return Exit.FAILED if wrong else Exit.DONE


def _fresh_folder(root: Path) -> Path:
    """An empty folder; an earlier demo's is emptied, anybody else's is refused."""
    if root.exists() and any(root.iterdir()):
        if not (root / MARK).is_file():
            raise UsageError(f"{root} is there already and is no demo", hint="name another folder: sereno demo DIR")
        shutil.rmtree(root)
    root.mkdir(parents=True, exist_ok=True)
    (root / MARK).write_text(
        "Made by `sereno demo`, which empties this folder when it is asked again.\n", encoding="utf-8"
    )
    return root


def _say_nothing(_result: NightResult) -> None:
    """With --json stdout holds one object."""


def _tell(result: NightResult) -> None:
    from infra.cli.night_output import first_line, one_line

    say(one_line(result))
    if result.status in ("blocked", "failed"):
        say(f"  {first_line(result.reason)}")


def _found(invocation: Invocation, week: SimulatedWeek) -> list[KindFound]:
    from tasks.services import open_services
    from tasks.simulate import found

    project, resolved = invocation.resolved()
    with open_services(project, resolved.settings) as services:
        pinned = services.state.pins(NAME, "scores")
        table = services.lake.read(NAME, "scores", pinned, columns=["night", "flow_id", "score", "is_alert"])
    frame = table.to_pandas()
    alerts: dict[Date, list[str]] = {}
    for night, rows in frame[frame["is_alert"]].groupby("night"):
        best = rows.sort_values(["score", "flow_id"], ascending=[False, True]).head(BUDGET)
        alerts[Date.fromisoformat(str(night))] = [str(key) for key in best["flow_id"]]
    return found(week.planted, alerts)


def _tell_found(lines: list[KindFound], week: SimulatedWeek, results: list[NightResult]) -> None:
    say(f"\nPlanted rows found among the first {BUDGET} alerts of their night:")
    for line in lines:
        where = "inside every column's usual range" if line.inside_range else "outside a column's usual range"
        say(f"  {line.found:3d} of {line.planted:3d}  {line.kind:<28} {where}")
    total, hits = sum(line.planted for line in lines), sum(line.found for line in lines)
    say(f"  {hits:3d} of {total:3d}  in all ({100 * hits / max(total, 1):.0f} %)")
    say(f"The night of {week.blocked} is blocked on purpose; its rows are held until a person accepts them.")
    say(f"report: {results[-1].report}")
