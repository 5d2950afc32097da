"""The state database's engine: how transactions begin, and how the schema comes up to date."""

from __future__ import annotations

import fcntl
import json
import logging
import math
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import quote

from sqlalchemy import Connection, Dialect, Engine, create_engine, event, inspect, make_url, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry

from infra.runtime.state_tables import REVISION
from schemas.errors import StateError

MIGRATIONS = Path(__file__).parent / "migrations"
BUSY_SECONDS = 30
PAUSE_SECONDS = 0.02
_ADVISORY_LOCK = 7_236_331_001

Writer: TypeAlias = Callable[[Connection], None]
"""Writes within a transaction that somebody else began."""


def make_engine(url: str) -> Engine:
    """Return an engine for SQLite (write-ahead log, 30 s of patience) or PostgreSQL.

    Raises:
        StateError: The address is wrong, or its driver is not installed.
    """
    try:
        parsed = make_url(url)
        if (file := database_file(parsed)) is not None:
            file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        engine = create_engine(parsed, json_serializer=_dumps, pool_pre_ping=parsed.get_backend_name() != "sqlite")
    except (ArgumentError, NoSuchModuleError, ImportError, OSError) as error:
        raise StateError(
            f"The state database's address cannot be used: {error}",
            hint="Set `database` to sqlite:////absolute/path.db or postgresql+psycopg://user@host/name, "
            "with the driver installed.",
        ) from error
    if engine.dialect.name == "sqlite":
        event.listen(engine, "do_connect", _before_sqlite_connects)
        event.listen(engine, "connect", _on_sqlite_connect)
        event.listen(engine, "begin", _on_sqlite_begin)
    return engine


def file_of(engine: Engine) -> tuple[int, int] | None:
    """Which file an engine's database is at present; None where it is no file, or is gone."""
    file = database_file(engine.url)
    if file is None:
        return None
    try:
        stat = file.stat()
    except OSError:
        return None
    return stat.st_dev, stat.st_ino


def make_reading_engine(url: str) -> Engine:
    """Return an engine that leaves no trace: SQLite is opened read-only, and makes no file beside the database.

    Raises:
        StateError: The address is wrong.
    """
    file = database_file(make_url(url))
    if file is None:
        return make_engine(url)
    # Without a write-ahead log beside it nobody writes, and SQLite need not make the log's index to read.
    mode = "mode=ro" if file.with_name(f"{file.name}-wal").exists() else "mode=ro&immutable=1"
    engine = create_engine(f"sqlite:///file:{quote(str(file.absolute()))}?{mode}&uri=true")
    event.listen(engine, "connect", _on_read_only_connect)
    event.listen(engine, "begin", _on_sqlite_begin)
    return engine


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """Open a transaction that only reads; all that it reads belongs together.

    Raises:
        StateError: The database failed.
    """
    # On SQLite each transaction sees one moment; PostgreSQL wants to be asked for it.
    asked = {"isolation_level": "REPEATABLE READ"} if engine.dialect.name == "postgresql" else {}
    with _told(engine), engine.connect().execution_options(**asked) as connection:
        yield connection


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """Open a transaction that writes; on SQLite it takes the write lock at once, so that what it read stays true.

    Raises:
        StateError: The database failed.
    """
    with _told(engine), engine.connect().execution_options(sereno_writes=True) as connection, connection.begin():
        yield connection


def all_of(*writers: Writer | None) -> Writer:
    """One writer that does what each of several does, in their order, within one transaction."""

    def write(connection: Connection) -> None:
        for writer in writers:
            if writer is not None:
                writer(connection)

    return write


@contextmanager
def trying(engine: Engine) -> Iterator[Connection]:
    """Open a transaction that writes and is undone at its end: what would come of it can be looked at.

    Raises:
        StateError: The database failed.
    """
    with (
        _told(engine),
        engine.connect().execution_options(sereno_writes=True) as connection,
        connection.begin() as transaction,
    ):
        yield connection
        transaction.rollback()


def check_revision(engine: Engine) -> bool:
    """Whether the tables are there and current.

    Raises:
        StateError: The database was written by a newer release, or cannot be read.
    """
    with _told(engine):
        return _revision(engine) == REVISION


