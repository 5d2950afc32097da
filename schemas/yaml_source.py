"""YAML files whose every value knows its line, so that an error can name it.

Only data is read: PyYAML's safe constructors, no tags, no aliases that multiply, keys at most once.
"""

from __future__ import annotations

import difflib
import re
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, SecretStr, ValidationError

from schemas.errors import ConfigError, listed
from schemas.secrets import holds_secret, reference_of

Location = tuple[str | int, ...]
M = typing.TypeVar("M", bound=BaseModel)
MAX_BYTES = 4_000_000
# Ten times as fast as the one in Python, which reads a project of hundreds of datasets in half a minute.
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_ADDRESS = re.compile(r"([a-z][a-z0-9+.-]*://)[^\s'\"]+", re.IGNORECASE)
PLAIN_TAGS = frozenset({"map", "seq", "str", "int", "float", "bool", "null", "timestamp"})


@dataclass(frozen=True)
class YamlSource:
    """A YAML document: its plain values, and the line (from 1) of each.

    Args:
        path: Where it was read from, for messages.
        values: The top-level mapping.
        lines: Line of each key or item by its path in the document.
        elsewhere: Dotted name of each value that stands in no file, to the variable or flag that set it.
    """

    path: Path
    values: dict[str, Any]
    lines: Mapping[Location, int]
    elsewhere: Mapping[str, str] = field(default_factory=dict)

    def line(self, where: Location) -> int:
        """The line of a value, or that of the nearest enclosing one that has a line."""
        for end in range(len(where), 0, -1):
            if where[:end] in self.lines:
                return self.lines[where[:end]]
        return 1

    def place(self, where: Location) -> str:
        """Where a value stands, in words: a line, or the variable or flag that set it."""
        for end in range(len(where), 0, -1):
            if dotted(where[:end]) in self.elsewhere:
                return self.elsewhere[dotted(where[:end])]
        return f"line {self.line(where)}"


def read_yaml(path: Path) -> YamlSource:
    """Read one YAML mapping.

    Raises:
        ConfigError: The file is missing, not UTF-8, not YAML, not a mapping, or has a key twice.
    """
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file", hint="make it with: sereno init DIR --from 'FILES'") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    if len(raw) > MAX_BYTES:
        raise ConfigError(f"{path}: larger than {MAX_BYTES:,} bytes, which no settings file is")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: byte {error.start} is not UTF-8", hint="save the file as UTF-8") from None
    return parse_yaml(text, path)


def parse_yaml(text: str, path: Path) -> YamlSource:
    """Parse one YAML mapping from text; see `read_yaml`."""
    loader = LOADER(text)
    try:
        _refuse_aliases(text, path)
        root = loader.get_single_node()
        lines: dict[Location, int] = {}
        values = _plain(root, (), lines, loader, path) if root is not None else {}
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"{path}, line {line}: not YAML: {error.problem or error.context}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"{path}: not YAML: {str(error)[:200]}") from None
    finally:
        loader.dispose()
    if not isinstance(values, dict):
        raise ConfigError(f"{path}, line 1: expected `name: value` lines, found {_kind(values)}")
    return YamlSource(path, values, lines)


def _refuse_aliases(text: str, path: Path) -> None:
    """An alias may stand for a list of aliases, and so on: a small file that fills the memory."""
    for event in yaml.parse(text, Loader=LOADER):
        if isinstance(event, yaml.AliasEvent):
            line = event.start_mark.line + 1 if event.start_mark else 1
            raise ConfigError(f"{path}, line {line}: the alias *{event.anchor} is not allowed; write the value out")


def _plain(node: yaml.Node, where: Location, lines: dict[Location, int], loader: yaml.SafeLoader, path: Path) -> Any:
    lines.setdefault(where, node.start_mark.line + 1)
    if node.tag.rpartition(":")[2] not in PLAIN_TAGS:
        raise ConfigError(f"{path}, line {node.start_mark.line + 1}: not YAML of plain values: {node.tag[:80]}")
    if isinstance(node, yaml.MappingNode):
        out: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key, line = _key(key_node, path), key_node.start_mark.line + 1
            if key in out:
                raise ConfigError(f"{path}, line {line}: `{key}` stands twice; keep one of the two")
            lines[(*where, key)] = line
            out[key] = _plain(value_node, (*where, key), lines, loader, path)
        return out
    if isinstance(node, yaml.SequenceNode):
        return [_plain(item, (*where, i), lines, loader, path) for i, item in enumerate(node.value)]
    return loader.construct_object(node, deep=True)


def _key(node: yaml.Node, path: Path) -> str:
    if isinstance(node, yaml.ScalarNode) and node.tag != "tag:yaml.org,2002:merge":
        return str(node.value)
    raise ConfigError(f"{path}, line {node.start_mark.line + 1}: a key must be a plain name")


