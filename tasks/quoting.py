"""Exact splitting of delimited text with quotes: RFC 4180, and what spreadsheets make of it.

A quote opens a field only at the field's start; inside, two quotes mean one; what stands behind the closing quote
belongs to the field.
"""

from __future__ import annotations

QUOTE = '"'


def split_record(text: str, delimiter: str) -> list[str]:
    """The fields of one record, which may hold line breaks between quotes."""
    if QUOTE not in text:
        return text.split(delimiter)
    fields, at = [], 0
    while True:
        quoted, at = _quoted_part(text, at)
        end = text.find(delimiter, at)
        if end < 0:
            fields.append(quoted + text[at:])
            return fields
        fields.append(quoted + text[at:end])
        at = end + 1


def _quoted_part(text: str, at: int) -> tuple[str, int]:
    """The quoted start of a field that begins at `at`, unquoted, and where it ends."""
    if not text.startswith(QUOTE, at):
        return "", at
    pieces, start = [], at + 1
    while True:
        close = text.find(QUOTE, start)
        if close < 0:
            pieces.append(text[start:])
            return "".join(pieces), len(text)
        if not text.startswith(QUOTE, close + 1):
            pieces.append(text[start:close])
            return "".join(pieces), close + 1
        pieces.append(text[start : close + 1])
        start = close + 2


def stays_open(line: str, delimiter: str, *, is_open: bool) -> bool:
    """Whether a quoted field goes on behind this line.

    Args:
        line: One physical line.
        delimiter: Between two fields.
        is_open: Whether the line begins inside a quoted field.
    """
    if QUOTE not in line:
        return is_open
    at = 0
    while True:
        if is_open or line.startswith(QUOTE, at):
            at = _closing(line, at if is_open else at + 1)
            if at < 0:
                return True
            is_open = False
        at = line.find(delimiter, at)
        if at < 0:
            return False
        at += 1


def _closing(line: str, start: int) -> int:
    """Where the text behind the closing quote begins, or -1."""
    while True:
        close = line.find(QUOTE, start)
        if close < 0:
            return -1
        if not line.startswith(QUOTE, close + 1):
            return close + 1
        start = close + 2
