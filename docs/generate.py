"""Write the reference pages from the code: commands, settings, dataset files, exit codes, families.

python docs/generate.py            write the pages
python docs/generate.py --check    say which pages are behind the code (exit 1)
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
import sys
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import time, timedelta
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from schemas.schedule import written_clock, written_length

if TYPE_CHECKING:
    from models.families import Family

DOCS = Path(__file__).resolve().parent
MARK = "<!-- Written by `make docs` from the code; edit the code instead. -->"
BOUNDS = {"gt": "above", "ge": "at least", "lt": "below", "le": "at most", "min_length": "length at least"}
BOUNDS |= {"max_length": "length at most", "pattern": "pattern"}

TYPE_NAMES = {"str": "text", "int": "integer", "float": "number", "bool": "`true` or `false`", "NoneType": "nothing"}
TYPE_NAMES |= {"timedelta": "length of time, as `90m`", "time": "time, as `'02:30'`"}
TYPE_NAMES |= {"SecretStr": "secret: text, `{env: NAME}` or `{file: PATH}`"}


def page(title: str, *parts: Iterable[str]) -> str:
    """Render a page: its heading and its parts, lines each, with an empty line before each part."""
    lines = [f"# {title}", "", MARK]
    for part in parts:
        lines += ["", *part]
    return "\n".join(lines) + "\n"


def table(columns: str, rows: Iterable[Iterable[str]]) -> list[str]:
    """Render a table, with the names of its columns as `key, meaning`."""
    names = columns.split(", ")
    filled = (" | ".join(map(cell, row)) for row in (names, *rows))
    head, *body = (f"| {row} |" for row in filled)
    return [head, "|" + "---|" * len(names), *body]


def anchor(heading: str) -> str:
    """Return the link target that a heading gets."""
    kept = "".join(c for c in heading.lower() if c.isalnum() or c in " -_")
    return kept.replace(" ", "-")


def cell(text: str) -> str:
    """Make a text fit into one cell of a table."""
    return " ".join(text.replace("|", "\\|").split())


def walk_commands(command: click.Command, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Yield each visible command below a group with its words, in the order of the help text."""
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command, info_name=path[-1])
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            if inner is not None and not inner.hidden:
                yield from walk_commands(inner, (*path, name))


def commands_page() -> str:
    """Render every command with its arguments and options."""
    from infra.cli.main import cli

    found = list(walk_commands(cli, ("sereno",)))
    rows = (
        (f"[`{' '.join(path)}`](#{anchor(' '.join(path))})", command.get_short_help_str(limit=200))
        for path, command in found[1:]
    )
    sections = (command_section(path, command, cli.context_settings) for path, command in found)
    intro = "What each exit code means: [exit codes](exit-codes.md)."
    return page("Commands", [intro], table("command, does", rows), *sections)


def command_section(path: tuple[str, ...], command: click.Command, settings: Mapping[str, Any]) -> list[str]:
    """Render one command; `settings` are those of the group of all commands."""
    # As below `sereno`: a command keeps the help option that it was first asked for with.
    context = click.Context(command, info_name=path[-1], **settings)
    usage = " ".join([*path, *command.collect_usage_pieces(context)])
    lines = [f"## {' '.join(path)}", "", help_text(command), "", "```text", usage, "```"]
    options = [p for p in command.get_params(context) if isinstance(p, click.Option) and not p.hidden]
    return [*lines, "", *table("option, default, meaning", (option_row(option, context) for option in options))]


def help_text(command: click.Command) -> str:
    """Return a command's help; a paragraph that keeps its lines (click's mark is a backspace) becomes a block."""
    paragraphs = inspect.cleandoc(command.help or "").split("\n\n")
    return "\n\n".join(block(p) if p.startswith("\b") else p for p in paragraphs)


def block(paragraph: str) -> str:
    """Fence a paragraph whose lines are to stay as they are."""
    return "\n".join(["```text", paragraph.removeprefix("\b").strip(), "```"])


def option_row(option: click.Option, context: click.Context) -> tuple[str, str, str]:
    """Render one option as a row of the table."""
    names = ", ".join(f"`{name}`" for name in option.opts)
    if option.secondary_opts:
        names += " / " + ", ".join(f"`{name}`" for name in option.secondary_opts)
    if not option.is_flag and not option.count:
        names += f" `{option.make_metavar(context)}`"
    return names, option_default(option), option.help or ""


def option_default(option: click.Option) -> str:
    """Render an option's default; flags that are off and options without one have none to tell."""
    info = option.to_info_dict()["default"]
    if option.required:
        return "required"
    if info is None or info is False or info == () or callable(info):
        return ""
    return f"`{info}`"


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield the pydantic models that an annotation names, at any depth."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in typing.get_args(annotation):
        yield from models_in(inner)


