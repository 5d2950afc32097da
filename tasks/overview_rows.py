"""What the overview of a night says: a row for each dataset, from the state and the reports' JSON."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date as Date
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from pydantic import ValidationError

from infra.runtime.runs import COUNTING
from schemas.dataset import load_dataset
from schemas.errors import ConfigError, SerenoError
from schemas.results import Alert, Drift, NightReport, NightResult, RowCounts

if TYPE_CHECKING:
    from infra.runtime.project import Project
    from infra.runtime.runs import Run
    from tasks.services import Services

State: TypeAlias = Literal[
    "failed", "blocked", "unreadable", "missing", "partial", "not run", "look", "alerts", "running", "unscored", "quiet"
]
ORDER: tuple[State, ...] = (
    "failed",
    "blocked",
    "unreadable",
    "missing",
    "partial",
    "not run",
    "look",
    "alerts",
    "running",
    "unscored",
    "quiet",
)
"""What needs a person first."""
NEEDS = frozenset[State]({"failed", "blocked", "unreadable", "missing", "partial"})
MOST_RUNS = 20_000
MOST_STEPS = 3
_STEPS: dict[State, tuple[str, str]] = {
    "failed": ("mend what its report names, then run the night again.", "run"),
    "blocked": ("read its report: is the delivery wrong, or the data right?", ""),
    "unreadable": ("mend its dataset file.", ""),
    "missing": ("see where its files are looked for.", "plan"),
    "partial": ("read why its training gave no detector.", ""),
    "not run": ("it was not run yet.", "run"),
    "look": ("look at its report.", ""),
    "alerts": ("look at its alerts.", ""),
}
_FAR_PAST_BUDGET = 2.0


@dataclass(frozen=True)
class OverviewRow:
    """One dataset on one night.

    Args:
        dataset: Its name.
        state: What came of the night; `look`: done, and something beside the alerts wants a look.
        words: The state in words.
        notes: Why, a sentence each.
        rows: Where its rows went; None where nothing was read.
        alerts: How many; None where nothing was scored.
        budget: How many a night are asked for; None: not known.
        worst: The most unusual row; None: none, or not known.
        drift: What is known of the data's drift.
        champion: The champion's version.
        failed: Failed expectations; `blocking`: how many of them block.
        seconds: How long the night took.
        report: The page of the night, relative to the overview; None where there is none.
    """

    dataset: str
    state: State
    words: str
    notes: tuple[str, ...] = ()
    rows: RowCounts | None = None
    alerts: int | None = None
    budget: float | None = None
    worst: Alert | None = None
    drift: Drift | None = None
    champion: str | None = None
    failed: int | None = None
    blocking: int = 0
    seconds: float | None = None
    report: str | None = None

    @property
    def urgency(self) -> tuple[int, float, str]:
        """Sorts what needs a person first."""
        return ORDER.index(self.state), -(self.alerts or 0) / (self.budget or 1.0), self.dataset


@dataclass(frozen=True)
class Step:
    """What to do about one dataset: a sentence and, where there is one, the command for it."""

    dataset: str
    text: str
    command: str


@dataclass(frozen=True)
class Overview:
    """All datasets on one night, what needs a person first."""

    date: str
    rows: tuple[OverviewRow, ...]

    @property
    def need(self) -> int:
        """How many datasets need a person."""
        return sum(row.state in NEEDS for row in self.rows)

    def count(self, *states: State) -> int:
        """Return how many datasets are in one of these states."""
        return sum(row.state in states for row in self.rows)

    @property
    def sentence(self) -> str:
        """How many datasets came to what, in words."""
        n = len(self.rows)
        parts = (
            (self.need, f"that need{'s' if self.need == 1 else ''} a person"),
            (self.count("look", "alerts"), "with something to look at"),
            (self.count("quiet"), "quiet"),
            (self.count("unscored"), "checked and not scored"),
            (self.count("not run", "running"), "not done yet"),
        )
        said = ", ".join(f"{how_many:,} {what}" for how_many, what in parts if how_many)
        return f"{n:,} dataset{'' if n == 1 else 's'}: {said}."

    @property
    def steps(self) -> tuple[Step, ...]:
        """What to do next, for the first few datasets that want something."""
        wanted = [row for row in self.rows if row.state in _STEPS]
        return tuple(_step(row, self.date) for row in wanted[:MOST_STEPS])

    @property
    def totals(self) -> RowCounts:
        """The rows of all datasets together."""
        known = [row.rows for row in self.rows if row.rows is not None]
        return RowCounts(**{name: sum(getattr(rows, name) for rows in known) for name in RowCounts.model_fields})

    @property
    def alerts(self) -> int:
        """The alerts of all datasets together."""
        return sum(row.alerts or 0 for row in self.rows)


def _step(row: OverviewRow, night: str) -> Step:
    text, command = _STEPS[row.state]
    return Step(row.dataset, text, command and f"sereno {command} {shlex.quote(row.dataset)} --date {night}")


def overview_of(services: Services, night: Date) -> Overview:
    """Read what became of every dataset on one night: those with a file and those with a run.

    Raises:
        StateError: The state database cannot be read.
    """
    final, running = _runs(services, night)
    problems = dict(_dataset_files(services.project, final))
    names = sorted({*problems, *final, *running})
    rows = [_row(services.project, night.isoformat(), n, final.get(n), running.get(n), problems.get(n)) for n in names]
    return Overview(night.isoformat(), tuple(sorted(rows, key=lambda row: row.urgency)))


def _runs(services: Services, night: Date) -> tuple[dict[str, Run], dict[str, Run]]:
    final: dict[str, Run] = {}
    running: dict[str, Run] = {}
    for run in services.state.recent(night=night, limit=MOST_RUNS):
        # A release that was refused changed nothing.
        if run.kind not in ("train", "vacuum") and (run.kind != "release" or run.status in ("running", *COUNTING)):
            (running if run.status == "running" else final).setdefault(run.dataset, run)
    return final, running


def _dataset_files(project: Project, final: Mapping[str, Run]) -> Iterator[tuple[str, str]]:
    """Yield each dataset that has a file, and why the file cannot be read (empty: it can).

    A file that did not change since a run began was read by that run.
    """
    for path in sorted(project.datasets.glob("*.yaml")):
        try:
            seen = path.stat()
            run = final.get(path.stem)
            known = run is not None and seen.st_mtime < run.started_at.timestamp()
            yield path.stem, "" if known else _problem(path, seen.st_mtime_ns, seen.st_size)
        except OSError as error:
            yield path.stem, f"{path.name}: {error.strerror or error}"


@lru_cache(maxsize=2_000)
def _problem(path: Path, _changed: int, _size: int) -> str:
    try:
        load_dataset(path)
    except (SerenoError, ValueError, OSError) as error:
        # The page goes to people to whom the folders of this machine say nothing.
        said = str(error).replace(f"{path}, ", "").replace(str(path), path.name)
        lines = [line.strip() for line in said.splitlines() if line.strip() and not line.startswith("Hint:")]
        told = "; ".join(lines[:3]) or "it cannot be read"
        return told if path.name in told else f"{path.name}: {told}"
    return ""


def _row(
    project: Project, night: str, name: str, run: Run | None, running: Run | None, problem: str | None
) -> OverviewRow:
    page = _page(project, name, night)
    if run is None and problem:
        return OverviewRow(name, "unreadable", "Dataset file cannot be read", (problem,), report=page)
    if run is None and running is None:
        return OverviewRow(name, "not run", "Not run yet", report=page)
    since = f"a run is under way since {running.started_at:%H:%M} UTC" if running else ""
    if run is None:
        return OverviewRow(name, "running", "Under way", (since,), report=page)
    told = "its dataset file is gone" if problem is None else problem
    return _finished(project, run, page, tuple(note for note in (told, since) if note))


def _page(project: Project, name: str, night: str) -> str | None:
    try:
        page = project.report_file(name, night)
    except ConfigError:
        return None
    return f"{page.parent.name}/{page.name}" if page.is_file() else None


def _finished(project: Project, run: Run, page: str | None, notes: tuple[str, ...]) -> OverviewRow:
    result = result_of(run)
    report = report_of(project, result) if page else None
    scored = result.status in ("done", "partial") and result.threshold is not None
    state, words = _state(result, report, scored)
    first = [line for line in result.reason.splitlines() if line.strip() and not line.startswith("Hint:")][:1]
    taken = result.seconds.get("total", sum(result.seconds.values())) if result.seconds else None
    return OverviewRow(
        dataset=run.dataset,
        state=state,
        words=words,
        notes=(*(first if state in NEEDS else ()), *notes),
        rows=result.rows if result.status != "missing" else None,
        alerts=result.alerts if scored else None,
        budget=report.alert_budget if report else None,
        worst=min(report.alerts, key=lambda alert: alert.rank) if report and report.alerts and scored else None,
        drift=report.drift if report else None,
        champion=result.model.champion or result.model.version,
        failed=result.expectations.failed if result.status != "missing" else None,
        blocking=result.expectations.blocking,
        seconds=taken,
        report=page,
    )


def _state(result: NightResult, report: NightReport | None, scored: bool) -> tuple[State, str]:
    alerts = "1 alert" if result.alerts == 1 else f"{result.alerts:,} alerts"
    ended: dict[str, tuple[State, str]] = {
        "failed": ("failed", "Failed"),
        "blocked": ("blocked", "Blocked by the data gate"),
        "missing": ("missing", "No data arrived"),
        "partial": ("partial", f"Partly done, {alerts}"),
    }
    if result.status in ended:
        return ended[result.status]
    if not scored:
        return "unscored", "Checked, not scored"
    words = alerts if result.alerts else "Quiet"
    if _wants_a_look(result, report):
        return "look", words
    return ("alerts" if result.alerts else "quiet"), words


def _wants_a_look(result: NightResult, report: NightReport | None) -> bool:
    budget = report.alert_budget if report else None
    far = bool(budget) and result.alerts > _FAR_PAST_BUDGET * (budget or 0.0)
    drift = report.drift if report is not None else None
    seen = drift.detector if drift is not None else None
    moved = (drift is not None and drift.verdict == "moved far") or (seen is not None and seen.wants_a_person)
    return far or moved or result.expectations.failed > 0


def result_of(run: Run) -> NightResult:
    """Read what the run ended with; a run that died left little more than its status."""
    status = "done" if run.status == "running" else run.status
    kept = {**run.result, "dataset": run.dataset, "date": run.night.isoformat(), "status": status}
    try:
        return NightResult.model_validate(kept)
    except ValidationError:
        return NightResult(dataset=run.dataset, date=run.night.isoformat(), status=status)


def report_of(project: Project, result: NightResult) -> NightReport | None:
    """Read the night's report, masked as it lies there; None where it is not about this end of the night."""
    path = project.report_file(result.dataset, result.date, "json")
    try:
        seen = path.stat()
        report = _read(path, seen.st_mtime_ns, seen.st_size)
    except OSError:
        return None
    if report is None or (report.result.status, report.result.alerts) != (result.status, result.alerts):
        return None
    return report


@lru_cache(maxsize=2_000)
def _read(path: Path, _changed: int, _size: int) -> NightReport | None:
    """Read one report without what the overview does not show."""
    try:
        report = NightReport.model_validate_json(path.read_bytes())
    except ValueError:
        return None
    empty = NightReport(result=report.result, generated_at="")
    kept = {"alerts": report.alerts[:1], "drift": report.drift, "alert_budget": report.alert_budget}
    return empty.model_copy(update=kept)
