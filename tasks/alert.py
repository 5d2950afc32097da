"""Alerts of a night, ranked for a person, and a night's scores as a file for other tools."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import UTC
from datetime import date as Date
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from schemas.errors import SerenoError, UsageError
from schemas.results import Alert, Contribution
from schemas.tables import scores_schema

if TYPE_CHECKING:
    from schemas.dataset import Dataset
    from tasks.services import Services

_BATCH = 10_000
_ISO = "%Y-%m-%dT%H:%M:%SZ"


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
    write = _WRITERS.get(target.suffix.lower())
    if write is None:
        raise UsageError(
            f"{target}: the form {target.suffix or 'without a suffix'} is not known",
            hint=f"end the file's name with one of: {', '.join(_WRITERS)}",
        )
    if not target.parent.is_dir():
        raise UsageError(f"{target.parent}: no such folder", hint="make it first, or write to another one")
    draft = target.with_name(f".{target.name}.{os.getpid()}.draft")
    try:
        with draft.open("wb") as file:
            write(scores.select(export_columns(dataset)), file)
        draft.replace(target)
    except OSError as error:
        raise SerenoError(f"{target}: cannot be written: {error.strerror or error}") from error
    finally:
        draft.unlink(missing_ok=True)


def export_columns(dataset: Dataset) -> list[str]:
    """Columns of an exported file: the key (without one, the row's own hash), then what scoring said."""
    roles = [role for role, column in (("entity", dataset.entity), ("event_time", dataset.event_time)) if column]
    said = ["score", "p_value", "is_alert", "in_sample", "model_version", "contributions"]
    return [*(dataset.key or ("sereno_key",)), *roles, *said]


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


def _write_parquet(table: pa.Table, file: IO[bytes]) -> None:
    import pyarrow.parquet as pq

    pq.write_table(table, file)


def _write_csv(table: pa.Table, file: IO[bytes]) -> None:
    """Texts always in quotes, with their exact characters: a cell such as ``=1+1`` stays what the data had."""
    from pyarrow import csv

    texts = [json.dumps(item, ensure_ascii=False) for item in table["contributions"].to_pylist()]
    at = table.column_names.index("contributions")
    plain = _iso_times(table).set_column(at, "contributions", pa.array(texts, pa.string()))
    csv.write_csv(plain, file, csv.WriteOptions(include_header=True, quoting_style="needed"))


def _write_json_lines(table: pa.Table, file: IO[bytes]) -> None:
    for batch in _iso_times(table).to_batches(_BATCH):
        lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in batch.to_pylist()]
        file.write("".join(lines).encode())


def _iso_times(table: pa.Table) -> pa.Table:
    for at, field in enumerate(table.schema):
        if pa.types.is_timestamp(field.type):
            table = table.set_column(at, field.name, pc.strftime(table[field.name], format=_ISO))
    return table


_WRITERS: dict[str, Callable[[pa.Table, IO[bytes]], None]] = {
    ".csv": _write_csv,
    ".jsonl": _write_json_lines,
    ".parquet": _write_parquet,
}
