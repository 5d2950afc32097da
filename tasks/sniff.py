"""What form a file has that nobody has described yet: delimited, JSON lines or Parquet; delimiter, header, encoding."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from schemas.errors import UnreadableInput
from tasks.decode import LineBlocks, open_decompressed
from tasks.header import shown, split_line, zeek_layout
from tasks.read_jsonl import parse_line

LIKELY, UNLIKELY = (",", ";", "\t", "|"), ("^", "~", " ", ":")
LOOKED_AT = 200
NUMBER = re.compile(r"[+-]?(\d+[.,]?\d*|[.,]\d+)([eE][+-]?\d+)?")
TIME = re.compile(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}\b.*")


@dataclass(frozen=True)
class Form:
    """The form of one file.

    Args:
        format: As in `source.format`.
        delimiter: Of a delimited file.
        header: Whether its first line names the columns.
        names: Its columns as the file calls them; made up where it has no header; empty for JSON lines and Parquet.
        comment: Lines that start with this are no rows.
        encoding: Found in its bytes.
        compression: Found by its magic bytes.
        has_mark: Whether it starts with a byte order mark.
    """

    format: Literal["delimited", "jsonl", "parquet"]
    delimiter: str | None = None
    header: bool = True
    names: tuple[str, ...] = ()
    comment: str | None = None
    encoding: str | None = None
    compression: str | None = None
    has_mark: bool = False


def sniff(path: Path, limit: int) -> Form:
    """Look at a file's first lines.

    Args:
        path: A local file.
        limit: Most decompressed bytes.

    Raises:
        UnreadableInput: It is empty, cut off, or no table.
    """
    with path.open("rb") as raw:
        if raw.read(4) == b"PAR1":
            return Form("parquet")
    with open_decompressed(path, path.name, limit) as (stream, compression):
        blocks = LineBlocks(stream, path.name, size=1 << 20)
        block = next(iter(blocks), None)
        lines = block.data.decode().split("\n")[:LOOKED_AT] if block else []
    lines = [line.rstrip("\r") for line in lines if line.strip()]
    if not lines:
        raise UnreadableInput(f"{path.name}: an empty file", hint="name files that hold rows")
    if isinstance(parse_line(lines[0].strip()), dict):
        return Form("jsonl", encoding=blocks.encoding, compression=compression, has_mark=blocks.has_mark)
    if lines[0].lstrip()[:1] in ("<", "\x00", "[") or "\x00" in lines[0]:
        raise UnreadableInput(f"{path.name}: not a table (starts with {shown(lines[0])})")
    return _delimited(lines, blocks, compression)


def _delimited(lines: Sequence[str], blocks: LineBlocks, compression: str | None) -> Form:
    zeek = zeek_layout(lines)
    if zeek is not None:
        delimiter, header, names, comment = zeek.delimiter, True, zeek.names, zeek.comment
    else:
        comment = "#" if lines[0].startswith("#") and any(not line.startswith("#") for line in lines) else None
        rows = [line for line in lines if comment is None or not line.startswith(comment)]
        delimiter = find_delimiter(rows)
        header = has_header([split_line(line, delimiter) for line in rows])
        first = split_line(rows[0], delimiter)
        names = tuple(first) if header else tuple(f"column_{i}" for i in range(1, len(first) + 1))
    return Form(
        "delimited",
        delimiter,
        header,
        names,
        comment,
        encoding=blocks.encoding,
        compression=compression,
        has_mark=blocks.has_mark,
    )


def find_delimiter(lines: Sequence[str]) -> str:
    """The character that splits most lines into the same number of fields, two or more; a comma where none does."""
    for candidates in (LIKELY, UNLIKELY):
        best: tuple[int, str] | None = None
        for delimiter in candidates:
            widths = [len(split_line(line, delimiter)) for line in lines]
            width, count = Counter(widths).most_common(1)[0]
            agrees = count >= 0.9 * len(widths) and widths[0] == width
            if width > 1 and agrees and (best is None or width > best[0]):
                best = width, delimiter
        if best is not None:
            return best[1]
    return ","


def has_header(rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first row names the columns instead of holding values."""
    first, rest = rows[0], [row for row in rows[1:] if len(row) == len(rows[0])]
    if _counts_up(first) and not any(_counts_up(row) for row in rest):
        return True
    if any(NUMBER.fullmatch(field) or TIME.fullmatch(field) for field in first) or len(set(first)) < len(first):
        return False
    if not rest:
        return all(first)
    columns = list(zip(*rest, strict=True))
    if any(all(NUMBER.fullmatch(v) or TIME.fullmatch(v) or not v for v in column) for column in columns):
        return True
    return not any(name in column for name, column in zip(first, columns, strict=True))


def _counts_up(fields: Sequence[str]) -> bool:
    """`0,1,2,3`, with or without an unnamed first column: what a data frame writes that has no names."""
    plain = fields[1:] if fields and not fields[0] else fields
    return len(plain) > 1 and list(plain) == [str(i) for i in range(len(plain))]
