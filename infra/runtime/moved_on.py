"""A row that several processes may move on: only one of them does, and the others see it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from sqlalchemy import Connection, RowMapping, Table, update


class Seen(Protocol):
    """A row as a process read it; each time that it is begun its attempts grow."""

    @property
    def id(self) -> int:
        """Its number."""

    @property
    def status(self) -> str:
        """Where it stood."""

    @property
    def attempts(self) -> int:
        """How often it was begun."""


def move_on(connection: Connection, table: Table, seen: Seen, values: Mapping[str, Any]) -> RowMapping | None:
    """Change a row and return it as it is then; None where somebody else moved it on since it was read."""
    unchanged = (table.c.id == seen.id, table.c.status == seen.status, table.c.attempts == seen.attempts)
    query = update(table).where(*unchanged).values(values).returning(*table.c)
    return connection.execute(query).mappings().first()