def all_models(root: type[BaseModel]) -> list[type[BaseModel]]:
    """List a model and those below it, each once, in the order of their fields."""
    found = [root]
    for model in found:
        for field in model.model_fields.values():
            found += [inner for inner in models_in(field.annotation) if inner not in found]
    return found


def type_text(annotation: Any) -> str:
    """Render a type for a person who writes YAML."""
    args = typing.get_args(annotation)
    if args:
        return composed_text(typing.get_origin(annotation), args)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return f"[{annotation.__name__}](#{anchor(annotation.__name__)})"
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return " or ".join(f"`{member.value}`" for member in annotation)
    return TYPE_NAMES.get(getattr(annotation, "__name__", ""), "any value")


def composed_text(origin: Any, args: tuple[Any, ...]) -> str:
    """Render a type that is made of others."""
    if origin is typing.Annotated:
        limits = [item for part in args[1:] for item in (part.metadata if isinstance(part, FieldInfo) else [part])]
        return type_text(args[0]) + bounds_text(limits)
    if origin is typing.Literal:
        return " or ".join(f"`{a if isinstance(a, str) and a.strip() else json.dumps(a)}`" for a in args)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(dict.fromkeys(type_text(a) for a in args))
    if origin is dict:
        return f"map of {type_text(args[0])} to {type_text(args[1])}"
    return tuple_text(args)


def tuple_text(args: tuple[Any, ...]) -> str:
    """Render a list type; a tuple of fixed length is spelled out."""
    if len(args) > 1 and args[1] is not Ellipsis:
        return "[" + ", ".join(type_text(a) for a in args) + "]"
    return f"list of {type_text(args[0])}"


def bounds_text(limits: Iterable[Any]) -> str:
    """Render the limits of a value."""
    parts = []
    for item in limits:
        for name, words in BOUNDS.items():
            value = getattr(item, name, None)
            if value is not None:
                parts.append(f"{words} `{value}`" if name == "pattern" else f"{words} {value}")
    return f" ({', '.join(parts)})" if parts else ""


def default_text(field: FieldInfo) -> str:
    """Render a default as it would stand in YAML."""
    if field.default_factory is not None or (field.default is PydanticUndefined and not field.is_required()):
        return ""
    if field.is_required():
        return "required"
    if isinstance(field.default, timedelta):
        return f"`{written_length(field.default)}`"
    if isinstance(field.default, time):
        return f"`'{written_clock(field.default)}'`"
    value = field.default.value if isinstance(field.default, Enum) else field.default
    return "" if value is None else f"`{json.dumps(value, ensure_ascii=False)}`"


def model_section(model: type[BaseModel]) -> list[str]:
    """Render one model as a table of its fields."""
    rows = (
        (f"`{name}`", type_text(field.annotation) + bounds_text(field.metadata), default_text(field), field.description)
        for name, field in model.model_fields.items()
    )
    described = table("key, value, default, meaning", ((*row, said or "") for *row, said in rows))
    return [f"## {model.__name__}", "", inspect.getdoc(model) or "", "", *described]


def model_page(title: str, intro: str, root: type[BaseModel]) -> str:
    """Render a model and all that stand below it."""
    return page(title, [intro], *map(model_section, all_models(root)))


def settings_page() -> str:
    """Render `sereno.yaml`."""
    from schemas.settings import Settings

    intro = (
        "What may stand in `sereno.yaml`, and in a [profile](profiles.md). A flag wins over an environment variable, "
        "that over the profile, that over the file, that over the default. A variable's name is `SERENO_` and the key "
        "in capitals, levels joined by two underscores: `SERENO_CLUSTER__KIND=threads`. An unknown key is refused with "
        "its line and the nearest known name."
    )
    return model_page("Settings", intro, Settings)


def datasets_page() -> str:
    """Render `datasets/NAME.yaml`."""
    from schemas.dataset import Dataset

    intro = (
        "What may stand in `datasets/NAME.yaml`, the one file that says what is watched. `sereno init` writes it from "
        "real files, with comments; every line may be edited. An unknown key is refused with its line and the nearest "
        "known name."
    )
    return model_page("Dataset files", intro, Dataset)


def exit_codes_page() -> str:
    """Render the table of exit codes."""
    from schemas.errors import EXIT_MEANING, Exit

    intro = "Every command ends with one of these. `backfill` ends with the worst of its nights, after all were tried."
    rows = ((str(code.value), code.name, EXIT_MEANING[code]) for code in Exit)
    return page("Exit codes", [intro], table("code, name, meaning", rows))


