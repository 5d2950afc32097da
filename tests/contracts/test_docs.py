"""The documentation says what the code does: every command, option, setting and code, and links that lead somewhere."""

from __future__ import annotations

import importlib.util
import re
import shlex
import tomllib
from pathlib import Path

import click
import pytest

LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", flags=re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#+ (.+)$", flags=re.MULTILINE)


def load_generator(checkout: Path):
    """Import `docs/generate.py`, which is a script and no package."""
    spec = importlib.util.spec_from_file_location("docs_generate", checkout / "docs" / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def generate(checkout):
    return load_generator(checkout)


@pytest.fixture(scope="module")
def pages(checkout, project_files):
    """Map each page a person reads to its text."""
    found = {f: f.read_text(encoding="utf-8") for f in project_files if f.suffix == ".md"}
    assert checkout / "README.md" in found
    assert checkout / "docs" / "index.md" in found
    return found


@pytest.fixture(scope="module")
def commands(generate):
    """Map each command's words to the command."""
    from infra.cli.main import cli

    return dict(generate.walk_commands(cli, ("sereno",)))


@pytest.mark.parametrize(
    "name", ["commands.md", "settings.md", "datasets.md", "exit-codes.md", "families.md", "doctor.md"]
)
def test_reference_pages_are_up_to_date(checkout, generate, name):
    assert (checkout / "docs" / name).read_text(encoding="utf-8") == generate.PAGES[name](), "run `make docs`"


def test_every_command_and_option_is_documented_and_explained(pages, commands, checkout):
    text = pages[checkout / "docs" / "commands.md"]
    sections = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", text, flags=re.MULTILINE | re.DOTALL))
    missing = []
    for path, command in commands.items():
        words = " ".join(path)
        if words not in sections or not command.help:
            missing.append(words)
        for option in command.params:
            if not isinstance(option, click.Option) or option.hidden:
                continue
            named = all(f"`{name}`" in sections.get(words, "") for name in (*option.opts, *option.secondary_opts))
            if not named or not option.help:
                missing.append(f"{words} {option.opts[0]}")
    assert not missing


@pytest.mark.parametrize(
    ("page", "module", "root"),
    [("settings.md", "schemas.settings", "Settings"), ("datasets.md", "schemas.dataset", "Dataset")],
)
def test_every_field_is_documented_and_described(pages, generate, checkout, page, module, root):
    text = pages[checkout / "docs" / page]
    model = getattr(importlib.import_module(module), root)
    missing = []
    for part in generate.all_models(model):
        assert f"## {part.__name__}\n" in text
        for name, field in part.model_fields.items():
            tells_the_kind_apart = part.__name__ != root and name == "expect"
            if f"| `{name}` |" not in text or not (field.description or tells_the_kind_apart):
                missing.append(f"{part.__name__}.{name}")
    assert not missing


def test_the_exit_code_table_is_the_enumeration(pages, checkout):
    from schemas.errors import EXIT_MEANING, Exit

    rows = re.findall(r"^\| (\d+) \| (\w+) \| (.+) \|$", pages[checkout / "docs" / "exit-codes.md"], flags=re.MULTILINE)
    assert rows == [(str(code.value), code.name, EXIT_MEANING[code]) for code in Exit]


def test_every_family_and_loss_is_explained(pages, checkout):
    from models import families
    from models.losses import loss, loss_names

    text = pages[checkout / "docs" / "families.md"]
    sections = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", text, flags=re.MULTILINE | re.DOTALL))
    missing = []
    for name in families.names():
        family = families.family(name)
        if family.build.__module__.startswith("models."):
            missing += [f"{name}.{option}" for option in family.options if f"| `{option}` |" not in sections[name]]
    for name in loss_names():
        row = re.search(rf"^\| `{name}` \| .+ \|.*\|$", sections["Losses"], flags=re.MULTILINE)
        missing += [name] if loss(name).of.__module__.startswith("models.") and not row else []
    assert not missing


def test_links_lead_somewhere(pages, generate, checkout):
    broken = []
    for page, text in pages.items():
        for target in (first or second for first, second in LINK.findall(FENCE.sub("", text))):
            if re.match(r"^[a-z]+:", target):
                continue
            name, _, fragment = target.partition("#")
            goal = (page.parent / name).resolve() if name else page
            if not goal.exists() or (fragment and goal.suffix == ".md" and fragment not in anchors(generate, goal)):
                broken.append(f"{page.relative_to(checkout)}: {target}")
    assert not broken


def anchors(generate, page: Path) -> set[str]:
    """Return the link targets that a page offers."""
    return {generate.anchor(heading) for heading in HEADING.findall(page.read_text(encoding="utf-8"))}


def test_every_page_is_reached_from_the_index(pages, checkout):
    index = checkout / "docs" / "index.md"
    reached = {(index.parent / target.partition("#")[0]).resolve() for target, _ in LINK.findall(pages[index])}
    pages_of_docs = {page for page in pages if page.parent == index.parent and page != index}
    assert not sorted(str(page.relative_to(checkout)) for page in pages_of_docs - reached)


def test_examples_name_commands_and_options_that_exist(pages, commands, checkout):
    wrong = []
    for page, text in pages.items():
        for line in example_lines(text):
            problem = wrong_words(shlex.split(line, comments=True), commands)
            wrong += [f"{page.relative_to(checkout)}: {line}: {problem}"] if problem else []
    assert not wrong


def example_lines(text: str) -> list[str]:
    """Return the lines of a page's shell examples that call sereno."""
    blocks = [body for language, body in FENCE.findall(text) if language in ("sh", "bash", "console")]
    lines = [line.strip().removeprefix("$ ") for body in blocks for line in body.replace("\\\n", " ").splitlines()]
    return [line for line in lines if line.startswith("sereno ")]


def wrong_words(words: list[str], commands: dict[tuple[str, ...], click.Command]) -> str | None:
    """Return what is wrong with an example's words, or None."""
    path = ("sereno",)
    for word in words[1:]:
        if not isinstance(commands[path], click.Group):
            break
        if not word.startswith("-"):
            path = (*path, word)
        if path not in commands:
            return f"no command `{' '.join(path)}`"
    known = {
        name
        for end in range(1, len(path) + 1)
        for param in commands[path[:end]].params
        for name in (*param.opts, *param.secondary_opts)
    }
    unknown = [word for word in words if word.startswith("--") and word.partition("=")[0] not in {*known, "--help"}]
    return f"no option {unknown[0]}" if unknown else None


def test_a_wrong_example_is_found():
    cli = click.Group("sereno", commands=[click.Command("run", params=[click.Option(["--date"])])])
    commands = {("sereno",): cli, ("sereno", "run"): cli.commands["run"]}
    assert wrong_words(["sereno", "run", "x", "--date", "2026-01-01"], commands) is None
    assert wrong_words(["sereno", "walk"], commands) == "no command `sereno walk`"
    assert wrong_words(["sereno", "run", "x", "--night"], commands) == "no option --night"


def test_every_dependency_has_a_reason(pages, checkout):
    text = pages[checkout / "docs" / "decisions" / "0002-dependencies.md"]
    reasons = dict(re.findall(r"^\| ([a-z0-9-]+) \| (.+) \|$", text, flags=re.MULTILINE))
    project = tomllib.loads((checkout / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    names = {re.match(r"[\w-]+", requirement)[0].lower() for requirement in wanted}
    assert reasons.keys() - {"distribution"} == names


def test_every_field_of_a_result_is_explained(pages, checkout):
    from schemas.results import ModelOutcome, NightResult, RowCounts

    text = pages[checkout / "docs" / "report.md"].partition("## The result as JSON")[2].partition("\n## ")[0]
    explained = set(re.findall(r"`([a-z_]+)`", text))
    for kind in (NightResult, ModelOutcome, RowCounts):
        assert set(kind.model_fields) <= explained
