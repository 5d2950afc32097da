"""What a project takes on the disk: sizes are asked for, no row is read."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infra.runtime.disk import Used, used
from infra.runtime.lake_repair import local_folder
from schemas.errors import SerenoError
from tasks.retention_plan import size_in_words
from tasks.retention_rows import TABLES

if TYPE_CHECKING:
    from tasks.services import Services


@dataclass(frozen=True)
class DiskRow:
    """What one thing takes.

    Args:
        kind: `table`, `detectors`, `reports`, `database` or `files`.
        dataset: Whose; empty for what belongs to all.
        what: What people call it.
        files: How many files; none where that is not known.
        bytes: Their size.
    """

    kind: str
    dataset: str
    what: str
    files: int
    bytes: int

    @property
    def line(self) -> str:
        """The row in one line."""
        files = f"{self.files:,} file{'s' if self.files != 1 else ''}" if self.files else ""
        return f"{size_in_words(self.bytes):>12}  {f'{self.dataset} {self.what}'.strip()}  {files}".rstrip()


@dataclass(frozen=True)
class Disk:
    """A disk that something of the project lies on.

    Args:
        holds: What lies there.
        free: Bytes that are free.
        total: Bytes that it has.
    """

    holds: tuple[str, ...]
    free: int
    total: int

    @property
    def line(self) -> str:
        """The disk in one line."""
        return f"{size_in_words(self.free)} free of {size_in_words(self.total)} ({', '.join(self.holds)})"


@dataclass(frozen=True)
class DiskUse:
    """What a project takes, and the room that is left."""

    rows: tuple[DiskRow, ...]
    disks: tuple[Disk, ...]

    @property
    def bytes(self) -> int:
        """All together."""
        return sum(row.bytes for row in self.rows)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "bytes": self.bytes,
            "rows": [asdict(row) for row in self.rows],
            "disks": [asdict(disk) for disk in self.disks],
        }


def disk_use(services: Services, name: str | None = None) -> DiskUse:
    """What lies where; only what belongs to a dataset where one is named."""
    from tasks.retention import known_datasets

    datasets = known_datasets(services) if name is None else [name]
    rows = [row for dataset in datasets for row in _of_dataset(services, dataset)]
    rows += _of_all(services) if name is None else ()
    return DiskUse(tuple(row for row in rows if row.bytes), disks_of(services))


def disks_of(services: Services) -> tuple[Disk, ...]:
    """The disks of the project folder, the state, the lake and the reports, each once."""
    project = services.project
    lake = local_folder(services.settings.lake or str(project.lake))
    found: dict[int, Disk] = {}
    for what, path in (("state", project.state), ("lake", lake), ("reports", project.reports)):
        if path is None:
            continue
        there = next((folder for folder in (path, *path.parents) if folder.is_dir()), project.root)
        space, device = shutil.disk_usage(there), there.stat().st_dev
        holds = (*(found[device].holds if device in found else ()), what)
        found[device] = Disk(holds, space.free, space.total)
    return tuple(found.values())


def _of_dataset(services: Services, name: str) -> Iterator[DiskRow]:
    for table in TABLES:
        try:
            yield _row("table", name, table, _table(services, name, table))
        except SerenoError:  # a name that is none, or a lake that does not answer
            continue
    project = services.project
    yield _row("detectors", name, "detectors", used(project.artifacts / name))
    yield _row("reports", name, "reports", used(project.reports / name))


def _table(services: Services, name: str, table: str) -> Used:
    folder = local_folder(services.lake.uri(name, table))
    if folder is not None:
        return used(folder) if folder.is_dir() else Used()
    files = services.lake.table_files(name, table)
    return Used() if files is None else Used(len(files.files), sum(file.bytes for file in files.files))


def _of_all(services: Services) -> Iterator[DiskRow]:
    project = services.project
    pages = [path for path in project.reports.glob("*") if path.is_file()]
    yield _row("reports", "", "overviews", _sum(pages))
    yield DiskRow("database", "", "state database", 0, services.state.size())
    yield _row("database", "", "MLflow's database", _sum(project.state.glob("mlflow.db*")))
    yield _row("files", "", "Prefect's home", used(project.prefect_home))
    yield _row("files", "", "logs of runs", used(project.logs))
    yield _row("files", "", "what stopped nights left", used(project.resume))
    yield _row("files", "", "scratch of runs at work", used(project.work))


def _row(kind: str, dataset: str, what: str, there: Used) -> DiskRow:
    return DiskRow(kind, dataset, what, there.files, there.bytes)


def _sum(paths: Iterable[Path]) -> Used:
    return sum((used(path) for path in paths), Used())
