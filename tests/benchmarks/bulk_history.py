"""A project with many nights behind it, made in bulk: `python bulk_history.py SEED PROJECT NIGHTS BEFORE`.

SEED is a project that has really run a few nights; PROJECT has run none and gets NIGHTS of them, the last one on the
day before the date BEFORE. A process of its own makes each project, as MLflow keeps connections to a path.

Lake, state, ledger and registry are written through their own classes, as a night would; reports are copied. A night
has the rows, the counters and the result of one of the nights that were run, in turn.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date as Date
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from project_setup import NAME

if TYPE_CHECKING:
    import pyarrow as pa

    from infra.runtime.runs import Run
    from models.bundle import Bundle
    from models.registry import VersionInfo
    from tasks.services import Services


@dataclass(frozen=True)
class RealNight:
    """What a run left of a night.

    Args:
        run: Its row in the state.
        tables: Its rows in the lake, by table.
        pages: Its report's files.
        version: What the registry knows of the version that it trained.
        bundle: That version.
    """

    run: Run
    tables: dict[str, pa.Table]
    pages: tuple[Path, ...]
    version: VersionInfo
    bundle: Bundle


def nights_run(project: Path) -> list[RealNight]:
    """Read the nights that a project has run, oldest first."""
    with services_of(project) as services:
        return [_real_night(services, run) for run in reversed(services.state.history(NAME))]


def _real_night(services: Services, run: Run) -> RealNight:
    from models.bundle import open_bundle

    tables = {table: services.lake.read(NAME, table, {run.night: at}) for table, at in run.versions.items()}
    pages = tuple(services.project.report_file(NAME, run.night.isoformat(), suffix) for suffix in ("html", "json"))
    known = {info.tags.get("run_id"): info for info in services.registry.versions(NAME)}
    version = known[run.id]
    bundle = open_bundle(services.registry.download(NAME, version.version), version.bundle_hash)
    return RealNight(run, tables, pages, version, bundle)


def add_history(project: Path, real: Sequence[RealNight], nights: int, before: Date) -> None:
    """Write so many nights into a project that has none, the last one on the day before a date."""
    with services_of(project) as services:
        for at in range(nights):
            night = before - timedelta(days=nights - at)
            _add_night(services, real[at % len(real)], night)
        champion = services.state.champion(NAME)
        services.registry.set_champion(NAME, champion.version if champion else None)


def _add_night(services: Services, like: RealNight, night: Date) -> None:
    run = services.state.start_run(
        NAME, night, "run", f"{like.run.fingerprint[:54]}{night}", protocol=like.run.protocol
    )
    versions = {
        table: services.lake.replace_night(NAME, table, night, rows, without_night(rows.schema))
        for table, rows in like.tables.items()
    }
    version = _add_version(services, like, run, night)
    result = {**like.run.result, "date": night.isoformat()}
    result["model"] = {**result["model"], "version": version, "champion": version}
    services.state.finish_run(
        run.id, like.run.status, result=result, versions=versions, counters=like.run.counters,
        sample_version=versions["samples"],
    )  # fmt: skip
    _copy_pages(services, like, night)


def _add_version(services: Services, like: RealNight, run: Run, night: Date) -> str:
    from models.bundle import write_bundle
    from schemas.results import TrainingSummary

    bundle = like.bundle
    with TemporaryDirectory(prefix="sereno-bench-bundle-") as folder:
        detector: dict[str, Any] = {**bundle.detector, "nights": [night.isoformat()]}
        path = Path(folder) / "bundle"
        found = write_bundle(path, replace(bundle, detector=detector))
        summary = TrainingSummary(nights=(night.isoformat(),), loss=(1.0,) * 20, held_out_loss=(1.0,) * 20)
        metrics = dict(like.version.metrics)
        version = services.registry.register(NAME, path, found, summary, metrics, {"run_id": run.id})
    for action in ("registered", "promoted"):
        services.state.record(NAME, version, found, action, reason="history", actor=f"run {run.id}", run_id=run.id)
    return version


def _copy_pages(services: Services, like: RealNight, night: Date) -> None:
    project = services.project
    for page in like.pages:
        target = project.report_file(NAME, night.isoformat(), page.suffix[1:])
        target.parent.mkdir(parents=True, exist_ok=True)
        text = page.read_text(encoding="utf-8").replace(like.run.night.isoformat(), night.isoformat())
        target.write_text(text, encoding="utf-8")
    shutil.copyfile(like.pages[0], project.reports / f"{night}.html")  # stands for the night's overview
    project.logs.mkdir(parents=True, exist_ok=True)
    (project.logs / f"{night}.jsonl").write_text("{}\n" * 50, encoding="utf-8")


def without_night(schema: pa.Schema) -> pa.Schema:
    """Return a table's columns but the partition's, as a night writes them."""
    return schema.remove(schema.get_field_index("night"))


@contextmanager
def services_of(project: Path) -> Iterator[Services]:
    """Open the stores of a project folder."""
    from infra.runtime.project import find_project, quiet_environment
    from schemas.settings import load_settings
    from tasks.services import open_services

    quiet_environment()
    found = find_project(project)
    with open_services(found, load_settings(found.root).settings) as services:
        yield services


def main() -> None:
    """Make one project."""
    seed, project, nights, before = sys.argv[1:]
    real = nights_run(Path(seed))
    add_history(Path(project), real, int(nights), Date.fromisoformat(before))
    # Its first start takes half a minute, and nothing here is about that.
    shutil.copytree(Path(seed) / "state" / "prefect", Path(project) / "state" / "prefect")


if __name__ == "__main__":
    main()
