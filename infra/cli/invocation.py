"""What every command starts from: the project folder, its settings, the dataset that it names."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date as Date
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from schemas.errors import UsageError
from schemas.spelling import spelled_out, spelled_out_json

if TYPE_CHECKING:
    from infra.runtime.project import Project
    from schemas.dataset import Dataset
    from schemas.settings import ResolvedSettings

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Invocation:
    """The options that stand before the command's name.

    Args:
        folder: `--project`, if given.
        overrides: `--set NAME=VALUE`, as written.
        verbose: Whether stages log to stderr.
        profile: `--profile`, if given.
    """

    folder: str | None
    overrides: tuple[str, ...] = ()
    verbose: bool = False
    profile: str | None = None

    def resolved(self) -> tuple[Project, ResolvedSettings]:
        """The project folder and its settings.

        Raises:
            ConfigError: There is no project here, or its settings are wrong.
        """
        from infra.runtime.project import find_project
        from schemas.settings import load_settings

        project = find_project(Path(self.folder or "."))
        resolved = load_settings(project.root, flags=self._flags())
        return project.placed(resolved.settings), resolved

    def as_environment(self) -> dict[str, str]:
        """The same choices as variables, for processes that are started."""
        chosen = {} if self.profile is None else {"SERENO_PROFILE": self.profile}
        pairs = (item.partition("=") for item in self.overrides)
        return chosen | {f"SERENO_{name.strip().upper().replace('.', '__')}": value for name, _, value in pairs}

    def _flags(self) -> dict[str, Any]:
        import yaml

        flags: dict[str, Any] = {"profile": self.profile}
        for item in self.overrides:
            name, equals, value = item.partition("=")
            if not equals or not name:
                raise UsageError(f"--set {item}: expected NAME=VALUE", hint="for example: --set cluster.kind=threads")
            flags[name.strip()] = yaml.safe_load(value)
        return flags

    def dataset(self, project: Project, name: str) -> Dataset:
        """One dataset of the project.

        Raises:
            UsageError: There is none of this name.
            ConfigError: Its file is wrong.
        """
        from schemas.dataset import load_dataset
        from schemas.yaml_source import nearest

        path = project.dataset_file(name)
        if not path.is_file():
            known = sorted(p.stem for p in project.datasets.glob("*.yaml"))
            raise UsageError(
                f"There is no dataset `{name}` in {project.root}{nearest(name, known)}; "
                f"datasets here: {', '.join(known) or 'none'}",
                hint="make one with: sereno init DIR --from 'FILES'",
            )
        return load_dataset(path)


class LogicalDate(click.ParamType[Date]):
    """A date as YYYY-MM-DD."""

    name = "date"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Date:
        """Parse one date."""
        try:
            date = value if isinstance(value, Date) else Date.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value!r} is not a date; write it as 2026-09-20", param, ctx)
        if date in (Date.min, Date.max):
            self.fail(f"{value!r} has no day beside it", param, ctx)
        return date


DATE = LogicalDate()


def with_dataset(function: F) -> F:
    """Give a command the argument `NAME` of a dataset and the invocation."""

    @click.argument("dataset", metavar="NAME")
    @click.pass_obj
    @functools.wraps(function)
    def command(invocation: Invocation, *args: Any, **kwargs: Any) -> Any:
        return function(invocation, *args, **kwargs)

    return command  # type: ignore[return-value]  # click's decorators keep the signature at run time only


def with_json(function: F) -> F:
    """Give a command `--json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")(function)


def with_date(function: F) -> F:
    """Give a command `--date`."""
    return click.option(
        "--date", "night", type=DATE, required=True, metavar="DATE", help="The logical date, YYYY-MM-DD."
    )(function)


def show(values: Any) -> None:
    """Print JSON on stdout."""
    import json

    show_json(json.dumps(values, indent=2, ensure_ascii=False, default=str))


def show_json(text: str) -> None:
    """Print what is JSON already."""
    click.echo(spelled_out_json(text))


def say(text: object = "", *, err: bool = False) -> None:
    """Print text on stdout, or on stderr; what values have in them of control characters is spelled out."""
    click.echo(spelled_out(str(text)), err=err)


def on_terminal() -> bool:
    """Whether progress may be shown: stderr is a terminal."""
    return sys.stderr.isatty()
