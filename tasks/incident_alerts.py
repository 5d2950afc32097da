"""The alerts of a night as plain arrays, in an order that the parts' own order does not decide."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tasks.incident_columns import NO_TIME, Vectors

if TYPE_CHECKING:
    import pyarrow as pa

    from schemas.dataset import Dataset

BATCH_ROWS = 65_536
_ORDER = ("sereno_key", "sereno_file", "sereno_line")


@dataclass(frozen=True)
class Alerts:
    """Alerts that open incidents.

    Args:
        table: Columns of `scores` less the contributions: `entity` and `event_time` where the dataset has them.
        vectors: What made each of them.
        names: The columns that the vectors' numbers stand for.
    """

    table: pa.Table
    vectors: Vectors
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.vectors)

    def only(self, rows: Any) -> Alerts:
        """Some of them, by place or by a mask."""
        import pyarrow as pa

        at = np.flatnonzero(rows) if rows.dtype == bool else rows
        return Alerts(self.table.take(pa.array(at)), self.vectors.of(at), self.names)

    @property
    def made_by(self) -> list[str | None]:
        """The column with the largest share of each; None where nothing is known."""
        first = np.argmax(self.vectors.shares, axis=1)
        codes = np.take_along_axis(self.vectors.codes, first[:, None], axis=1)[:, 0]
        return [self.names[code] if code >= 0 else None for code in codes.tolist()]


def alerts_of_parts(dataset: Dataset, parts: Sequence[Path]) -> Alerts:
    """The alerts in a night's scores, less those that people's labels suppress.

    Args:
        dataset: The dataset.
        parts: Parquet files with the columns of `scores`.
    """
    import pyarrow as pa

    from schemas.tables import scores_schema

    schema = scores_schema(dataset)
    roles = [name for name in ("entity", "event_time") if name in schema.names and _is_a_role(dataset, name)]
    names = [*_ORDER, *roles, "score", "p_value", "contributions"]
    empty = pa.schema([schema.field(name) for name in names]).empty_table()
    table = pa.concat_tables([empty, *_listed(parts, names)]).sort_by([(name, "ascending") for name in _ORDER])
    columns, codes, shares = _contributions(table["contributions"])
    times = np.full(len(table), NO_TIME)
    if "event_time" in roles:
        moments = table["event_time"].cast(pa.int64()).to_pandas()
        times[moments.notna()] = moments.dropna().astype("int64")
    weights = np.ones(len(table), dtype=np.int64)
    return Alerts(table.drop_columns("contributions"), Vectors(codes, shares, times, weights), columns)


def _is_a_role(dataset: Dataset, name: str) -> bool:
    return (dataset.entity if name == "entity" else dataset.event_time) is not None


def _listed(parts: Sequence[Path], names: list[str]) -> Iterator[pa.Table]:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    for path in parts:
        with pq.ParquetFile(path) as part:
            for batch in part.iter_batches(BATCH_ROWS, columns=[*names, "is_alert", "suppressed"]):
                shown = pc.and_(batch["is_alert"], pc.invert(pc.fill_null(batch["suppressed"], fill_value=False)))
                yield pa.Table.from_batches([batch.filter(shown)]).select(names)


def _contributions(lists: pa.ChunkedArray) -> tuple[tuple[str, ...], Any, Any]:
    """Names in alphabetical order, and of each alert the numbers and shares of its columns, padded."""
    import pyarrow as pa

    joined = lists.combine_chunks()
    array = (
        joined if isinstance(joined, pa.ListArray) else pa.concat_arrays(joined.chunks or [lists.type.wrap_array([])])
    )
    counts = np.asarray(array.value_lengths().fill_null(0), dtype=np.int64)
    flat = array.flatten()
    texts = flat.field("column").to_pylist()
    names = tuple(sorted({text for text in texts if text is not None}))
    number = {name: code for code, name in enumerate(names)}
    width = max(int(counts.max(initial=0)), 1)
    codes, shares = np.full((len(array), width), -1, dtype=np.int64), np.zeros((len(array), width))
    row = np.repeat(np.arange(len(array)), counts)
    place = np.arange(len(texts)) - np.repeat(np.cumsum(counts) - counts, counts)
    codes[row, place] = [number.get(text, -1) for text in texts]
    known = np.nan_to_num(flat.field("share").to_numpy(zero_copy_only=False).astype(float), posinf=0.0, neginf=0.0)
    shares[row, place] = np.where(codes[row, place] >= 0, np.maximum(known, 0.0), 0.0)
    return names, codes, shares
