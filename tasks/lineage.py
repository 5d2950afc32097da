"""Where the scores of a night came from: files by their content, detector, and what trained it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date as Date
from datetime import datetime
from typing import TYPE_CHECKING

from infra.runtime.run_row import COUNTING
from schemas.errors import UsageError

if TYPE_CHECKING:
    from infra.runtime.inputs import Input
    from infra.runtime.runs import Run
    from infra.runtime.state import State
    from schemas.dataset import Dataset
    from tasks.services import Services

MOST_RUNS = 1_000
READS: tuple[str, ...] = ("run", "validate")
"""Runs of these kinds read files; the others work on rows that are there."""


@dataclass(frozen=True)
class NightSource:
    """A night's rows, and what they were read from.

    Args:
        night: The logical date.
        run: The run that wrote them; None where no run of the night counts.
        read: What was read; nothing where an older release did not write it down.
    """

    night: Date
    run: Run | None
    read: tuple[Input, ...]


@dataclass(frozen=True)
class DetectorSource:
    """The version that scored, and what trained it.

    Args:
        version: Registered version.
        bundle_hash: SHA-256 of its bundle's manifest.
        made_at: When it was registered, UTC.
        nights: The nights that trained it, oldest first, as they stood then.
    """

    version: str
    bundle_hash: str
    made_at: datetime
    nights: tuple[NightSource, ...]


@dataclass(frozen=True)
class RowSource:
    """One row's way: its score, the file and the line."""

    key: str
    score: float
    file: str
    line: int


@dataclass(frozen=True)
class Lineage:
    """Where a night's scores came from.

    Args:
        dataset: The dataset.
        night: The logical date.
        scored: The run whose scores stand; None where the night was not scored.
        accepted: The rows that were scored, and their files.
        detector: What scored; None where the night was not scored, or it is not known.
        row: The row that was asked for.
    """

    dataset: str
    night: Date
    scored: Run | None
    accepted: NightSource
    detector: DetectorSource | None
    row: RowSource | None


def lineage_of(services: Services, dataset: Dataset, night: Date, key: str | None = None) -> Lineage:
    """Follow a night's scores back.

    Args:
        services: The stores.
        dataset: The dataset.
        night: The logical date.
        key: A row's key, to say which line of which file it is.

    Raises:
        UsageError: The night has no accepted rows, or no row of this key was scored.
    """
    runs = services.state.recent(dataset.name, night=night, limit=MOST_RUNS)
    accepted, scored = _newest(runs, "accepted"), _newest(runs, "scores")
    if accepted is None:
        raise UsageError(
            f"{dataset.name} {night}: the night has no accepted rows",
            hint=f"see which nights there are: sereno status {dataset.name}",
        )
    if scored is not None:
        # A night that was read again and is not scored yet: the scores that stand are of the rows before.
        accepted = _newest([run for run in runs if run.seq <= scored.seq], "accepted") or accepted
    version = str((scored.result.get("model") or {}).get("version") or "") if scored is not None else ""
    return Lineage(
        dataset=dataset.name,
        night=night,
        scored=scored,
        accepted=NightSource(night, accepted, _read_for(services.state, runs, accepted)),
        detector=_detector(services, dataset.name, version) if version else None,
        row=_row(services, dataset, night, scored, key) if key is not None else None,
    )


def _newest(runs: Sequence[Run], table: str) -> Run | None:
    """The newest run that counts and wrote a table; runs come newest first."""
    return next((run for run in runs if run.status in COUNTING and table in run.versions), None)


def _read_for(state: State, runs: Sequence[Run], accepted: Run) -> tuple[Input, ...]:
    """What the rows of a run were read from: a release adds rows of files that the run before it read."""
    for run in runs:
        if run.seq <= accepted.seq and run.kind in READS and run.status in COUNTING and "accepted" in run.versions:
            return tuple(state.inputs(run.id))
    return ()


def _detector(services: Services, name: str, version: str) -> DetectorSource:
    info = services.registry.version(name, version)
    nights = tuple(
        _source_then(services.state, name, Date.fromisoformat(night), info.created_at) for night in info.nights
    )
    return DetectorSource(version, info.bundle_hash, info.created_at, nights)


def _source_then(state: State, name: str, night: Date, moment: datetime) -> NightSource:
    """A night as it stood at a moment: done again since, it has other rows now."""
    runs = state.recent(name, night=night, limit=MOST_RUNS)
    # A night that trained on its own rows ended after its detector was registered.
    before = [run for run in runs if run.ended_at is not None and run.ended_at <= moment]
    run = _newest(before, "samples") or next((one for one in reversed(runs) if _newest([one], "samples")), None)
    return NightSource(night, run, _read_for(state, runs, run) if run is not None else ())


def _row(services: Services, dataset: Dataset, night: Date, scored: Run | None, key: str) -> RowSource:
    import pyarrow.compute as pc

    columns = ["sereno_key", "sereno_file", "sereno_line", "score"]
    pinned = {night: scored.versions["scores"]} if scored is not None else {}
    for batch in services.lake.batches(dataset.name, "scores", pinned, columns=columns) if pinned else ():
        for row in batch.filter(pc.equal(batch["sereno_key"], key)).to_pylist():
            return RowSource(key, float(row["score"]), row["sereno_file"] or "", int(row["sereno_line"] or 0))
    raise UsageError(
        f"{dataset.name} {night}: no row with the key {key[:80]!r} was scored",
        hint=f"take keys from the report, or from: sereno scores {dataset.name} --date {night} --to FILE",
    )


def as_lines(found: Lineage) -> list[str]:
    """The way back in lines for a person."""
    scored = found.scored
    lines = [f"{found.dataset} {found.night}"]
    if found.row is not None:
        lines.append(f"  row {found.row.key}: score {found.row.score:.4f}, from {found.row.file}:{found.row.line}")
    if scored is not None:
        lines.append(f"  scores: version {scored.versions['scores']} of the table, by run {scored.id}")
    else:
        lines.append("  scores: none")
    run = found.accepted.run
    if run is not None:
        lines.append(f"  accepted rows: version {run.versions['accepted']} of the table, by run {run.id}")
    lines += _read_lines(found.accepted.read, "    ")
    detector = found.detector
    if detector is None:
        return lines
    lines.append(f"  detector: version {detector.version}, bundle {detector.bundle_hash}")
    for night in detector.nights:
        by = (
            f"samples version {night.run.versions['samples']} by run {night.run.id}" if night.run else "no run is known"
        )
        lines.append(f"    trained on {night.night}: {by}")
        lines += _read_lines(night.read, "      ")
    return lines


def _read_lines(read: Sequence[Input], indent: str) -> list[str]:
    if not read:
        return [f"{indent}what was read is not known: an older release did it"]
    return [
        f"{indent}{one.name}  sha256 {one.sha256}" + (f"  {one.rows:,} rows" if one.rows is not None else "")
        for one in read
    ]