def families_page() -> str:
    """Render every family and loss of the project, with the options that each has."""
    from models import families
    from models.networks import Layered

    found = [families.family(name) for name in families.names()]
    found = [family for family in found if is_ours(family.build)]
    intro = (
        "What `detector.family` and `detector.loss` of a dataset file may name, and `Autoencoder(family, loss=...)` in "
        "Python. How to add one: [a family of your own](own-family.md). What they are good for, with pictures: "
        "[the gallery](gallery.md)."
    )
    rows = ((f"[`{f.name}`](#{anchor(f.name)})", f.use, "yes" if f.prior else "", f.paper) for f in found)
    shared = ["## Options of every family", "", *options_table(Layered, shared_options())]
    listed = table("family, what it is for, makes up rows, paper", rows)
    return page("Families and losses", [intro], listed, shared, *map(family_section, found), losses_section())


def family_section(family: Family) -> list[str]:
    """Render one family: what its module says of it, and its options."""
    own = [name for name in family.options if name not in shared_options()]
    options = options_table(family.config, [*changed_defaults(family.config), *own])
    return [f"## {family.name}", "", cell(inspect.getmodule(family.build).__doc__ or ""), "", *options]


def is_ours(thing: Callable[..., Any]) -> bool:
    """Whether a family or a loss is the project's: others may be registered in this process."""
    return thing.__module__.partition(".")[0] == "models"


def shared_options() -> list[str]:
    """List the options that every family has."""
    from models.networks import Layered

    return [field.name for field in dataclasses.fields(Layered)]


def changed_defaults(config: type[Any]) -> list[str]:
    """List the options that every family has, and for which this one has a default of its own."""
    from models.networks import Layered

    return [name for name in shared_options() if getattr(config, name) != getattr(Layered, name)]


def options_table(config: type[Any], names: Iterable[str]) -> list[str]:
    """Render options of a family's config, with the meaning that its docstring gives."""
    hints = typing.get_type_hints(config, include_extras=True)
    meanings = argument_texts(config)
    rows = [(f"`{name}`", type_text(hints[name]), json_text(getattr(config, name)), meanings[name]) for name in names]
    return table("option, value, default, meaning", rows) if rows else ["No further options."]


def json_text(value: Any) -> str:
    """Render a default as it would stand in YAML; nothing for what is left open."""
    return "" if value is None else f"`{json.dumps(value)}`"


def argument_texts(config: type[Any]) -> dict[str, str]:
    """Map the arguments that a class and those above it document to what they say."""
    found: dict[str, str] = {}
    for kind in reversed(config.__mro__):
        arguments = inspect.cleandoc(kind.__dict__.get("__doc__") or "").partition("\nArgs:\n")[2]
        found |= dict(re.findall(r"^ {4}(\w+): (.*(?:\n {5,}.*)*)", arguments, flags=re.MULTILINE))
    return found


def losses_section() -> list[str]:
    """Render the losses."""
    from models.losses import loss, loss_names

    found = [each for each in map(loss, loss_names()) if is_ours(each.of)]
    intro = "What a row's reconstruction costs. `binary_crossentropy` needs values within 0 and 1."
    rows = ((f"`{each.name}`", inspect.getdoc(each.of) or "", each.paper) for each in found)
    return ["## Losses", "", intro, "", *table("loss, what it is, paper", rows)]


def doctor_page() -> str:
    """Render what `sereno doctor` looks for in a project."""
    from tasks.doctor import checks

    intro = (
        "`sereno doctor` looks at the machine, the installed packages and, in a project folder, at the project. It "
        "mends nothing by itself, and ends with 0, or with 1 where something is WRONG; a *note* may be meant. Each "
        "comes with what mends it; `--json` gives the same with the name of the check. What stopped runs left is put "
        "right by [`--repair`](stopped-nights.md#look-and-repair-by-hand)."
    )
    network = (
        "Of the network nothing is asked but whether a database server or a scheduler answers that the settings name. "
        "Inputs that are not on this machine are held against the allow-list only."
    )
    besides = (
        "Besides: versions of Python and of the packages, memory, dataset files that cannot be read (`dataset`), and a "
        "state database that cannot be opened (`database`). A misspelt key or `SERENO_` variable is refused by every "
        "command."
    )
    examples = ["```sh", "sereno doctor", "sereno --profile=production doctor --json", "```"]
    rows = ((f"`{check.name}`", check.finds, check.mend) for check in checks())
    listed = table("check, finds, mend", rows)
    return page("What the doctor looks for", [intro], examples, [network], listed, [besides])


PAGES: dict[str, Callable[[], str]] = {
    "commands.md": commands_page,
    "settings.md": settings_page,
    "datasets.md": datasets_page,
    "exit-codes.md": exit_codes_page,
    "families.md": families_page,
    "doctor.md": doctor_page,
}


def main(arguments: list[str]) -> int:
    """Write the pages, or compare them."""
    behind = []
    for name, render in PAGES.items():
        path, text = DOCS / name, render()
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            behind.append(name)
            if "--check" not in arguments:
                path.write_text(text, encoding="utf-8")
    if "--check" in arguments and behind:
        print(f"behind the code: {', '.join(behind)}; run `make docs`", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
