"""The contract on one staged part, in a worker: rows that meet it to one file, failures to another."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from schemas.contract import DTYPES, contract_failures, contract_of
from schemas.results import QuarantineSample
from schemas.tables import accepted_schema
from tasks.coerce import coerce_table
from tasks.quarantine import counted, quarantine_records, sampled, written_text
from tasks.row_keys import hash_text, row_keys

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from schemas.dataset import Dataset


@dataclass(frozen=True)
class PartSplit:
    """What became of one staged part.

    Args:
        index: Its place among the staged parts, which is the order of "first".
        staged: The staged part.
        rows: Rows read.
        accepted: Typed rows that met the contract; None where there were none.
        quarantined: Failures; None where there were none.
        hashes: `sereno_hash` of the accepted rows as an .npy file; None where rows have no key to repeat.
        rows_accepted: Rows in `accepted`.
        columns: Failed rows for each column.
        rules: Failed rows for each (column, rule).
        sample: The first failures.
    """

    index: int
    staged: Path
    rows: int
    accepted: Path | None
    quarantined: Path | None
    hashes: Path | None
    rows_accepted: int
    columns: dict[str, int]
    rules: dict[tuple[str, str], int]
    sample: tuple[QuarantineSample, ...]


def split_part(item: tuple[int, Path], dataset: Dataset, folder: Path) -> PartSplit:
    """Read, check and split one staged part.

    Args:
        item: Place and path of the staged part.
        dataset: The contract.
        folder: Where the files go; exists.
    """
    index, path = item
    staged = pq.read_table(path)
    typed, unread = coerce_table(staged, dataset)
    keys = row_keys(typed, dataset, written_keys(staged, dataset))
    failures = find_failures(typed, unread, dataset)
    bad = np.zeros(staged.num_rows, dtype=bool)
    bad[failures["row"].to_numpy()] = True
    records = None
    if len(failures):
        columns = [name for name in dataset.columns if name in staged.column_names]
        records = quarantine_records(staged, columns, keys, failures)
    accepted = _accepted(typed, staged, keys, ~bad, dataset)
    return _written(PartFiles(index, path, folder), staged.num_rows, accepted, records, keyed=bool(dataset.key))


def written_keys(staged: pa.Table, dataset: Dataset) -> list[pa.Array]:
    """For each key column what stood in the file; names a row whose key could not be read."""
    missing = pa.nulls(staged.num_rows, pa.string())
    return [
        pc.utf8_trim_whitespace(written_text(staged.column(n))) if n in staged.column_names else missing
        for n in dataset.key
    ]


def find_failures(
    typed: pa.Table, unread: tuple[tuple[str, str, NDArray[np.bool_]], ...], dataset: Dataset
) -> pd.DataFrame:
    """All failures of a part: what could not be read, then what the contract refuses.

    A value that could not be read is missing in `typed`; it is reported for its type alone, not also as missing.
    """
    types = [_frame(np.flatnonzero(mask), name, rule) for name, rule, mask in unread]
    found = contract_failures(contract_of(dataset), contract_frame(typed, dataset))
    if not types:
        return found
    unreadable = pd.concat(types, ignore_index=True)
    both = found.merge(unreadable[["row", "column"]], on=["row", "column"], how="left", indicator="_seen")
    return pd.concat([unreadable, found[(both["_seen"] == "left_only").to_numpy()]], ignore_index=True)


def _frame(rows: NDArray[np.int64], column: str, rule: str) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "row": rows.astype("int64"),
            "column": pd.Series([column] * len(rows), dtype="str"),
            "rule": pd.Series([rule] * len(rows), dtype="str"),
        }
    )


def contract_frame(typed: pa.Table, dataset: Dataset) -> pd.DataFrame:
    """Typed columns as the pandas types that the compiled contract knows."""
    series = {}
    for name, column in dataset.columns.items():
        values = typed.column(name)
        match DTYPES[column.type]:
            case "Int64":
                series[name] = pd.Series(_masked(values, pd.arrays.IntegerArray, np.dtype("int64"), 0))
            case "boolean":
                series[name] = pd.Series(_masked(values, pd.arrays.BooleanArray, np.dtype("bool"), fill=False))
            case dtype:
                series[name] = values.to_pandas().astype(dtype)
    return pd.DataFrame(series)


def _masked(
    values: pa.ChunkedArray,
    kind: type[pd.arrays.IntegerArray | pd.arrays.BooleanArray],
    dtype: np.dtype[np.generic],
    fill: int | bool,
) -> pd.arrays.IntegerArray | pd.arrays.BooleanArray:
    """Without the detour over floats, in which large integers lose their last digits."""
    data = np.array(values.fill_null(fill).to_numpy(), dtype=dtype)
    return kind(data, np.array(values.is_null().to_numpy(), dtype=bool))


def _accepted(typed: pa.Table, staged: pa.Table, keys: pa.Array, good: NDArray[np.bool_], dataset: Dataset) -> pa.Table:
    mask = pa.array(good)
    kept_keys = keys.filter(mask)
    own = [staged.column(name).filter(mask) for name in ("sereno_file", "sereno_line")]
    kept = typed.filter(mask)
    columns = [*kept.columns, *own, kept_keys, pa.array(hash_text(kept_keys), pa.int64())]
    schema = accepted_schema(dataset)
    return pa.table([c.cast(f.type) for c, f in zip(columns, schema, strict=True)], schema=schema)


@dataclass(frozen=True)
class PartFiles:
    """Names of the files that a part leaves in `folder`."""

    index: int
    staged: Path
    folder: Path

    def path(self, what: str) -> Path:
        """The file that holds `what`, e.g. accepted.parquet."""
        return self.folder / f"part-{self.index:06d}-{what}"


def _repeats(field: pa.Field) -> bool:
    return bool(pa.types.is_string(field.type)) and field.name != "sereno_key"


def _written(files: PartFiles, rows: int, accepted: pa.Table, records: pa.Table | None, *, keyed: bool) -> PartSplit:
    kept = hashes = held = None
    if accepted.num_rows:
        kept = files.path("accepted.parquet")
        # A dictionary pays for texts that repeat; for numbers and keys it is the dearest part of writing.
        pq.write_table(accepted, kept, use_dictionary=[f.name for f in accepted.schema if _repeats(f)])
        if keyed:
            hashes = files.path("hashes.npy")
            np.save(hashes, accepted.column("sereno_hash").to_numpy(), allow_pickle=False)
    by_column, by_rule = counted(records) if records is not None else ({}, {})
    if records is not None:
        held = files.path("quarantined.parquet")
        pq.write_table(records, held)
    sample = sampled(records) if records is not None else ()
    return PartSplit(files.index, files.staged, rows, kept, held, hashes, accepted.num_rows, by_column, by_rule, sample)
