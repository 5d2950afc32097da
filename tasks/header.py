"""Where the columns of a delimited file are: its header line, its delimiter, the contract's columns among its own."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from schemas.errors import UnreadableInput, listed

if TYPE_CHECKING:
    from schemas.dataset import Dataset

DELIMITERS = (",", ";", "\t", "|", " ", ":", "^", "~")
FIELDS = "#fields"
SHOWN = 60


@dataclass(frozen=True)
class Layout:
    """How a delimited file is laid out.

    Args:
        names: Name of each field in order, as the file calls it.
        delimiter: Between two fields; a blank stands for any number of blanks.
        skip: Physical lines before the first row.
        comment: Lines that start with this are no rows.
    """

    names: tuple[str, ...]
    delimiter: str
    skip: int
    comment: str | None


@dataclass(frozen=True)
class Match:
    """The contract's columns in a file.

    Args:
        places: Contract's column to the position of its field.
        warnings: About columns that the contract does not name.
    """

    places: dict[str, int]
    warnings: tuple[str, ...]


def split_line(line: str, delimiter: str) -> list[str]:
    """One line's fields; quoted ones without their quotes."""
    from tasks.quoting import split_record

    if delimiter == " ":
        line = " ".join(line.split())
    return [field.strip() for field in split_record(line, delimiter)]


def find_layout(lines: Sequence[str], dataset: Dataset, name: str) -> Layout:
    """Find header and delimiter in a file's first lines.

    Args:
        lines: The first lines, without line breaks.
        dataset: Whose contract decides between delimiters.
        name: Of the file, for messages.

    Raises:
        UnreadableInput: No line could be a header.
    """
    zeek = zeek_layout(lines)
    if zeek is not None:
        return zeek
    source = dataset.source
    first = next((i for i, line in enumerate(lines) if line.strip() and not _is_comment(line, source.comment)), None)
    candidates = list(dict.fromkeys([*([source.delimiter] if source.delimiter else []), *DELIMITERS]))
    if not source.header:
        names = source.names or ()
        sample = [line for line in lines[first or 0 :] if line.strip() and not _is_comment(line, source.comment)][:20]
        fits = {d: sum(len(split_line(line, d)) == len(names) for line in sample) for d in candidates}
        return Layout(names, max(candidates, key=lambda d: fits[d]), 0, source.comment)
    if first is None:
        raise UnreadableInput(f"{name}: no header line, only blank lines or comments")
    expected = set(dataset.columns) | set(source.rename)
    found = {d: len(expected.intersection(split_line(lines[first], d))) for d in candidates}
    delimiter = max(candidates, key=lambda d: found[d])
    return Layout(tuple(split_line(lines[first], delimiter)), delimiter, first + 1, source.comment)


def zeek_layout(lines: Sequence[str]) -> Layout | None:
    """The layout that a log's own `#fields` line gives, or None."""
    at = next((i for i, line in enumerate(lines[:50]) if line.startswith(FIELDS)), None)
    if at is None:
        return None
    delimiter = lines[at][len(FIELDS) : len(FIELDS) + 1]
    if not delimiter:
        return None
    return Layout(tuple(lines[at].split(delimiter)[1:]), delimiter, 0, "#")


def _is_comment(line: str, mark: str | None) -> bool:
    return mark is not None and line.startswith(mark)


def match_columns(
    names: Sequence[str], dataset: Dataset, name: str, *, head: str = "", may_lack: Iterable[str] = ()
) -> Match:
    """Find the contract's columns among a file's.

    Args:
        names: The file's columns in order.
        dataset: The contract, with its renames.
        name: Of the file, for messages.
        head: How the file starts, shown where it is no table at all.
        may_lack: Columns that may be missing from this kind of file.

    Raises:
        UnreadableInput: A column of the contract is missing or stands twice, or one is unknown and the dataset strict.
    """
    rename = dataset.source.rename
    here: dict[str, list[int]] = {}
    for i, column in enumerate(names):
        here.setdefault(rename.get(column, column), []).append(i)
    there = {new: old for old, new in rename.items()}
    missing = [there.get(column, column) for column in dataset.columns if column not in here]
    unknown = [names[places[0]] for column, places in here.items() if column not in dataset.columns]
    absent = [column for column in missing if column not in set(may_lack)]
    if len(missing) == len(dataset.columns):
        starts = f" (starts with {shown(head)})" if head else ""
        raise UnreadableInput(
            f"{name}: not a table with the contract's columns{starts}",
            hint="look at the file: an error page, another table, or a file without its header line?",
        )
    if absent:
        raise UnreadableInput(
            f"{name}: {_columns(absent, unknown)}",
            hint="if a column has a new name, say so under source.rename; if the table has changed, run init again",
        )
    twice = [column for column in dataset.columns if len(here.get(column, ())) > 1]
    if twice:
        raise UnreadableInput(f"{name}: the header names {listed(map(short_name, twice))} more than once")
    if unknown and dataset.strict:
        raise UnreadableInput(
            f"{name}: {_columns(missing, unknown)}, and the dataset is strict",
            hint="add the column to the contract, or write strict: false",
        )
    warnings = (f"{name}: {_columns(missing, unknown)}; the contract does not name it",) if unknown else ()
    return Match({column: here[column][0] for column in dataset.columns if column in here}, warnings)


def _columns(missing: Sequence[str], unknown: Sequence[str]) -> str:
    parts = [
        f"{listed(map(short_name, names))} {word}"
        for names, word in ((missing, "missing"), (unknown, "unknown"))
        if names
    ]
    return " and ".join(parts)


def short_name(name: str) -> str:
    """A name as a message shows it."""
    return name if name.isprintable() and 0 < len(name) <= SHOWN else shown(name)


def shown(text: str) -> str:
    """A bounded, printable form of a text."""
    text = re.sub(r"\s+", " ", text)
    return repr(text) if len(text) <= SHOWN else f"'{text[:SHOWN]}...'"
