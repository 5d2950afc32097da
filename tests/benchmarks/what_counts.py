"""What of a project counts, to compare one that was disturbed with one that was not, and what should not be there."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

TABLES = ("accepted", "quarantined", "scores")
SAY_RUNNING = {
    "state.db": "select * from runs where status = 'running'",
    "mlflow.db": "select * from runs where status = 'RUNNING'",
    "prefect/prefect.db": "select * from flow_run where state_type in ('RUNNING', 'PENDING')",
}
VERSIONS = (
    "select v.version, t.value from model_versions v join model_version_tags t using (name, version)"
    " where t.key = 'bundle_hash' order by 1"
)
Facts = dict[str, Any]


def what_counts(folder: Path, dataset: str) -> Facts:
    """Rows of each night and table at the pinned versions, registered versions, ledger, and each night's numbers.

    Args:
        folder: The project.
        dataset: Its dataset.
    """
    from infra.runtime.lake import Lake
    from infra.runtime.state import State

    lake = Lake(folder / "state" / "lake")
    with State(f"sqlite:///{folder / 'state' / 'state.db'}") as state:
        rows = {
            f"{table} {night}": _rows(lake.read(dataset, table, {night: version}))
            for table in TABLES
            for night, version in state.pins(dataset, table).items()
        }
        ledger = [[row.version, row.bundle_hash, row.action, row.previous, row.reason] for row in state.ledger(dataset)]
        nights = {
            run.night.isoformat(): [run.status, run.result["rows"], run.result["alerts"], run.result["threshold"]]
            for run in state.history(dataset)
        }
    return {**rows, "ledger": ledger, "nights": nights, "versions": _versions(folder)}


def _rows(table: Any) -> list[str]:
    return sorted(json.dumps(row, default=str, sort_keys=True) for row in table.to_pylist())


def _versions(folder: Path) -> list[list[Any]]:
    return _query(folder / "state" / "mlflow.db", VERSIONS)


def left_behind(folder: Path, dataset: str) -> list[str]:
    """What a stopped run may leave and nobody needs: processes, rows that say running, scratch and unnamed files."""
    from infra.runtime.lake_repair import orphans, staged_commits

    state = folder / "state"
    tables = [path for path in (state / "lake" / dataset).iterdir() if path.is_dir()]
    found = [f"process {line}" for line in processes_of(folder)]
    for database, query in SAY_RUNNING.items():
        found += [f"{database} says running: {row}" for row in _query(state / database, query)]
    files = [path for table in tables for path in (*orphans(table), *staged_commits(table))]
    files += [path for scratch in ("work", "resume") for path in (state / scratch).rglob("*") if path.is_file()]
    files += [path for path in (folder / "reports").rglob(".*") if path.is_file()]
    return found + [f"file {path.relative_to(folder)}" for path in files]


def processes_of(folder: Path) -> Iterator[str]:
    """Command lines of the processes that have to do with a project: by arguments, environment or open folder."""
    told = str(folder).encode()
    for process in Path("/proc").glob("[0-9]*"):
        if int(process.name) == os.getpid():
            continue
        try:
            command = (process / "cmdline").read_bytes()
            said = command + (process / "environ").read_bytes() + bytes((process / "cwd").readlink()) + bytes(1)
        except OSError:  # it ended meanwhile, or is another user's
            continue
        if command and any(told + end in said for end in (bytes(1), b"/")):
            yield f"{process.name}: {command.replace(bytes(1), b' ').decode(errors='replace')[:200]}"


def _query(database: Path, query: str) -> list[list[Any]]:
    if not database.is_file():
        return []
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
        return [list(row) for row in connection.execute(query)]
