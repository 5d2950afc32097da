"""What `doctor` looks at: this machine, the installed packages, and the project's stores."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from importlib import metadata
from typing import TYPE_CHECKING

from schemas.errors import ConfigError
from tasks.doctor import Finding, Level, examine

if TYPE_CHECKING:
    from infra.cli.invocation import Invocation
    from infra.runtime.project import Project
    from schemas.settings import ResolvedSettings

PACKAGES = (
    "prefect",
    "dask",
    "pandera",
    "great-expectations",
    "mlflow",
    "tensorflow",
    "keras",
    "onnxruntime",
    "deltalake",
    "pandas",
    "numpy",
)
MIN_MEMORY_BYTES = 3_000_000_000


def check_up(invocation: Invocation) -> list[Finding]:
    """Look at everything; the project only where there is one."""
    from infra.runtime.project import quiet_environment

    findings = [_python(), *_packages(), _memory()]
    environ = dict(os.environ)  # as the user has it
    try:
        project, resolved = invocation.resolved()
    except ConfigError as error:
        no_project = error.message.startswith("No sereno.yaml")
        level: Level = "ok" if no_project and invocation.folder is None else "wrong"
        return [*findings, Finding("project", level, error.message, error.hint or "")]
    quiet_environment(project)
    return [*findings, Finding("project", "ok", _in_words(project, resolved)), *examine(project, resolved, environ)]


def _in_words(project: Project, resolved: ResolvedSettings) -> str:
    return f"{project.root}, profile {resolved.profile}" if resolved.profile else str(project.root)


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    level: Level = "ok" if (3, 11) <= sys.version_info[:2] < (3, 14) else "wrong"
    return Finding("Python", level, version, "use Python 3.11, 3.12 or 3.13")


def _packages() -> Iterator[Finding]:
    for name in PACKAGES:
        try:
            yield Finding(name, "ok", metadata.version(name))
        except metadata.PackageNotFoundError:
            yield Finding(name, "wrong", "not installed", "install Sereno again: pip install sereno")


def _memory() -> Finding:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return Finding(
        "memory",
        "ok" if memory >= MIN_MEMORY_BYTES else "wrong",
        f"{memory / 1e9:.1f} GB, {os.cpu_count()} cores",
        "a training needs about 2 GB",
    )


def repair(invocation: Invocation) -> list[str]:
    """Put right what stopped runs left in the project's stores; a sentence for each thing."""
    from infra.cli.orchestrated import told_of_the_dead
    from infra.runtime.project import quiet_environment
    from tasks.repair import put_all_right
    from tasks.services import open_services

    project, resolved = invocation.resolved()
    quiet_environment(project)
    with open_services(project, resolved.settings) as services:
        said = put_all_right(services)
    dead = told_of_the_dead(project, resolved.settings)
    return said + [f"flow run {name} of Prefect set to Crashed: its process is dead" for name in dead]