def bring_up_to_date(engine: Engine) -> None:
    """Create the tables or migrate them; one process at a time, nothing where they are current.

    Raises:
        StateError: The database was written by a newer release, or the migration failed.
    """
    with _told(engine):
        if _revision(engine) == REVISION:
            return
        with _one_at_a_time(engine):
            if _revision(engine) != REVISION:
                _migrate(engine)


def _revision(engine: Engine) -> str | None:
    with engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    if found is not None and str(found) > REVISION:
        raise StateError(
            f"The state database is at revision {found}; this release knows {REVISION}.",
            hint="Upgrade Sereno on this machine to the release that wrote the database: pip install --upgrade sereno.",
        )
    return None if found is None else str(found)


def _migrate(engine: Engine) -> None:
    from alembic import command
    from alembic.config import Config

    logging.getLogger("alembic").setLevel(logging.WARNING)
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    with writing(engine) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, REVISION)


@contextmanager
def _one_at_a_time(engine: Engine) -> Iterator[None]:
    file = database_file(engine.url)
    if file is not None:
        with _lock_file(file).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
    elif engine.dialect.name == "postgresql":
        with engine.connect() as connection:
            connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _ADVISORY_LOCK})
            try:
                yield
            finally:
                connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": _ADVISORY_LOCK})
    else:
        yield


@contextmanager
def _told(engine: Engine) -> Iterator[None]:
    """Say a database error in our own words, without the statement and its values."""
    try:
        yield
    except DBAPIError as error:
        raise StateError(f"The state database ({_shown(engine)}) failed: {error.orig}", hint=_hint(error)) from error
    except SQLAlchemyError as error:
        raise StateError(f"The state database ({_shown(engine)}) failed: {error}") from error


def _hint(error: DBAPIError) -> str:
    if "locked" in str(error.orig):
        return f"Another process held it for over {BUSY_SECONDS} s; beyond one machine use PostgreSQL (`database`)."
    return "Check the setting `database`, the disk's free space and who may write there."


def _shown(engine: Engine) -> str:
    return engine.url.render_as_string(hide_password=True)


def database_file(url: URL) -> Path | None:
    """The file of a SQLite database, None for another one and for one in memory."""
    if url.get_backend_name() != "sqlite" or url.database in {None, "", ":memory:"}:
        return None
    return Path(str(url.database))


def _before_sqlite_connects(_dialect: Dialect, _record: Any, arguments: list[Any], _options: dict[str, Any]) -> None:
    """Refuse to begin anew in silence where a database was: SQLite makes an empty one of any name."""
    file = Path(str(arguments[0]))
    if file.is_absolute() and not file.exists() and _lock_file(file).exists():
        raise StateError(
            f"The state database {file} is gone: it was there before, and holds which nights count.",
            hint=f"Put it back, from a backup if need be. To begin anew without any history remove {_lock_file(file)}.",
        )


def _lock_file(file: Path) -> Path:
    return file.with_name(f"{file.name}.lock")


def _on_sqlite_connect(connection: Any, _record: ConnectionPoolEntry) -> None:
    # We begin transactions ourselves: sqlite3 would begin late, after the read that the write depends on.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {BUSY_SECONDS * 1000}")
    _keep_a_write_ahead_log(cursor)
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


def _keep_a_write_ahead_log(cursor: Any) -> None:
    """Switch a database that is new; SQLite does not wait by itself for others that are at it."""
    ends = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > ends:
                raise
            time.sleep(PAUSE_SECONDS)
        else:
            return


def _on_read_only_connect(connection: Any, _record: ConnectionPoolEntry) -> None:
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {BUSY_SECONDS * 1000}")
    cursor.close()


def _on_sqlite_begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get("sereno_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _dumps(value: Any) -> str:
    return json.dumps(_finite(value), allow_nan=False, separators=(",", ":"))


def _finite(value: Any) -> Any:
    """JSON has no NaN, and PostgreSQL refuses the row: a missing number is null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(name): _finite(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return value
