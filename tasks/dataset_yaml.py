"""A dataset file as text for people: each value quoted where YAML would misread it, each comment harmless."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

import yaml

PLAIN = re.compile(r"[A-Za-z_/.%][A-Za-z0-9_./%+-]*( [A-Za-z0-9_./%+()-]+)*")
LONGEST_KEY = 900  # YAML's own limit is 1,024 characters for a key on the line of its value
COMMENT = 180
ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r", "\0": "\\0"}


def scalar(value: object) -> str:
    """One value as YAML reads it back: the same text, number, truth or nothing."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return _number(value)
    text = str(value)
    if PLAIN.fullmatch(text) and len(text) < 200 and _reads_back(text):
        return text
    return '"' + "".join(_character(c) for c in text) + '"'


def _number(value: float) -> str:
    if value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    text = repr(value)
    # YAML takes 1e-20 for a text and 1.0e-20 for a number.
    return text if "." in text else text.replace("e", ".0e")


@cache
def _reads_back(text: str) -> bool:
    try:
        return bool(yaml.safe_load(text) == text)
    except (yaml.YAMLError, ValueError):
        return False


def _character(c: str) -> str:
    if c in ESCAPES:
        return ESCAPES[c]
    if c.isprintable() and c != "\ufeff":
        return c
    code = ord(c)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def comment(text: str, limit: int = COMMENT) -> str:
    """Text behind a `#`: one line, bounded, printable."""
    plain = "".join(c if c.isprintable() and c != "\ufeff" else " " for c in text)
    plain = re.sub(r" +", " ", plain).strip()
    return f"# {plain[:limit]}..." if len(plain) > limit else f"# {plain}"


def flow(value: object) -> str:
    """A value on one line: `{type: number, min: 0}`, `[a, b]`, or a scalar."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_flow_scalar(k)}: {flow(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(flow(item) for item in value) + "]"
    return _flow_scalar(value)


def _flow_scalar(value: object) -> str:
    return scalar(value)


def entry(key: str, value: object, why: str = "", indent: int = 0) -> list[str]:
    """Lines for one key: its comment behind it where that fits, else above."""
    pad = " " * indent
    name, text = scalar(key), flow(value)
    if len(name) > LONGEST_KEY:
        lines = [f"{pad}? {name}", f"{pad}: {text}"]
        return [f"{pad}{comment(why)}", *lines] if why else lines
    line = f"{pad}{name}: {text}"
    if not why:
        return [line]
    behind = f"{line}  {comment(why)}"
    return [behind] if len(behind) <= 140 else [f"{pad}{comment(why)}", line]


def item(value: object, why: str = "", indent: int = 2) -> list[str]:
    """Lines for one item of a list."""
    pad = " " * indent
    line = f"{pad}- {flow(value)}"
    if not why:
        return [line]
    behind = f"{line}  {comment(why)}"
    return [behind] if len(behind) <= 140 else [f"{pad}{comment(why)}", line]


def section(title: str, *lines: str) -> list[str]:
    """A blank line and comment lines that open a section."""
    return ["", *(comment(line) for line in (title, *lines))]


def without_defaults(values: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """What a person needs to see: values that are not the default."""
    return {key: value for key, value in values.items() if key not in defaults or value != defaults[key]}
