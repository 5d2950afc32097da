"""A message as plain text and as a page for mail; what comes from data can only ever be text in either."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from schemas.message import Message
from tasks.report_text import SENTENCE, shortened

MOST_ATTACHED = 5_000_000
"""Bytes of a page that goes along; what mail servers refuse begins at about twice that."""

_SUBJECT = 200
_CELL = 200


def letter(message: Message, page: Path | None, *, attach: bool) -> dict[str, Any]:
    """Return what `tasks.deliver` sends.

    Args:
        message: What is told.
        page: The report of the night that it is about, where it has one.
        attach: Whether the report goes along.
    """
    fields = {"kind": message.kind, "severity": message.severity, "about": message.about, "dataset": message.dataset}
    fields |= {"night": message.night.isoformat() if message.night else None, "entity": message.entity}
    return {
        "subject": f"Sereno: {_line(message.subject, _SUBJECT)}",
        "text": as_text(message, page),
        "html": as_html(message, page),
        "severity": message.severity,
        "fields": {name: value for name, value in fields.items() if value is not None},
        "attachment": _attachment(message, page) if attach and page is not None else None,
    }


def as_text(message: Message, page: Path | None = None) -> str:
    """Return the message for channels of plain text."""
    return "\n".join(_text_lines(message, page)) + "\n"


def as_html(message: Message, page: Path | None = None) -> str:
    """Return the message for mail."""
    from tasks.report_template import environment

    template = environment().get_template("message.html")
    return template.render(message=message, page=page, named=lambda row: _named(message, row))


def _text_lines(message: Message, page: Path | None) -> Iterator[str]:
    yield from (_line(line) for line in message.lines)
    if message.facts:
        yield ""
        yield ", ".join(f"{name}: {_line(value, _CELL)}" for name, value in message.facts)
    if message.rows:
        yield ""
        yield "The worst:"
    for number, row in enumerate(message.rows, start=1):
        yield f"{number}. " + ", ".join(f"{name} {_line(cell, 2 * _CELL)}" for name, cell in _named(message, row))
    if message.steps:
        yield ""
        yield "What to do:"
    for text, command in message.steps:
        yield f"- {_line(text)}"
        if command:
            yield f"    {_line(command)}"
    if page is not None:
        yield ""
        yield f"Report: {_line(str(page))}"


def _named(message: Message, row: tuple[str, ...]) -> list[tuple[str, str]]:
    """The cells of a row that hold something, each with the name of its column."""
    return [(name, cell) for name, cell in zip(message.header, row, strict=False) if cell]


def _line(text: str, limit: int = SENTENCE) -> str:
    shown, cut = shortened(" ".join(text.split()), limit)
    return shown + ("…" if cut else "")


def _attachment(message: Message, page: Path) -> dict[str, str] | None:
    """The report; nothing where it is gone or larger than mail takes, as the text says where it is."""
    try:
        if page.stat().st_size > MOST_ATTACHED:
            return None
        content = page.read_bytes()
    except OSError:
        return None
    return {"name": f"{message.dataset}-{message.night}.html", "content": base64.b64encode(content).decode()}
