"""How many incidents a burst of alerts of one cause makes, planted into nights that a project watches.

A cause is one thing that goes wrong 500 times within twenty minutes: on simulated nights each kind of attack, on real
ones a flow that was an alert before and comes again and again, its sizes and durations a little different each time.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from harness import Measure, NotMeasured
from project_setup import NAME, Project, must, project, read_rows, real_nights, sereno, simulated_nights

BLOCKED = 3
NIGHTS, LEARNT = 16, 5
ROWS = 500
MINUTES = 20
CAUSES = 4
JITTER = 0.1
SEED = 7

Row = dict[str, str]
Burst = Callable[[int, np.random.Generator], list[Row]]


@dataclass(frozen=True)
class Found:
    """What a night with a burst came to.

    Args:
        incidents: Incidents that hold at least one planted alert.
        planted: Planted rows that are alerts.
        alerts: Alerts that nobody planted.
        drawn_in: Those of them that are in an incident of the burst.
        number: The incident with most planted alerts.
        told: Why people are told of it that night.
    """

    incidents: int
    planted: int
    alerts: int
    drawn_in: int
    number: int
    told: str | None


def measure() -> Iterator[Measure]:
    """Incidents that a burst of 500 alerts of one cause makes, on simulated and on real nights; one of them muted."""
    with (
        tempfile.TemporaryDirectory(prefix="sereno-bench-") as folder,
        project(simulated_nights(Path(folder), NIGHTS)) as watched,
    ):
        found = bursts(watched, simulated_causes())
    real = real_nights()
    if real is not None:
        with project(real) as watched:
            found |= {f"real, {name}": one for name, one in bursts(watched, real_causes).items()}
    yield Measure("incidents", [float(one.incidents) for one in found.values()], "incidents", ("==", 1), of="max")
    yield Measure("planted_alerts_least", [float(one.planted) for one in found.values()], "alerts", of="min")
    shares = [one.drawn_in / one.alerts for one in found.values() if one.alerts]
    yield Measure("other_alerts_drawn_in", shares, "", of="mean")
    yield from going_on(found)


def bursts(watched: Project, causes: Callable[[Project, str], dict[str, Burst]]) -> dict[str, Found]:
    """Train on the first nights; then one burst a night, the first cause three nights in a row."""
    dates = list(watched.nights.files)
    watched.arrive(*dates[:LEARNT])
    for date in dates[: LEARNT - 1]:
        must(*watched.command("validate", date))
    watched.run(dates[LEARNT - 1])
    known = causes(watched, dates[LEARNT - 1])
    first, burst = next(iter(known.items()))
    later = iter(dates[LEARNT:])
    found = {first: planted(watched, next(later), burst)}
    number, last = str(found[first].number), dates[-1]
    must("--project", str(watched.folder), "incidents", "mute", NAME, number, "--until", last)
    found[f"{first}, muted"] = planted(watched, next(later), burst)
    found[f"{first}, muted and worse"] = planted(watched, next(later), burst, rows=3 * ROWS)
    for name, another in list(known.items())[1:]:
        date = next(later, None)
        if date is not None:
            found[name] = planted(watched, date, another)
    return found


def going_on(found: dict[str, Found]) -> Iterator[Measure]:
    """Whether the first cause stayed one incident over three nights, silent while muted and back when it got worse."""
    muted = {name.removesuffix(", muted"): one for name, one in found.items() if name.endswith(", muted")}
    worse = {name: found[f"{name}, muted and worse"] for name in muted}
    same = [float(found[name].number == muted[name].number == worse[name].number) for name in muted]
    yield Measure("goes_on_over_nights", same, "", ("==", 1), of="min")
    yield Measure("told_while_muted", [float(one.told is not None) for one in muted.values()], "", ("==", 0), of="max")
    yield Measure("back_when_worse", [float(one.told == "back") for one in worse.values()], "", ("==", 1), of="min")


def planted(watched: Project, date: str, burst: Burst, rows: int = ROWS) -> Found:
    """Let a night come in with a burst in it, do it, and see what its alerts came to."""
    own = read_rows(watched.nights.files[date])
    made = at_noon(watched, burst(rows, np.random.default_rng([SEED, rows])), own, date)
    with gzip.open(watched.incoming(date), "wt", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(own[0]))
        writer.writeheader()
        writer.writerows([*own, *made])
    run(watched, date)
    scores = watched.scores(date)
    is_alert = dict(zip(map(str, scores[watched.nights.key]), scores["is_alert"], strict=True))
    ours = {row[watched.nights.key] for row in made if is_alert.get(row[watched.nights.key])}
    others = {key for key, alert in is_alert.items() if alert} - {row[watched.nights.key] for row in made}
    return look(watched, date, ours, others)


def look(watched: Project, date: str, ours: set[str], others: set[str]) -> Found:
    """Look up in which incidents some alerts are."""
    from infra.runtime.state import State

    with State(f"sqlite:///{watched.folder / 'state' / 'state.db'}") as state:
        rows = state.incident_nights(NAME, nights=[date])
        keys = {row.incident: set(state.incident_keys(NAME, row.incident, date)[row.night]) for row in rows}
    hit = {number: len(of & ours) for number, of in keys.items() if of & ours}
    if not hit or set().union(*keys.values()) != ours | others:
        raise NotMeasured(f"{date}: the incidents do not hold the night's alerts")
    number = max(hit, key=lambda one: hit[one])
    drawn = sum(len(keys[one] & others) for one in hit)
    told = next(row.told for row in rows if row.incident == number)
    return Found(len(hit), len(ours), len(others), drawn, number, told)


def run(watched: Project, date: str) -> None:
    """Do a night without training; let it in when its expectations hold it, as a person does."""
    done = sereno(*watched.command("run", date, "--no-train", "--json"))
    if done.code == BLOCKED:
        done = must(*watched.command("run", date, "--no-train", "--accept", "--json"))
    if done.code != 0:
        raise NotMeasured(f"the run of {date} ended with {done.code}:\n{(done.err or done.out)[-2000:]}")


def at_noon(watched: Project, rows: Sequence[Row], own: Sequence[Row], date: str) -> list[Row]:
    """Give planted rows keys of their own, and moments within twenty minutes of the night."""
    key, time = watched.nights.key, watched.nights.time
    begin = datetime.fromisoformat(f"{date}T12:00:00")
    step = timedelta(minutes=MINUTES) / len(rows)
    numeric = own[0][key].isdigit()
    names = (str(900_000_000 + at) if numeric else f"planted-{at}" for at in range(len(rows)))
    return [
        {**row, key: name, time: f"{(begin + at * step).isoformat(timespec='seconds')}Z"}
        for at, (row, name) in enumerate(zip(rows, names, strict=True))
    ]


def simulated_causes() -> Callable[[Project, str], dict[str, Burst]]:
    """Each kind of attack of the simulated week is a cause."""
    from tasks.simulate_attacks import KINDS, rounded

    def causes(watched: Project, date: str) -> dict[str, Burst]:
        usual = read_rows(watched.nights.files[date])

        def burst(draw: Callable[[int, np.random.Generator], Any]) -> Burst:
            def rows(count: int, rng: np.random.Generator) -> list[Row]:
                drawn = as_text(rounded(draw(count, rng)))
                return [{**usual[int(rng.integers(len(usual)))], **drawn[at]} for at in range(count)]

            return rows

        return {kind.name: burst(kind.draw) for kind in KINDS}

    return causes


def as_text(frame: Any) -> list[Row]:
    """A frame's rows as they stand in a file."""
    text = io.StringIO()
    frame.to_csv(text, index=False)
    return list(csv.DictReader(io.StringIO(text.getvalue())))


