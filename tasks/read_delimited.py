"""Delimited text to staged parts, block by block, with exact physical line numbers.

Quick path: numpy finds lines and counts delimiters, Arrow splits the lines that fit. Exact path: our own splitter,
where quotes hold line breaks or stand where they should not.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from schemas.errors import UnreadableInput
from tasks.decode import LineBlocks, TextBlock
from tasks.header import Layout, Match, find_layout, match_columns
from tasks.quoting import QUOTE, split_record, stays_open
from tasks.staging import RejectWriter

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow as pa

    from schemas.dataset import Dataset

    Take = Callable[[pa.Table, pa.Array], None]

Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
NEWLINE, RETURN, SPACE, DOUBLE = 10, 13, 32, 34
MAX_RECORD_LINES = 500
HEAD_LINES = 200


@dataclass(frozen=True)
class DelimitedFacts:
    """What was found about a file.

    Args:
        delimiter: Between its fields; None where it has no lines.
        warnings: For the report.
    """

    delimiter: str | None
    warnings: tuple[str, ...]


def read_delimited(blocks: LineBlocks, dataset: Dataset, take: Take, rejects: RejectWriter) -> DelimitedFacts:
    """Read one delimited file.

    Args:
        blocks: Its lines.
        dataset: Whose contract's columns are taken.
        take: Receives tables of text columns and the physical line of each row.
        rejects: Receives rows that do not split into the right number of fields.

    Raises:
        UnreadableInput: The file is empty, or has no header with the contract's columns.
    """
    reader: _Reader | None = None
    layout, match = None, None
    carry, carry_line = b"", 0
    for block in blocks:
        for line, raw in block.undecodable:
            rejects.add(line, "encoding", f"bytes that are not {blocks.encoding}", raw)
        if reader is None:
            head = _head(block)
            layout = find_layout(head, dataset, blocks.name)
            match = match_columns(layout.names, dataset, blocks.name, head=next((h for h in head if h.strip()), ""))
            reader = _Reader(layout, match, take, rejects)
            block = _without_lines(block, layout.skip)  # noqa: PLW2901  the header is read
        if carry:
            block = TextBlock(carry + block.data, carry_line)  # noqa: PLW2901  a record that goes on
        carry, carry_line = reader.read(block)
    if reader is None or layout is None or match is None:
        raise UnreadableInput(f"{blocks.name}: an empty file", hint="did the delivery fail? fetch it again")
    while carry:
        carry, carry_line = reader.read(TextBlock(carry, carry_line), last=True)
    return DelimitedFacts(layout.delimiter, (*match.warnings, *blocks.warnings))


def _head(block: TextBlock) -> list[str]:
    end = 0
    for _ in range(HEAD_LINES):
        found = block.data.find(b"\n", end)
        if found < 0:
            break
        end = found + 1
    return [line.rstrip("\r") for line in block.data[:end].decode().split("\n")[:-1]]


def _without_lines(block: TextBlock, skip: int) -> TextBlock:
    at = 0
    for _ in range(skip):
        at = block.data.index(b"\n", at) + 1
    return TextBlock(block.data[at:], block.first_line + skip)


class _Reader:
    """Splits blocks of one file."""

    def __init__(self, layout: Layout, match: Match, take: Take, rejects: RejectWriter) -> None:
        self._layout, self._take, self._rejects = layout, take, rejects
        self._width = len(layout.names)
        self._places = match.places

    def read(self, block: TextBlock, *, last: bool = False) -> tuple[bytes, int]:
        """Split a block; returns the record that is still open at its end, and its line."""
        if not block.data:
            return b"", 0
        data = _single_blanks(block.data) if self._layout.delimiter == " " else block.data
        lines = _Lines.find(data, self._layout.delimiter, self._layout.comment)
        if lines is None or not self._quick(data, block.first_line, lines):
            return self._exact(data, block.first_line, last=last)
        return b"", 0

    def _quick(self, data: bytes, first_line: int, lines: _Lines) -> bool:
        fits = lines.is_row & (lines.delimiters == self._width - 1)
        table = self._split(data if fits.all() else lines.joined(data, fits), has_quotes=lines.has_quotes)
        if table is None or table.num_rows != int(fits.sum()):
            return False
        import pyarrow as pa

        for i in np.flatnonzero(lines.is_row & ~fits).tolist():
            raw = data[lines.starts[i] : lines.ends[i]].decode().rstrip("\r")
            self._reject_fields(first_line + i, int(lines.delimiters[i]) + 1, raw)
        self._take(table, pa.array(np.flatnonzero(fits) + first_line, pa.int64()))
        return True

    def _split(self, data: bytes, *, has_quotes: bool) -> pa.Table | None:
        import pyarrow as pa
        from pyarrow import csv

        names = [str(i) for i in range(self._width)]
        wanted = [str(i) for i in self._places.values()]
        if not data:
            return pa.table({column: pa.array([], pa.string()) for column in self._places})
        try:
            table = csv.read_csv(
                pa.BufferReader(data),
                csv.ReadOptions(use_threads=False, column_names=names, block_size=len(data) + 1),
                csv.ParseOptions(delimiter=self._layout.delimiter, quote_char=QUOTE if has_quotes else False),
                csv.ConvertOptions(
                    column_types=dict.fromkeys(names, pa.string()), include_columns=wanted, strings_can_be_null=False
                ),
            )
        except pa.ArrowInvalid:
            return None
        return table.rename_columns(list(self._places))

    def _exact(self, data: bytes, first_line: int, *, last: bool) -> tuple[bytes, int]:
        lines = data.decode().split("\n")[:-1]
        rows: list[list[str]] = []
        numbers: list[int] = []
        at = 0
        while at < len(lines):
            end = self._record_end(lines, at)
            if end is None and not last and len(lines) - at <= MAX_RECORD_LINES:
                break
            if end is None:
                self._rejects.add(first_line + at, "quotes", "a quote that is never closed", lines[at])
                end = at + 1
            else:
                self._exact_record(lines, at, end, first_line, rows, numbers)
            at = end
        self._take_rows(rows, numbers)
        rest = "\n".join([*lines[at:], ""]) if at < len(lines) else ""
        return rest.encode(), first_line + at

    def _record_end(self, lines: Sequence[str], at: int) -> int | None:
        is_open = False
        for end in range(at, min(len(lines), at + MAX_RECORD_LINES)):
            is_open = stays_open(lines[end], self._layout.delimiter, is_open=is_open)
            if not is_open:
                return end + 1
        return None

    def _exact_record(
        self, lines: Sequence[str], at: int, end: int, first_line: int, rows: list[list[str]], numbers: list[int]
    ) -> None:
        text = "\n".join(lines[at:end]).removesuffix("\r")
        comment = self._layout.comment
        if not text.strip(" ") or (comment is not None and text.startswith(comment)):
            return
        fields = split_record(text, self._layout.delimiter)
        if len(fields) != self._width:
            self._reject_fields(first_line + at, len(fields), text)
            return
        rows.append([fields[i] for i in self._places.values()])
        numbers.append(first_line + at)

    def _take_rows(self, rows: list[list[str]], numbers: list[int]) -> None:
        import pyarrow as pa

        if rows:
            columns = [pa.array(column, pa.string()) for column in zip(*rows, strict=True)]
            self._take(pa.table(columns, names=list(self._places)), pa.array(numbers, pa.int64()))

    def _reject_fields(self, line: int, fields: int, raw: str) -> None:
        word = "field" if fields == 1 else "fields"
        self._rejects.add(line, "fields", f"{fields} {word} where {self._width} are expected", raw)


def _single_blanks(data: bytes) -> bytes:
    """Runs of blanks as one, none at the ends of lines."""
    data = re.sub(rb"[ \t]+", b" ", data)
    return re.sub(rb" ?(\r?\n) ?", rb"\1", data).removeprefix(b" ")


@dataclass(frozen=True)
class _Lines:
    """Lines of a block in which each record is one line.

    Args:
        starts: First byte of each line `[lines]`.
        ends: Its line break `[lines]`.
        delimiters: Delimiters outside quotes `[lines]`.
        is_row: Neither blank nor comment `[lines]`.
        has_quotes: Whether any line has quotes.
    """

    starts: Ints
    ends: Ints
    delimiters: Ints
    is_row: Bools
    has_quotes: bool

    @classmethod
    def find(cls, data: bytes, delimiter: str, comment: str | None) -> _Lines | None:
        """Look at a block; None where only the exact path knows."""
        if not delimiter.isascii() or (comment is not None and not comment.isascii()):
            return None
        chars = np.frombuffer(data, np.uint8)
        ends = np.flatnonzero(chars == NEWLINE)
        starts = np.concatenate(([0], ends[:-1] + 1))
        returns = np.flatnonzero(chars == RETURN)
        if returns.size and (chars[returns + 1] != NEWLINE).any():
            return None
        quotes = np.flatnonzero(chars == DOUBLE)
        if quotes.size and not _tidy(chars, quotes, ord(delimiter), ends):
            return None
        marks = np.flatnonzero(chars == ord(delimiter))
        if quotes.size:
            marks = marks[np.searchsorted(quotes, marks) % 2 == 0]
        counts = np.searchsorted(marks, ends) - np.searchsorted(marks, starts)
        is_row = ~_blank(data, chars, starts, ends)
        if comment is not None:
            is_row &= chars[starts] != ord(comment)
        return cls(starts, ends, counts, is_row, bool(quotes.size))

    def joined(self, data: bytes, keep: Bools) -> bytes:
        """The lines to keep, as one text."""
        edges = np.flatnonzero(np.diff(np.concatenate(([False], keep, [False])).astype(np.int8)))
        runs = zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)
        return b"".join(data[self.starts[a] : self.ends[b - 1] + 1] for a, b in runs)


def _tidy(chars: npt.NDArray[np.uint8], quotes: Ints, delimiter: int, ends: Ints) -> bool:
    """Whether quotes only enclose whole fields within one line, so that counting them says what is quoted."""
    per_line = np.diff(np.searchsorted(quotes, np.concatenate(([0], ends))))
    if (per_line % 2).any():
        return False
    opening, closing = quotes[::2], quotes[1::2]
    before = chars[np.maximum(opening - 1, 0)]
    before_ok = (opening == 0) | np.isin(before, (delimiter, NEWLINE, DOUBLE))
    after_ok = np.isin(chars[closing + 1], (delimiter, NEWLINE, RETURN, DOUBLE))
    return bool(before_ok.all() and after_ok.all())


def _blank(data: bytes, chars: npt.NDArray[np.uint8], starts: Ints, ends: Ints) -> Bools:
    blank = ends == starts
    maybe = np.flatnonzero(~blank & np.isin(chars[starts], (SPACE, RETURN)))
    for i in maybe.tolist():
        blank[i] = not data[starts[i] : ends[i]].strip(b" \r")
    blanks: Bools = blank
    return blanks