def validate_model(model: type[M], source: YamlSource, what: str, *, context: Any = None) -> M:
    """Make a settings model of a YAML source; all mistakes in one error, each with its line.

    Args:
        model: A pydantic model with ``extra="forbid"``.
        source: The document.
        what: How a message calls the document, e.g. ``dataset file``.
        context: What the model's validators are given.

    Raises:
        ConfigError: With a line for each mistake: what is allowed, and the nearest known name.
    """
    try:
        return model.model_validate(source.values, context=context)
    except ValidationError as error:
        mistakes = [_explain(model, source, item) for item in error.errors(include_url=False)]
        unique = list(dict.fromkeys(mistakes))
        raise ConfigError(
            f"{source.path}: {len(unique)} mistake{'s' if len(unique) > 1 else ''} in the {what}\n"
            + "\n".join(f"  {m}" for m in unique),
            hint="docs/settings.md and docs/datasets.md describe each key; editors complete them by the JSON Schema",
        ) from None


def _explain(model: type[BaseModel], source: YamlSource, item: Any) -> str:
    where = _in_document(item["loc"], source.values)
    place = f"{source.place(where)}: `{dotted(where)}`"
    if item["type"] == "extra_forbidden":
        known = known_keys(model, where[:-1])
        return f"{place} is not a known key{nearest(str(where[-1]), known)}; allowed here: {listed(known, 40)}"
    if item["type"] == "missing":
        return f"{place} is missing"
    if item["type"].startswith("union_tag_"):
        return _explain_kind(place, dotted(where), item)
    text = str(item["msg"]).removeprefix("Value error, ")
    allowed = item.get("ctx", {}).get("expected") if item["type"] in ("literal_error", "enum") else None
    if allowed:
        names = [name.strip(" '\"") for name in str(allowed).replace(" or ", ", ").split(",")]
        return f"{place} is {_shown(item['input'])}{nearest(str(item['input']), names)}; allowed: {', '.join(names)}"
    is_open = reference_of(item["input"]) is not None or not holds_secret(kind_at(model, where))
    return f"{place} is {_shown(item['input'])}: {text}" if is_open else f"{place}, not shown here: {text}"


def _holds_secret(kind: Any) -> bool:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return any(_holds_secret(field.annotation) for field in kind.model_fields.values())
    return kind is SecretStr or any(_holds_secret(inner) for inner in typing.get_args(kind))


def _explain_kind(place: str, where: str, item: Any) -> str:
    """The key that tells a union's kinds apart is missing, or names none of them."""
    key = str(item["ctx"]["discriminator"]).strip("'")
    if "tag" not in item["ctx"]:
        return f"{place} must say its `{key}`"
    tag, names = item["ctx"]["tag"], [name.strip(" '") for name in str(item["ctx"]["expected_tags"]).split(",")]
    named = place.replace(f"`{where}`", f"`{where}.{key}`")
    return f"{named} is {_shown(tag)}{nearest(tag, names)}; allowed: {', '.join(names)}"


def _in_document(location: Location, values: Any) -> Location:
    """Pydantic's location without the names of validators and union members that it puts in between."""
    where: list[str | int] = []
    for i, part in enumerate(location):
        here = (isinstance(values, dict) and part in values) or (isinstance(values, list) and isinstance(part, int))
        if here:
            values = values[part]
        if here or (i == len(location) - 1 and isinstance(values, dict)):
            where.append(part)
    return tuple(where)


def dotted(where: Location) -> str:
    """A location as people write it: ``columns.dur.min``."""
    return (
        "".join(f"[{p}]" if isinstance(p, int) else (f".{p}" if i else p) for i, p in enumerate(where))
        or "the document"
    )


def nearest(name: str, known: typing.Iterable[str]) -> str:
    """`` (did you mean `x`?)`` for the nearest known name, or nothing."""
    match = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f" (did you mean `{match[0]}`?)" if match else ""


def known_keys(model: type[BaseModel], where: Location) -> list[str]:
    """The keys that a model allows at a location of its document."""
    return sorted({f.alias or n for m in _models(kind_at(model, where)) for n, f in m.model_fields.items()})


def kind_at(model: type[BaseModel], where: Location) -> Any:
    """The type that a model gives to a location of its document, None where it knows none."""
    current: Any = model
    for part in where:
        current = _step(current, part)
    return current


def _step(kind: Any, part: str | int) -> Any:
    for model in _models(kind):
        for name, known in model.model_fields.items():
            if part in (name, known.alias):
                return known.annotation
    arguments = typing.get_args(kind)
    if typing.get_origin(kind) in (types.UnionType, typing.Union, typing.Annotated):
        found = [_step(a, part) for a in arguments]
        return next((f for f in found if f is not None), None)
    return arguments[-1 if isinstance(part, str) else 0] if arguments else None


def _models(kind: Any) -> list[type[BaseModel]]:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return [kind]
    return [m for a in typing.get_args(kind) for m in _models(a)] if typing.get_origin(kind) else []


def _shown(value: object) -> str:
    """A value, bounded; of an address, which may hold a password, only how it begins."""
    text = _ADDRESS.sub(r"\1***", repr(value))
    return text if len(text) <= 80 else f"{text[:77]}..."


def _kind(value: object) -> str:
    return {list: "a list", str: "a text", int: "a number", float: "a number", bool: "yes or no"}.get(
        type(value), "nothing"
    )
