"""Alerts of a night, ranked for a person, and a night's scores as a file for other tools."""

from __future__ import annotations

from datetime import UTC
from datetime import date as Date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from schemas.errors import UsageError
from schemas.results import Alert, Contribution
from schemas.tables import scores_schema
from tasks.gone import refuse_gone
from tasks.table_file import table_file

if TYPE_CHECKING:
    import pyarrow as pa

    from schemas.dataset import Dataset
    from tasks.services import Services


def alerts_of(ranked: pa.Table) -> tuple[Alert, ...]:
    """Rows of `scores`, already ranked, as alerts."""
    return tuple(_alert(rank, row) for rank, row in enumerate(ranked.to_pylist(), 1))


def night_alerts(services: Services, dataset: Dataset, night: Date, most: int = 200) -> tuple[Alert, ...]:
    """The alerts of a night that was done, highest score first.

    Raises:
        UsageError: The night was not scored.
    """
    from tasks.score_part import ranked

    table = scores_of_night(services, dataset, night)
    return alerts_of(ranked(table.filter(table["is_alert"]), most))


def scores_of_night(services: Services, dataset: Dataset, night: Date) -> pa.Table:
    """The scores that a night's final run pinned, in the order of events, else of files and lines.

    Raises:
        UsageError: The night was not scored.
    """
    pinned = services.state.pins(dataset.name, "scores", [night])
    if not pinned:
        refuse_gone(services.state, dataset.name, night, "scores")
        raise UsageError(
            f"{dataset.name} {night}: the night was not scored",
            hint=f"do the night first: sereno run {dataset.name} --date {night}",
        )
    table = services.lake.read(dataset.name, "scores", pinned, schema=scores_schema(dataset))
    return in_order(table)


def in_order(scores: pa.Table) -> pa.Table:
    """Rows of `scores` by event time where there is one, then file and line."""
    names = [name for name in ("event_time", "sereno_file", "sereno_line") if name in scores.column_names]
    return scores.sort_by([(name, "ascending") for name in names])


def export_scores(dataset: Dataset, scores: pa.Table, target: Path) -> None:
    """Write scores to a file; its suffix says in which form.

    Args:
        dataset: The dataset.
        scores: Columns of `scores`.
        target: A `.csv`, `.jsonl` or `.parquet` file; it appears as a whole.

    Raises:
        UsageError: Another suffix, or the folder does not exist.
        SerenoError: The file cannot be written.
    """
    chosen = scores.select(export_columns(dataset))
    with table_file(target, chosen.schema) as write:
        write(chosen)


def export_columns(dataset: Dataset) -> list[str]:
    """Columns of an exported file: which row it is, then what scoring said."""
    return [*naming_columns(dataset), "score", "p_value", "is_alert", "in_sample", "model_version", "contributions"]


def naming_columns(dataset: Dataset) -> list[str]:
    """Columns of `scores` that say which row it is: the key (without one, the row's own hash), entity, time."""
    roles = [role for role, column in (("entity", dataset.entity), ("event_time", dataset.event_time)) if column]
    return [*(dataset.key or ("sereno_key",)), *roles]


def _alert(rank: int, row: dict[str, Any]) -> Alert:
    moment = row.get("event_time")
    return Alert(
        rank=rank,
        key=row["sereno_key"],
        event_time=moment.astimezone(UTC).isoformat() if moment is not None else None,
        entity=row.get("entity"),
        score=row["score"],
        p_value=row["p_value"],
        source_file=row["sereno_file"] or "",
        source_line=row["sereno_line"] or 0,
        contributions=tuple(Contribution(**item) for item in row["contributions"] or ()),
    )
