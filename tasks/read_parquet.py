"""Parquet to staged parts: types kept, row groups streamed, the row's number for its line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from schemas.errors import UnreadableInput
from tasks.header import match_columns

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow as pa

    from schemas.dataset import Dataset


def read_parquet(
    path: Path, name: str, dataset: Dataset, take: Callable[[pa.Table, pa.Array], None], limit: int
) -> tuple[str, ...]:
    """Read one Parquet file.

    Args:
        path: A local file.
        name: How messages call it.
        dataset: Whose contract's columns are taken.
        take: Receives tables and the number of each row, from 1.
        limit: Most decompressed bytes.

    Returns:
        Warnings.

    Raises:
        UnreadableInput: The file is empty, cut off, not Parquet, too large, or lacks columns.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    _check_ends(path, name)
    try:
        with pq.ParquetFile(path, memory_map=False) as file:
            _check_size(file.metadata, name, limit)
            match = match_columns(file.schema_arrow.names, dataset, name)
            columns = {file.schema_arrow.names[place]: column for column, place in match.places.items()}
            first = 1
            for batch in file.iter_batches(batch_size=min(dataset.partition_rows, 100_000), columns=list(columns)):
                plain = [plain_column(batch.column(old)) for old in columns]
                take(
                    pa.table(plain, names=list(columns.values())),
                    pa.array(range(first, first + batch.num_rows), pa.int64()),
                )
                first += batch.num_rows
    except (pa.ArrowException, OSError) as error:
        if getattr(error, "errno", None) is not None:  # a disk's, perhaps that of the part that is written
            raise
        text = str(error).split("\n", maxsplit=1)[0][:200]
        raise UnreadableInput(
            f"{name}: the Parquet file is damaged or cut off: {text}", hint="fetch the file again"
        ) from None
    return match.warnings


def _check_ends(path: Path, name: str) -> None:
    size = path.stat().st_size
    if not size:
        raise UnreadableInput(f"{name}: an empty file", hint="did the delivery fail? fetch it again")
    with path.open("rb") as raw:
        head = raw.read(60)
        raw.seek(max(0, size - 4))
        tail = raw.read(4)
    if not head.startswith(b"PAR1"):
        raise UnreadableInput(f"{name}: not a Parquet file (starts with {head.decode('ascii', 'replace')!r})")
    if tail != b"PAR1":
        raise UnreadableInput(f"{name}: the file is cut off", hint="fetch the file again; nothing of it was taken")


def _check_size(metadata: Any, name: str, limit: int) -> None:
    total = sum(metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups))
    if total > limit:
        raise UnreadableInput(
            f"{name}: larger than {limit:,} bytes when decompressed",
            hint="if that is right, raise inputs.max_bytes in sereno.yaml",
        )


def plain_column(column: pa.Array) -> pa.Array:
    """Dictionaries decoded, nested values as JSON text, bytes as text."""
    import pyarrow as pa

    kind = column.type
    if pa.types.is_dictionary(kind):
        return plain_column(column.dictionary_decode())
    if pa.types.is_nested(kind):
        import json

        return pa.array(
            [None if v is None else json.dumps(v, default=str, ensure_ascii=False) for v in column.to_pylist()],
            pa.string(),
        )
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind):
        return pa.array(
            [None if v is None else v.decode("utf-8", "backslashreplace") for v in column.to_pylist()], pa.string()
        )
    return column
