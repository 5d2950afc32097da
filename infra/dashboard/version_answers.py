"""What is answered of detector versions, and of where scores came from."""

from __future__ import annotations

import math
from datetime import date as Date
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from infra.runtime.inputs import InputKind
from schemas.detector import Frozen

if TYPE_CHECKING:
    from infra.runtime.inputs import Input
    from tasks.lineage import Lineage, NightSource
    from tasks.versions import VersionRow


class VersionAnswer(Frozen):
    """One version of a dataset's detector."""

    version: str = Field(description="Its number.")
    bundle_hash: str = Field(description="SHA-256 of the bundle's manifest.")
    created_at: datetime = Field(description="When it was registered, UTC.")
    nights: tuple[str, ...] = Field(description="The nights that trained it.")
    rows: int = Field(description="The rows that trained it.")
    metrics: dict[str, float | None] = Field(description="Last value of each metric; null where it is no number.")
    standing: Literal["champion", "refused", "was champion", "registered"] = Field(description="How it stands.")
    reason: str = Field(description="What the ledger says last of it.")


class ReadAnswer(Frozen):
    """Something that a run read, by the hash of its content."""

    kind: InputKind = Field(description="A delivered file, or the dataset file, less what decides no score.")
    name: str = Field(description="Base name.")
    sha256: str = Field(description="Of the bytes as delivered; of the dataset file, of its resolved values.")
    bytes: int | None = Field(description="Size as delivered.")
    rows: int | None = Field(description="Rows that were read from it.")


class SourceAnswer(Frozen):
    """A night's rows, and what they were read from."""

    date: Date = Field(description="The night.")
    run: str | None = Field(description="The run that wrote them; nothing where none is known.")
    tables: dict[str, int] = Field(description="The version of each table that it wrote.")
    read: tuple[ReadAnswer, ...] = Field(description="What was read; nothing where an older release did it.")


class DetectorAnswer(Frozen):
    """What scored, and what trained it."""

    version: str = Field(description="The version.")
    bundle_hash: str = Field(description="SHA-256 of the bundle's manifest.")
    created_at: datetime = Field(description="When it was registered, UTC.")
    nights: tuple[SourceAnswer, ...] = Field(description="The nights that trained it, as they stood then.")


class RowAnswer(Frozen):
    """One row's way."""

    key: str = Field(description="Its key.")
    score: float = Field(description="Its score.")
    file: str = Field(description="Base name of its file.")
    line: int = Field(description="Its line there.")


class LineageAnswer(Frozen):
    """Where a night's scores came from."""

    dataset: str = Field(description="The dataset.")
    date: Date = Field(description="The night.")
    scored: str | None = Field(description="The run whose scores stand; nothing where the night was not scored.")
    scores: int | None = Field(description="The version of the table `scores` that it wrote.")
    accepted: SourceAnswer = Field(description="The rows that were scored, and their files.")
    detector: DetectorAnswer | None = Field(description="What scored.")
    row: RowAnswer | None = Field(description="The row that was asked for.")


def version_answer(row: VersionRow) -> VersionAnswer:
    """One version."""
    values = {name: value for name, value in row.as_dict().items() if name != "champion"}
    metrics = {name: value if math.isfinite(value) else None for name, value in row.metrics.items()}
    return VersionAnswer.model_validate({**values, "metrics": metrics})


def lineage_answer(found: Lineage) -> LineageAnswer:
    """The way back; no address of this machine is in it."""
    detector, row, scored = found.detector, found.row, found.scored
    return LineageAnswer(
        dataset=found.dataset,
        date=found.night,
        scored=scored.id if scored is not None else None,
        scores=scored.versions["scores"] if scored is not None else None,
        accepted=_source(found.accepted),
        detector=None
        if detector is None
        else DetectorAnswer(
            version=detector.version,
            bundle_hash=detector.bundle_hash,
            created_at=detector.made_at,
            nights=tuple(map(_source, detector.nights)),
        ),
        row=None if row is None else RowAnswer(key=row.key, score=row.score, file=row.file, line=row.line),
    )


def _source(source: NightSource) -> SourceAnswer:
    run = source.run
    return SourceAnswer(
        date=source.night,
        run=run.id if run is not None else None,
        tables=dict(run.versions) if run is not None else {},
        read=tuple(map(_read, source.read)),
    )


def _read(one: Input) -> ReadAnswer:
    return ReadAnswer(kind=one.kind, name=one.name, sha256=one.sha256, bytes=one.bytes, rows=one.rows)