def real_causes(watched: Project, date: str) -> dict[str, Burst]:
    """The highest alerts of a night whose largest shares are of different columns, each a cause."""
    page = watched.folder / "reports" / NAME / f"{date}.json"
    alerts = json.loads(page.read_text(encoding="utf-8"))["alerts"]
    rows = {row[watched.nights.key]: row for row in read_rows(watched.nights.files[date])}
    causes: dict[str, Burst] = {}
    for alert in alerts:
        column = alert["contributions"][0]["column"]
        if column not in causes and len(causes) < CAUSES:
            causes[column] = again_and_again(rows[alert["key"]])
    return causes


def again_and_again(row: Row) -> Burst:
    """A flow that comes again, its numbers that are no whole small ones a little different each time."""

    def rows(count: int, rng: np.random.Generator) -> list[Row]:
        return [{name: varied(value, rng) for name, value in row.items()} for _ in range(count)]

    return rows


def varied(text: str, rng: np.random.Generator) -> str:
    """A number, times a factor near 1; codes, flags and small counts stay as they are."""
    try:
        value = float(text)
    except ValueError:
        return text
    factor = float(np.exp(rng.normal(0, JITTER)))
    if text.lstrip("-").isdigit():
        return text if abs(value) <= 300 else str(round(value * factor))
    return f"{value * factor:.6g}"
