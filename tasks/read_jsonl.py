"""JSON lines to staged parts: one object a line, numbers kept as they were written, nested values as JSON text."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from schemas.errors import UnreadableInput
from tasks.decode import LineBlocks, TextBlock
from tasks.header import match_columns
from tasks.staging import RejectWriter

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow as pa

    from schemas.dataset import Dataset

BATCH = 20_000
DECODER = json.JSONDecoder(parse_float=str, parse_int=str, parse_constant=str)


def read_jsonl(
    blocks: LineBlocks, dataset: Dataset, take: Callable[[pa.Table, pa.Array], None], rejects: RejectWriter
) -> tuple[str, ...]:
    """Read one file of JSON lines; a key that a line lacks is missing in that row.

    Args:
        blocks: Its lines.
        dataset: Whose contract's columns are taken.
        take: Receives tables of text columns and the physical line of each row.
        rejects: Receives lines that are no JSON object.

    Returns:
        Warnings.

    Raises:
        UnreadableInput: The file is empty, or no line has a column that may not be missing.
    """
    seen: dict[str, None] = {}
    collector = _Collector(dataset, take)
    head = ""
    for block in blocks:
        for line, raw in block.undecodable:
            rejects.add(line, "encoding", f"bytes that are not {blocks.encoding}", raw)
        head = head or block.data[:200].decode(errors="replace").strip()
        _read_block(block, collector, seen, rejects)
    collector.flush()
    if not head and not rejects.rows:
        raise UnreadableInput(f"{blocks.name}: an empty file", hint="did the delivery fail? fetch it again")
    optional = [name for name, column in dataset.columns.items() if column.nullable]
    match = match_columns(list(seen), dataset, blocks.name, head=head, may_lack=optional)
    return (*match.warnings, *blocks.warnings)


def _read_block(block: TextBlock, collector: _Collector, seen: dict[str, None], rejects: RejectWriter) -> None:
    for number, line in enumerate(block.data.decode().split("\n")[:-1], block.first_line):
        text = line.strip()
        if not text:
            continue
        value = parse_line(text)
        if isinstance(value, str):
            rejects.add(number, "json", value, text)
            continue
        seen.update(dict.fromkeys(value))
        collector.add(value, number)


def parse_line(text: str) -> dict[str, Any] | str:
    """One line's object, or in words why it is none."""
    try:
        value = DECODER.decode(text)
    except json.JSONDecodeError as error:
        return f"not JSON: {error.msg} at character {error.pos + 1}"
    except RecursionError:
        return "not JSON that can be read: nested too deeply"
    return value if isinstance(value, dict) else "not an object"


def as_text(value: Any) -> str | None:
    """A JSON value as the text that a delimited file would hold."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


class _Collector:
    """Gathers rows column by column and hands tables on."""

    def __init__(self, dataset: Dataset, take: Callable[[pa.Table, pa.Array], None]) -> None:
        there = {new: old for old, new in dataset.source.rename.items()}
        self._keys = [(name, there.get(name, name)) for name in dataset.columns]
        self._take = take
        self._values: list[list[str | None]] = [[] for _ in self._keys]
        self._lines: list[int] = []

    def add(self, row: dict[str, Any], line: int) -> None:
        for values, (name, key) in zip(self._values, self._keys, strict=True):
            values.append(as_text(row[key] if key in row else row.get(name)))
        self._lines.append(line)
        if len(self._lines) >= BATCH:
            self.flush()

    def flush(self) -> None:
        import pyarrow as pa

        if self._lines:
            columns = [pa.array(_clean(values), pa.string()) for values in self._values]
            self._take(pa.table(columns, names=[name for name, _ in self._keys]), pa.array(self._lines, pa.int64()))
        self._values = [[] for _ in self._keys]
        self._lines = []


def _clean(values: list[str | None]) -> list[str | None]:
    """Lone surrogates, which JSON can spell and UTF-8 cannot, as question marks."""
    return [v if v is None or v.isascii() else v.encode("utf-8", "replace").decode() for v in values]
