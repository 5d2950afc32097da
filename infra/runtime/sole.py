"""One process at a time for a whole project: a lock that ends with the process, however that ends."""

from __future__ import annotations

import fcntl
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Engine, text

from infra.runtime.holder import Holder
from infra.runtime.state_database import database_file, reading
from schemas.errors import LockedNight


@contextmanager
def sole(engine: Engine, what: str) -> Iterator[None]:
    """Hold a lock of the state database for the block.

    Args:
        engine: The state database: on PostgreSQL one at a time on all machines, else on this one.
        what: The command, which is the lock's name as well.

    Raises:
        LockedNight: Another process holds it.
        StateError: The database failed.
    """
    file = database_file(engine.url)
    if file is not None:
        with _of_file(file.with_name(f"{file.name}.{what}.lock"), what):
            yield
    elif engine.dialect.name == "postgresql":
        with _of_postgresql(engine, what):
            yield
    else:
        yield


@contextmanager
def _of_file(path: Path, what: str) -> Iterator[None]:
    with path.open("a+", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.seek(0)
            raise _held(what, lock.read().strip()) from None
        lock.seek(0)
        lock.truncate()
        lock.write(str(Holder.this_process()))
        lock.flush()
        yield
        lock.truncate(0)


@contextmanager
def _of_postgresql(engine: Engine, what: str) -> Iterator[None]:
    key = {"key": int.from_bytes(hashlib.sha256(f"sereno {what}".encode()).digest()[:8], "big", signed=True)}
    with reading(engine) as connection:
        if not connection.execute(text("SELECT pg_try_advisory_lock(:key)"), key).scalar():
            raise _held(what, "")
        connection.commit()  # the lock is the session's, and no transaction is to stay open beside it
        try:
            yield
        finally:
            connection.execute(text("SELECT pg_advisory_unlock(:key)"), key)


def _held(what: str, by: str) -> LockedNight:
    return LockedNight(
        f"Another `sereno {what}` is at work" + (f": process {by}." if by else "."),
        hint="Wait for it; its lock ends with it, however it ends.",
    )
