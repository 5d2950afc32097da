"""One run: a row of the state database."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Literal, TypeAlias

from sqlalchemy import RowMapping

Kind: TypeAlias = Literal["run", "validate", "train", "score", "release", "vacuum"]
"""What was asked for; `vacuum` only holds a night while retention takes away what is in it."""

Status: TypeAlias = Literal["running", "done", "blocked", "partial", "failed", "missing"]

COUNTING: tuple[Status, ...] = ("done", "partial", "blocked")
"""What a run may end as for its writes to count; a failed run wrote for nobody."""


@dataclass(frozen=True)
class Run:
    """One row of `runs`.

    Args:
        seq: Grows with each run; the later of two runs of a night has the larger one.
        id: A name that sorts by time and may be a path part.
        dataset: The dataset.
        night: The logical date.
        kind: What was asked for.
        status: How it ended, or `running`.
        fingerprint: Of inputs, dataset file, seed, window and pipeline protocol.
        protocol: The pipeline's protocol number.
        started_at: UTC.
        ended_at: UTC, None while it runs.
        holder: The process that runs it, `host:pid:start`.
        lease_expires_at: UTC; past it, and not renewed, another run may take the night.
        result: What the command printed as JSON.
        versions: Table name to the Delta version that this run wrote.
        counters: Exact counts of the accepted rows.
        sample_version: Delta version of the night's sample.
        accepted_by: Who let a blocked night pass, when and why.
        gone: Table name to the day on which retention took away what the run wrote there.
    """

    seq: int
    id: str
    dataset: str
    night: date
    kind: Kind
    status: Status
    fingerprint: str
    protocol: int
    started_at: datetime
    ended_at: datetime | None
    holder: str
    lease_expires_at: datetime
    result: dict[str, Any]
    versions: dict[str, int]
    counters: dict[str, Any]
    sample_version: int | None
    accepted_by: dict[str, Any] | None
    gone: dict[str, str] = field(default_factory=dict)


def as_run(row: RowMapping | Mapping[str, Any]) -> Run:
    """A row of the table `runs`."""
    return Run(**{**row, "night": date.fromisoformat(row["night"]), "gone": row["gone"] or {}})
