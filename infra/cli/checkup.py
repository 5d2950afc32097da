"""What `doctor` looks at: this machine, the installed packages, and the project's stores."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from schemas.errors import ConfigError, SerenoError

if TYPE_CHECKING:
    from infra.cli.invocation import Invocation
    from infra.runtime.project import Project
    from schemas.settings import Settings

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
REPAIR = "sereno doctor --repair"
MIN_FREE_BYTES = 2_000_000_000
MIN_MEMORY_BYTES = 3_000_000_000


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    what: str
    ok: bool
    found: str
    hint: str = ""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def check_up(invocation: Invocation) -> list[Finding]:
    """Look at everything; the project only where there is one."""
    findings = [_python(), *_packages(), _memory()]
    try:
        project, resolved = invocation.resolved()
    except ConfigError as error:
        no_project = error.message.startswith("No sereno.yaml")
        return [
            *findings,
            Finding("project", no_project and invocation.folder is None, error.message, error.hint or ""),
        ]
    return [*findings, *_project(project, resolved.settings)]


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    return Finding("Python", (3, 11) <= sys.version_info[:2] < (3, 14), version, "use Python 3.11, 3.12 or 3.13")


def _packages() -> Iterator[Finding]:
    for name in PACKAGES:
        try:
            yield Finding(name, True, metadata.version(name))
        except metadata.PackageNotFoundError:
            yield Finding(name, False, "not installed", "install Sereno again: pip install sereno")


def _memory() -> Finding:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return Finding(
        "memory",
        memory >= MIN_MEMORY_BYTES,
        f"{memory / 1e9:.1f} GB, {os.cpu_count()} cores",
        "a training needs about 2 GB",
    )


def _project(project: Project, settings: Settings) -> Iterator[Finding]:
    yield Finding("project", True, str(project.root))
    free = shutil.disk_usage(project.root).free
    yield Finding(
        "free disk",
        free >= MIN_FREE_BYTES,
        f"{free / 1e9:.1f} GB",
        "make room, or move `state` elsewhere in sereno.yaml",
    )
    yield _writable(project.root)
    yield from _datasets(project)
    yield from _routes(project, settings)
    yield from _stores(project, settings)


def _writable(folder: Path) -> Finding:
    return Finding("project folder", os.access(folder, os.W_OK), str(folder), "give yourself the right to write there")


def _datasets(project: Project) -> Iterator[Finding]:
    from schemas.dataset import load_dataset
    from tasks.night import check_family

    for path in sorted(project.datasets.glob("*.yaml")):
        try:
            dataset = load_dataset(path)
            check_family(dataset)
        except ConfigError as error:
            yield Finding(f"dataset {path.stem}", False, error.message, error.hint or "")
        else:
            found = f"{len(dataset.columns)} columns, {len(dataset.features)} features"
            yield Finding(f"dataset {path.stem}", bool(dataset.features), found, "no column is a feature")


def _routes(project: Project, settings: Settings) -> Iterator[Finding]:
    for name, route in settings.notify.routes.items():
        try:
            route.address(project.root)
        except ConfigError as error:
            hint = "mend it in sereno.yaml, or where it says that the address is"
            yield Finding(f"route {name}", False, error.message, error.hint or hint)
        else:
            yield Finding(f"route {name}", True, f"its address is there; does it work? sereno notify test {name}")


def _stores(project: Project, settings: Settings) -> Iterator[Finding]:
    from tasks.repair import old_orphans
    from tasks.services import open_services

    if not project.state.is_dir():
        yield Finding("state", True, "nothing was run yet")
        return
    try:
        with open_services(project, settings) as services:
            live, stale = services.state.live(), services.state.stale()
            yield Finding("state database", True, f"{len(services.state.recent())} recent runs, {len(live)} at work")
            yield Finding(
                "runs that died",
                not stale,
                ", ".join(f"{run.dataset} {run.night}" for run in stale) or "none",
                f"run the night again, it takes over; or: {REPAIR}",
            )
            left = [path for name in project.dataset_names() for path in old_orphans(services, name)]
            size = sum(path.stat().st_size for path in left)
            found = f"{len(left)}, {size / 1e6:.1f} MB" if left else "none"
            yield Finding("files that no commit names", not left, found, f"remove them: {REPAIR}")
    except SerenoError as error:
        yield Finding("state database", False, error.message, error.hint or "")


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
