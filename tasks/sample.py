"""A bounded sample of real files for `init`: some rows of some files, as text, with the night that each file is of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date as Date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from schemas.dataset import Column, Dataset, Source
from schemas.errors import UnreadableInput, listed
from schemas.features import ColumnType
from tasks.decode import LineBlocks, open_decompressed
from tasks.header import short_name
from tasks.read_delimited import read_delimited
from tasks.read_jsonl import as_text, parse_line
from tasks.sniff import Form, sniff
from tasks.staging import RejectWriter

if TYPE_CHECKING:
    import pyarrow as pa

MAX_FILES = 14
MAX_ROWS = 50_000
MAX_TOTAL = 210_000
MAX_BYTES = 20_000_000_000


@dataclass(frozen=True)
class SampledFile:
    """Some rows of one file.

    Args:
        path: The file.
        night: The date in its name, or None.
        form: Its own form.
        table: Text columns, named as in the file.
        rows: Rows that the file has; those looked at where they were not all counted.
        is_whole: Whether all of its rows were looked at.
        rejected: Rows that did not split into fields, among those looked at.
    """

    path: Path
    night: Date | None
    form: Form
    table: pa.Table
    rows: int
    is_whole: bool
    rejected: int


class _EnoughError(Exception):
    """The sample is full."""


def spread(count: int, most: int = MAX_FILES) -> list[int]:
    """Which of many files to look at: evenly spread, the first and the last among them."""
    if count <= most:
        return list(range(count))
    return sorted({round(i * (count - 1) / (most - 1)) for i in range(most)})


def read_samples(paths: Sequence[Path], nights: Sequence[Date | None]) -> tuple[SampledFile, ...]:
    """Look at files.

    Args:
        paths: Local files, best in the order of their dates.
        nights: The date of each.

    Raises:
        UnreadableInput: A file cannot be read, or the files do not have the same columns.
    """
    most = min(MAX_ROWS, max(2_000, MAX_TOTAL // max(1, len(paths))))
    samples = tuple(_read(path, night, most) for path, night in zip(paths, nights, strict=True))
    first = samples[0]
    for other in samples[1:]:
        if other.form.format != first.form.format:
            raise UnreadableInput(
                f"{first.path.name} is {first.form.format} and {other.path.name} is {other.form.format}",
                hint="a dataset's files have one form: give a narrower pattern",
            )
        differ = sorted(set(other.table.column_names) ^ set(first.table.column_names))
        if differ and first.form.format != "jsonl":
            raise UnreadableInput(
                f"{first.path.name} and {other.path.name} differ in their columns: {listed(map(short_name, differ))}",
                hint="a dataset's files hold one kind of table: give a narrower pattern",
            )
    return samples


def _read(path: Path, night: Date | None, most: int) -> SampledFile:
    form = sniff(path, MAX_BYTES)
    if form.format == "parquet":
        return _parquet(path, night, form, most)
    if form.format == "jsonl":
        return _jsonl(path, night, form, most)
    return _delimited(path, night, form, most)


def _delimited(path: Path, night: Date | None, form: Form, most: int) -> SampledFile:
    import pyarrow as pa

    if len(set(form.names)) < len(form.names):
        twice = sorted({name for name in form.names if form.names.count(name) > 1})
        raise UnreadableInput(
            f"{path.name}: the header names {listed(map(short_name, twice))} more than once",
            hint="give each column of the file a name of its own",
        )
    places = {f"c{i}": name for i, name in enumerate(form.names)}
    source = Source(
        path="x", delimiter=form.delimiter, header=form.header, comment=form.comment,
        names=None if form.header else tuple(places),
        rename={name: place for place, name in places.items()} if form.header else {},
    )  # fmt: skip
    plain = Dataset(name="x", source=source, columns={place: Column(type=ColumnType.TEXT) for place in places})
    tables: list[pa.Table] = []
    with TemporaryDirectory() as folder:
        rejects = RejectWriter(Path(folder) / "rejects.parquet", path.name)

        def take(table: pa.Table, _: pa.Array) -> None:
            tables.append(table)
            if sum(t.num_rows for t in tables) >= most:
                raise _EnoughError

        is_whole = True
        with open_decompressed(path, path.name, MAX_BYTES) as (stream, _):
            blocks = LineBlocks(stream, path.name, form.encoding, size=2 << 20)
            try:
                read_delimited(blocks, plain, take, rejects)
            except _EnoughError:
                is_whole = False
        rejected = rejects.rows
        rejects.close()
    split = sum(table.num_rows for table in tables)
    if rejected > split:
        raise UnreadableInput(
            f"{path.name}: {rejected:,} of {rejected + split:,} rows do not have the {len(places)} fields "
            "of its first line",
            hint="look at the first lines: a title above the header, or a line break within a column's name?",
        )
    whole = pa.concat_tables(tables) if tables else pa.table({place: pa.array([], pa.string()) for place in places})
    is_whole = is_whole or (not _has_more(path, whole.num_rows + rejected))
    table = whole.slice(0, most).rename_columns(list(form.names))
    rows = whole.num_rows + rejected if is_whole else max(whole.num_rows, _count_lines(path) - int(form.header))
    encoding = blocks.encoding if blocks.odd_line else form.encoding
    return SampledFile(
        path, night, replace(form, encoding=encoding), table, rows, is_whole and whole.num_rows <= most, rejected
    )


def _has_more(path: Path, rows: int) -> bool:
    return _count_lines(path) > rows + 1


def _count_lines(path: Path) -> int:
    """Physical lines of a file; for volume, where comments and blank lines do not matter."""
    lines = 0
    with open_decompressed(path, path.name, MAX_BYTES) as (stream, _):
        while chunk := stream.read(8 << 20):
            lines += chunk.count(b"\n")
    return lines


def _jsonl(path: Path, night: Date | None, form: Form, most: int) -> SampledFile:
    import pyarrow as pa

    columns: dict[str, list[str | None]] = {}
    rows = rejected = 0
    with open_decompressed(path, path.name, MAX_BYTES) as (stream, _):
        for block in LineBlocks(stream, path.name, size=2 << 20):
            for line in block.data.decode().splitlines():
                value = parse_line(line.strip()) if line.strip() else None
                if isinstance(value, dict) and rows < most:
                    for key, item in value.items():
                        columns.setdefault(key, [None] * rows).append(as_text(item))
                    rows += 1
                    for values in columns.values():
                        if len(values) < rows:
                            values.append(None)
                elif isinstance(value, str):
                    rejected += 1
            if rows >= most:
                break
    total = max(rows, _count_lines(path))
    table = pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()})
    return SampledFile(path, night, form, table, total, total <= rows + rejected, rejected)


def _parquet(path: Path, night: Date | None, form: Form, most: int) -> SampledFile:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from tasks.read_parquet import plain_column

    tables: list[pa.Table] = []
    try:
        with pq.ParquetFile(path) as file:
            total = file.metadata.num_rows
            names = file.schema_arrow.names
            for batch in file.iter_batches(batch_size=min(most, 20_000)):
                tables.append(pa.table([plain_column(column) for column in batch.columns], names=names))
                if sum(t.num_rows for t in tables) >= most:
                    break
    except (pa.ArrowException, OSError) as error:
        raise UnreadableInput(f"{path.name}: the Parquet file is damaged or cut off: {str(error)[:200]}") from None
    if not tables:
        raise UnreadableInput(f"{path.name}: no rows", hint="name files that hold rows")
    table = pa.concat_tables(tables, promote_options="default").slice(0, most)
    return SampledFile(path, night, form, table, total, total <= table.num_rows, 0)
