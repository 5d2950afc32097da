"""The command line, run by a process that counts what it reads: `python counted_sereno.py COUNTS.json WORDS...`.

Nothing of the product counts or knows that it is counted. Counted are

- rows that SQLite hands to this process, by database file: each passes a row factory on its way to SQLAlchemy;
- steps of SQLite's machine for the state database: rows that it walks over and does not hand out show there;
- rows of the lake's tables, as they come out of the Parquet files (`infra.runtime.lake_scan.scan`).

The flow, its stages and MLflow's client run in this process; the training process reads neither lake nor state.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

STEPS = 100
counts: Counter[str] = Counter()


def main() -> None:
    """Run the command and leave the counts in the file."""
    counted, *words = sys.argv[1:]
    watch_databases()
    watch_lake()
    from infra.cli.main import main as sereno

    try:
        sereno(words)
    finally:
        Path(counted).write_text(json.dumps(counts), encoding="utf-8")


def watch_databases() -> None:
    """Count on each connection that this process opens."""
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    event.listen(Engine, "connect", watch_connection)


def watch_connection(connection: Any, _record: Any) -> None:
    """Count what one connection hands out; what is no connection of sqlite3 itself is another tool's."""
    import sqlite3

    if not isinstance(connection, sqlite3.Connection):
        return
    (_, _, file), *_ = connection.execute("PRAGMA database_list").fetchall()
    name = Path(file).name

    def row(_cursor: sqlite3.Cursor, values: tuple[Any, ...]) -> tuple[Any, ...]:
        counts[f"rows of {name}"] += 1
        return values

    def step() -> int:
        counts[f"steps of {name}"] += STEPS
        return 0

    connection.row_factory = row
    connection.set_progress_handler(step, STEPS)


def watch_lake() -> None:
    """Count the rows that leave the lake's files."""
    lake: Any = importlib.import_module("infra.runtime.lake")
    scan = lake.scan

    def counting(*arguments: Any) -> Iterator[Any]:
        for batch in scan(*arguments):
            counts["rows of the lake"] += batch.num_rows
            yield batch

    lake.scan = counting


if __name__ == "__main__":
    main()
