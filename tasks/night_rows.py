"""Rows of one logical date among those of many, where a time column says which night a row belongs to."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from datetime import date as Date
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    import pyarrow as pa

    from schemas.dataset import Dataset
    from tasks.staging import RejectWriter

    Take = Callable[[pa.Table, pa.Array], None]


def night_bounds(date: Date, timezone: str) -> tuple[datetime, datetime]:
    """The moments at which a night begins and ends; 23 or 25 hours apart where the clock changes."""
    zone = ZoneInfo(timezone)
    start = datetime(date.year, date.month, date.day, tzinfo=zone)
    after = date + timedelta(days=1)
    return start.astimezone(ZoneInfo("UTC")), datetime(after.year, after.month, after.day, tzinfo=zone).astimezone(
        ZoneInfo("UTC")
    )


def only_of_night(dataset: Dataset, date: Date, take: Take, rejects: RejectWriter) -> Take:
    """Hand on only rows of the date.

    Args:
        dataset: Whose `source.date_column` decides; without one, all rows are of the date.
        date: The logical date.
        take: Receives the rows of the date.
        rejects: Receives rows without a readable time: no night would ever read them.
    """
    column = dataset.source.date_column
    if column is None:
        return take
    # In UTC, so that a process in which Arrow ignores zones cuts the night at the same moments.
    start, end = (bound.astimezone(UTC) for bound in night_bounds(date, dataset.timezone))

    def filtered(table: pa.Table, lines: pa.Array) -> None:
        import pyarrow as pa
        import pyarrow.compute as pc

        from tasks.coerce_times import read_times

        staged = table.column(column).combine_chunks()
        flat = staged.chunk(0) if isinstance(staged, pa.ChunkedArray) else staged
        times, _ = read_times(flat, dataset.columns[column].format, dataset.timezone, dataset.source.null_values)
        _reject_timeless(table, lines, flat, times, column, rejects)
        moment = pa.timestamp("us", tz="UTC")
        inside = pc.and_(pc.greater_equal(times, pa.scalar(start, moment)), pc.less(times, pa.scalar(end, moment)))
        mask = pc.fill_null(inside, False)
        take(table.filter(mask), lines.filter(mask))

    return filtered


def _reject_timeless(
    table: pa.Table, lines: pa.Array, staged: pa.Array, times: pa.Array, column: str, rejects: RejectWriter
) -> None:
    import pyarrow.compute as pc

    lost = pc.is_null(times)
    numbers, values = lines.filter(lost).to_pylist(), staged.filter(lost).to_pylist()
    for number, value, row in zip(numbers, values, table.filter(lost).to_pylist(), strict=True):
        found = "missing" if value is None or value == "" else f"not a time: {str(value)[:200]}"
        rejects.add(number, "time", f"{column}: {found}", json.dumps(row, default=str, ensure_ascii=False))
